"""The table of events: each one that the code tells is in it, and no id ever changes."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.server.runtime.catalog import catalog
from qcore.server.runtime.events import EVENTS

HOUSE = Path(__file__).parent.parent.parent.parent
CATALOG = HOUSE / "packaging" / "systemd" / "qcore.catalog"
KNOWN = Path(__file__).with_name("message_ids.txt")
"""Every id there ever was, and its event: lines are added, and never changed or removed."""

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
WORD = re.compile("[a-z]+(_[a-z]+)*")


def test_no_id_changes_or_goes() -> None:
    known = dict(line.split() for line in KNOWN.read_text(encoding="ascii").splitlines())
    found = {event.id: name for name, event in EVENTS.items()}
    changed = {id: name for id, name in known.items() if found.get(id) != name}
    assert not changed, "an id stays with its event for ever; an event that is told no more keeps its line in the table"
    assert not found.keys() - known.keys(), f"new: add them to {KNOWN.name}"


def test_no_id_stands_twice_and_each_has_128_bits() -> None:
    ids = [event.id for event in EVENTS.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)


def test_every_event_that_the_code_tells_is_in_the_table() -> None:
    told = set(told_events())
    assert len(told) > 50, "they were not found"
    assert told <= EVENTS.keys()


def told_events() -> Iterator[str]:
    """The first word of every call that logs: by a logger, a rare or slow log, a notice of the link or of formation."""
    for path in (HOUSE / "qcore").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from words_of(node)


def words_of(call: ast.Call) -> Iterator[str]:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    of = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if (of in ("log", "self._log") and name in LEVELS) or name in ("say", "RareLog", "_note") or "slow_log" in of:
        found = [words for given in call.args[:3] if (words := texts_in(given) - LEVELS)]
        yield from found[0] if found else ()


def texts_in(given: ast.expr) -> set[str]:
    """The words that an argument may be: of `"link_lost" if linked else "dial_failed"` both."""
    texts = (each.value for each in ast.walk(given) if isinstance(each, ast.Constant))
    return {text for text in texts if isinstance(text, str) and WORD.fullmatch(text)}


def test_the_catalog_is_made_of_the_table() -> None:
    assert CATALOG.read_text(encoding="utf-8") == catalog(), "python -m qcore.server.runtime.catalog makes it anew"


def test_every_entry_says_what_it_is_and_most_what_to_do() -> None:
    for name, event in EVENTS.items():
        assert event.subject, name
        assert event.cause.endswith((".", "?")), name
        assert not event.action or event.action.endswith("."), name


def test_the_journal_takes_the_catalog(tmp_path: Path) -> None:
    if shutil.which("journalctl") is None:
        pytest.skip("there is no journalctl: install systemd")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    done = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True, check=True
    )
    assert not done.stderr, done.stderr
    assert (tmp_path / "var" / "lib" / "systemd" / "catalog" / "database").exists()
