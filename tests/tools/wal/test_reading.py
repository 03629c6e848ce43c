"""Entries in their order, beside a writer that goes on, goes back, purges or is replaced."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.live_directory import LiveDirectory
from qcore.model.entry import EntryBody
from qcore.model.requests.commands import Create
from qcore_tools.wal.reading import Break, CaughtUp, Found, Reading
from tests.disk.samples import log_id
from tests.tools.wal.logs import LogWriter

Items = Iterator[Found | CaughtUp | Break]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    made = LogWriter(tmp_path)
    yield made
    made.close()


@pytest.fixture
def live(log: LogWriter) -> Iterator[LiveDirectory]:
    with closing(LiveDirectory(log.path)) as directory:
        yield directory


def taken(items: Items) -> list[int | str]:
    """The indexes up to where it has caught up, and the message of a break; pending ones are negative."""
    found: list[int | str] = []
    for item in items:
        if isinstance(item, CaughtUp):
            break
        if isinstance(item, Break):
            found.append(item.message)
            break
        found.append(-item.entry.id.index if item.pending else item.entry.id.index)
    return found


def one(name: str) -> Create:
    return Create("User", name, parent=1)


def test_entries_come_once_and_in_order_as_they_are_written(log: LogWriter, live: LiveDirectory) -> None:
    items = Reading(live, 0, 0, follow=True).items()
    log.prepare()
    assert taken(items) == [0, 1]
    for name in "abc":
        log.write(one(name))
    assert taken(items) == [2, 3, 4]
    assert taken(items) == []


def test_without_following_it_ends(log: LogWriter, live: LiveDirectory) -> None:
    log.write(one("a"))
    log.prepare()
    assert [type(item) for item in Reading(live, 1, 0, follow=False).items()] == [Found, Found]


def test_what_is_not_known_to_be_committed_is_marked(log: LogWriter, live: LiveDirectory) -> None:
    log.uncommitted(one("a"))
    assert taken(Reading(live, 0, 0, follow=False).items()) == [0, 1, -2]


def test_followed_entries_wait_until_they_are_committed(
    log: LogWriter, live: LiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = Reading(live, 0, 0, follow=True).items()
    assert taken(items) == [0, 1]
    log.uncommitted(one("a"))
    assert taken(items) == []
    log.commit()
    assert taken(items) == [2]
    log.uncommitted(one("b"))
    assert taken(items) == []
    monkeypatch.setattr("qcore_tools.wal.reading.GRACE", 0.0)
    assert taken(items) == [-3]
    log.commit()
    assert taken(items) == []


def test_entries_that_were_shown_and_taken_back_are_told(
    log: LogWriter, live: LiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcore_tools.wal.reading.GRACE", 0.0)
    items = Reading(live, 0, 0, follow=True).items()
    log.write(one("a"))
    for name in "bcd":
        log.uncommitted(one(name))
    assert taken(items) == [0, 1, 2, -3, -4, -5]
    replace_from(log, 4, 3)
    assert taken(items) == ["entries 4..5 were taken back by another leader"]
    again = Reading(live, 4, 0, follow=True).items()
    assert taken(again) == [4, 5, 6]


def test_entries_that_were_taken_back_and_not_replaced_as_far_are_told(
    log: LogWriter, live: LiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcore_tools.wal.reading.GRACE", 0.0)
    items = Reading(live, 0, 0, follow=True).items()
    for name in "bcd":
        log.uncommitted(one(name))
    assert taken(items) == [0, 1, -2, -3, -4]
    replace_from(log, 2, 1)
    assert taken(items) == ["entries 2..4 were taken back by another leader"]


def test_entries_that_were_never_shown_may_be_taken_back(log: LogWriter, live: LiveDirectory) -> None:
    items = Reading(live, 0, 0, follow=True).items()
    log.uncommitted(one("a"))
    log.uncommitted(one("b"))
    assert taken(items) == [0, 1]
    replace_from(log, 2, 3)
    assert taken(items) == ["entries 2..3 were taken back by another leader"]


def replace_from(log: LogWriter, index: int, count: int) -> None:
    """Have the entries of a new leader in the place of those from `index` on."""
    log.directory.log.truncate(index)
    log.next, log.term = index, log.term + 1
    for _ in range(count):
        log.append(EntryBody(log.state.level, 0, "blank"))
    log.commit()


def test_what_was_purged_before_it_was_read_is_told(log: LogWriter, live: LiveDirectory) -> None:
    for name in "abcdef":
        log.write(one(name))
    log.snapshot()
    items = Reading(live, 0, 0, follow=True).items()
    log.purge(5)
    assert taken(items) == ["entries 0..5 were missed: the log is purged up to 5"]
    assert taken(Reading(live, 6, 6, follow=True).items()) == [6, 7]


def test_a_purge_of_what_was_read_disturbs_nobody(log: LogWriter, live: LiveDirectory) -> None:
    items = Reading(live, 0, 0, follow=True).items()
    for name in "abcdef":
        log.write(one(name))
    assert taken(items) == [*range(8)]
    log.snapshot()
    log.purge(7)
    log.prepare()
    log.write(one("g"))
    assert taken(items) == [8]


def test_another_directory_in_its_place_is_told(log: LogWriter, live: LiveDirectory, tmp_path: Path) -> None:
    items = Reading(live, 0, 0, follow=True).items()
    assert taken(items) == [0, 1]
    kept = tmp_path / "kept"
    log.path.rename(kept)
    shutil.copytree(kept, log.path)
    assert taken(items) == ["another directory is in its place: beginning with what is there"]


def test_a_damaged_entry_is_told_and_what_is_behind_it_can_be_read(log: LogWriter, live: LiveDirectory) -> None:
    for name in "abc":
        log.write(one(name))
    path = log.path / "logs" / "3.json"
    path.write_bytes(path.read_bytes()[:100])
    found: list[int | Break] = []
    for item in Reading(live, 0, 0, follow=False).items():
        if isinstance(item, Break):
            found.append(item)
        elif isinstance(item, Found):
            found.append(item.entry.id.index)
    end = found.pop()
    assert found == [0, 1, 2]
    assert isinstance(end, Break)
    assert end.message.startswith(f"{path} is damaged: expected an entry's head")
    assert (end.damage, end.next, end.first) == (True, 4, 4)


@pytest.mark.parametrize("follow", [False, True])
def test_an_entry_above_one_that_is_not_there_is_told(log: LogWriter, live: LiveDirectory, follow: bool) -> None:
    for name in "abcd":
        log.write(one(name))
    (log.path / "logs" / "3.json").unlink()
    (log.path / "logs" / "4.json").unlink()
    items = Reading(live, 0, 0, follow).items()
    found: list[int | str] = []
    while not found or isinstance(found[-1], int):
        found += taken(items)
    assert found[:3] == [0, 1, 2]
    assert "3.json is damaged: expected an entry, as there is one above it" in str(found[3])


def test_a_file_of_another_log_is_told(log: LogWriter, live: LiveDirectory, tmp_path: Path) -> None:
    other = LogWriter(tmp_path / "other")
    other.blank(5)
    other.close()
    for name in "ab":
        log.write(one(name))
    shutil.copy(other.path / "logs" / "2.json", log.path / "logs" / "2.json")
    assert taken(Reading(live, 0, 0, follow=False).items())[3:] == [
        f"entry 3 does not follow {log_id(2, 5)}",
    ]
