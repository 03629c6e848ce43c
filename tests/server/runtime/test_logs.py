from __future__ import annotations

import functools
import io
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.server.runtime import logs
from qcore.server.runtime.events import EVENTS
from qcore.server.runtime.journal import JournalSocket
from tests.server.runtime.test_journal import Journald


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ascii(io.StringIO):
    encoding = "ascii"


class Stderr:
    """What was written to stderr since the test began; pytest puts its own in place after the fixtures are made."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, sockets = logging.getLogger(), logging.getLogger("websockets")
    handlers, levels = list(root.handlers), (root.level, sockets.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    sockets.setLevel(levels[1])
    logging.captureWarnings(False)


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def test_a_json_line_carries_event_message_and_details(stderr: Stderr) -> None:
    logs.configure("info", "json", 3)
    before = datetime.now(UTC)
    logs.get("qcore.server").info("listening", message="Listening on ws://a:1", url="ws://a:1", clients=0)
    (record,) = stderr.records()
    stamp = record.pop("timestamp")
    assert stamp.endswith("Z")
    assert before <= datetime.fromisoformat(stamp) <= datetime.now(UTC)
    assert record == {
        "level": "info",
        "logger": "qcore.server",
        "event": "listening",
        "message": "Listening on ws://a:1",
        "node": 3,
        "url": "ws://a:1",
        "clients": 0,
    }


def test_text_shows_the_message_and_details_in_their_order(stderr: Stderr) -> None:
    logs.configure("info", "text", 1)
    logs.get("qcore.server").warning("slow_request", message="A request was slow", took_ms=301, method="find")
    line = stderr.text()
    assert "warning" in line
    assert "A request was slow [qcore.server] took_ms=301 method=find\n" in line
    assert "slow_request" not in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_message_the_event_is_shown(stderr: Stderr, form: str) -> None:
    logs.configure("info", form, 1)
    logs.get("qcore").info("stopped")
    assert "stopped" in stderr.text()
    if form == "json":
        assert stderr.records()[0]["message"] == "stopped"


def test_auto_is_json_where_stderr_is_no_terminal(stderr: Stderr) -> None:
    logs.configure("info", "auto", 1)
    logs.get("qcore").info("started")
    assert stderr.records()[0]["event"] == "started"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_auto_is_text_on_a_terminal_with_colours_unless_unwanted(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    logs.configure("info", "auto", 1)
    logs.get("qcore").info("started", message="Node started")
    assert "Node started" in terminal.getvalue()
    assert ("\x1b[" in terminal.getvalue()) == coloured


def test_lines_below_the_level_are_left_out_until_it_is_lowered(stderr: Stderr) -> None:
    log = logs.get("qcore.test")
    logs.configure("warning", "json", 1)
    log.info("hidden")
    log.warning("shown")
    logs.configure("debug", "json", 1)
    log.debug("shown_now")
    assert [record["event"] for record in stderr.records()] == ["shown", "shown_now"]


def test_configuring_twice_does_not_write_lines_twice(stderr: Stderr) -> None:
    for _ in range(2):
        logs.configure("info", "json", 1)
    logs.get("qcore").info("once")
    assert len(stderr.records()) == 1


def test_lines_of_libraries_go_the_same_way(stderr: Stderr) -> None:
    logs.configure("info", "json", 2)
    logging.getLogger("asyncio").error("task %d failed", 5)
    (record,) = stderr.records()
    assert (record["event"], record["message"]) == ("library_message", "task 5 failed")
    assert (record["logger"], record["level"], record["node"]) == ("asyncio", "error", 2)


def test_frames_of_websockets_are_never_written_out(stderr: Stderr) -> None:
    logs.configure("debug", "json", 1)
    logging.getLogger("websockets.server").debug("> TEXT secret")
    logging.getLogger("websockets.server").info("connection open")
    assert [record["message"] for record in stderr.records()] == ["connection open"]


def test_python_warnings_go_the_same_way(stderr: Stderr) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("info", "json", 1)
        warnings.warn("careful", stacklevel=1)
        logging.captureWarnings(False)
    (record,) = stderr.records()
    assert record["logger"] == "py.warnings"
    assert "careful" in record["message"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_exceptions_come_with_their_traceback(stderr: Stderr, form: str) -> None:
    logs.configure("info", form, 1)
    try:
        raise KeyError("gone")
    except KeyError:
        logs.get("qcore").exception("failed", message="It failed")
        logging.getLogger("asyncio").exception("and so did that")
    if form == "text":
        assert stderr.text().count("KeyError: 'gone'\n") == 2
    else:
        assert all(record["exception"].endswith("KeyError: 'gone'") for record in stderr.records())
        assert len(stderr.records()) == 2


def test_bound_details_stand_in_every_line(stderr: Stderr) -> None:
    logs.configure("info", "json", 1)
    log = logs.get("qcore").bind(client="10.0.0.1:5")
    log.info("opened")
    log.info("closed")
    assert [record["client"] for record in stderr.records()] == ["10.0.0.1:5"] * 2


def test_control_characters_do_not_reach_the_terminal(stderr: Stderr) -> None:
    logs.configure("info", "text", 1)
    logs.get("qcore").info("named", message="Client \x1b[2J\nfake line", name="\x9b31m")
    text = stderr.text()
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "value",
    [
        Unprintable(),
        b"\xff",
        float("nan"),
        2**80,
        "\ud800",
        {(1, 2): {3}},
        ValueError("wrong"),
        [[[[[[[[["deep"]]]]]]]]],
        object,
    ],
)
def test_any_value_gives_one_good_line(stderr: Stderr, form: str, value: Any) -> None:
    logging.getLogger().handlers.clear()  # pytest's own would raise
    logs.configure("info", form, 1)
    logs.get("qcore").info("odd", value=value)
    assert stderr.text().count("\n") == 1
    assert "odd" in stderr.text()
    if form == "json":
        assert "value" in stderr.records()[0]


def test_a_list_that_holds_itself_gives_one_good_line(stderr: Stderr) -> None:
    logs.configure("info", "json", 1)
    loop: list[Any] = []
    loop.append(loop)
    logs.get("qcore").info("odd", value=loop)
    assert len(stderr.records()) == 1


@given(
    st.recursive(
        st.text() | st.floats() | st.binary() | st.none(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_json_lines_are_json_whatever_is_in_them(value: Any) -> None:
    stream, before = io.StringIO(), sys.stderr
    sys.stderr = stream
    try:
        logs.configure("info", "json", 1)
        logs.get("qcore").info("odd", value=value)
    finally:
        sys.stderr = before
    assert json.loads(stream.getvalue())["event"] == "odd"


def test_what_stderr_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Ascii()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info", "text", 1)
    logs.get("qcore").info("greeting", message="Grüße")
    assert "Gr\\xfc\\xdfe" in stream.getvalue()


def test_a_library_line_that_cannot_be_formatted_is_shown_as_it_is(stderr: Stderr) -> None:
    logging.getLogger().handlers.clear()  # pytest's own would raise
    logs.configure("info", "json", 1)
    logging.getLogger("asyncio").error("bad %d", "x")
    assert stderr.records()[0]["message"] == "bad %d"


def test_logging_goes_on_without_a_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info", "auto", 1)
    stream.close()
    logs.get("qcore").info("unheard")
    logs.configure("info", "auto", 1)
    monkeypatch.setattr(sys, "stderr", None)
    logs.get("qcore").info("unheard")
    logs.configure("info", "auto", 1)


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journald]:
    """Logging goes to this journal, as stderr does."""
    made = Journald(tmp_path / "socket")
    monkeypatch.setattr(logs, "JournalSocket", functools.partial(JournalSocket, made.path))
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    monkeypatch.setattr(logs, "_place", {})
    logs.configure("info", "auto", 3)
    yield made
    logs.configure("info", "json", 3)
    made.close()


def test_the_journal_gets_each_detail_as_a_field_of_its_own(journald: Journald) -> None:
    logs.note_role("leader", 7)
    logs.get("qcore.node").warning("slow_fsync", message="Slow", ms=120, client="plant", tags=["a", 1], none=None)
    fields = journald.fields()
    assert fields.pop("CODE_FILE") == __file__
    assert int(fields.pop("CODE_LINE")) > 0
    assert fields == {
        "MESSAGE": "Slow",
        "MESSAGE_ID": EVENTS["slow_fsync"].id,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "qcore",
        "CODE_FUNC": "test_the_journal_gets_each_detail_as_a_field_of_its_own",
        "QCORE_EVENT": "slow_fsync",
        "QCORE_LOGGER": "qcore.node",
        "QCORE_NODE": "3",
        "QCORE_ROLE": "leader",
        "QCORE_TERM": "7",
        "QCORE_MS": "120",
        "QCORE_CLIENT": "plant",
        "QCORE_TAGS": '["a", 1]',
    }


def test_a_term_that_a_line_tells_is_that_of_the_line(journald: Journald) -> None:
    logs.note_role("follower", 7)
    logs.get("qcore").info("following", term=8)
    assert journald.fields()["QCORE_TERM"] == "8"


@pytest.mark.parametrize(("level", "priority"), [("critical", "2"), ("error", "3"), ("info", "6")])
def test_levels_are_priorities(journald: Journald, level: str, priority: str) -> None:
    getattr(logs.get("qcore"), level)("stopped")
    assert journald.fields()["PRIORITY"] == priority


def test_lines_of_libraries_and_tracebacks_reach_the_journal(journald: Journald) -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        logging.getLogger("asyncio").exception("It %s", "failed")
    fields = journald.fields()
    assert fields["MESSAGE"].startswith("It failed\nTraceback")
    assert (fields["QCORE_EVENT"], fields["QCORE_LOGGER"]) == ("library_message", "asyncio")
    assert fields["CODE_FUNC"] == "test_lines_of_libraries_and_tracebacks_reach_the_journal"


def test_what_the_journal_did_not_take_is_counted(journald: Journald) -> None:
    probe = JournalSocket(journald.path)
    assert probe.connect()
    filled = 0
    while probe.send({"MESSAGE": "x"}):
        filled += 1
    for _ in range(3):
        logs.get("qcore").info("started")
    for _ in range(filled):
        journald.fields()
    logs.get("qcore").info("stopped")
    told = journald.fields()
    assert (told["QCORE_EVENT"], told["QCORE_COUNT"]) == ("log_lines_lost", "3")
    assert journald.fields()["QCORE_EVENT"] == "stopped"
    probe.close()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_form_that_was_asked_for_is_used_under_systemd_too(journald: Journald, stderr: Stderr, form: str) -> None:
    logs.configure("info", form, 1)
    logs.get("qcore").info("started")
    assert "started" in stderr.text()


def test_without_a_journald_lines_go_to_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: Stderr) -> None:
    monkeypatch.setattr(logs, "JournalSocket", functools.partial(JournalSocket, str(tmp_path / "nobody")))
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    logs.configure("info", "auto", 1)
    logs.get("qcore").info("started")
    assert stderr.records()[0]["event"] == "started"


def test_text_has_the_time_of_this_place(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        logs.configure("info", "text", 1)
        before = datetime.now().replace(microsecond=0)
        logs.get("qcore").info("started")
        stamp = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) ", stderr.text())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert stamp is not None
    assert before <= datetime.fromisoformat(stamp[1]) <= datetime.now() + timedelta(days=1)
