"""Ranges of the log by bytes, also beside a writer that takes away what is being read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.log.record import RawEntry, body_of
from qcore.model.entry import Vote
from qcore.model.errors import Compacted, Damaged
from tests.disk.samples import (
    NODE,
    Unsynced,
    append,
    body,
    filled,
    log_id,
    open_node,
    prepare,
    record_of,
    slow_of,
    work,
)


class Meanwhile(Unsynced):
    """A disk on which something happens between a look at the log and the read of a file."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], None]] = {}
        """What happens before a file of this name is read."""
        self.reads: list[str] = []

    def read(self, path: str) -> bytes | None:
        name = Path(path).name
        self.reads.append(name)
        self.before.pop(name, lambda: None)()
        return super().read(path)


def opened(folder: Path, count: int, prepared: bool = True) -> tuple[Directory, Meanwhile]:
    """A directory of `count` entries of term 1, none of them in memory, whose files may be used again."""
    filled(folder, count, prepared=prepared)
    files = Meanwhile()
    directory = Directory.open(folder, 1, files=files)
    directory.save_vote(Vote(2, NODE, True))
    files.reads.clear()
    return directory, files


def indexes(found: list[RawEntry]) -> list[int]:
    return [entry.id.index for entry in found]


def size(directory: Directory, index: int) -> int:
    return len(directory.log.read_range(index, index + 1, 0)[0].body)


def test_a_range_holds_log_ids_and_bodies_as_they_were_stored(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    directory.save_vote(Vote(1, NODE, True))
    data = [append(directory, index) for index in range(4)]
    expected = [RawEntry(log_id(index), body_of(each)) for index, each in enumerate(data)]
    assert directory.log.read_range(0, 9, 1 << 20) == expected
    directory.close()
    again = open_node(tmp_path)
    assert again.log.read_range(0, 9, 1 << 20) == expected
    assert again.log.read_range(1, 3, 1 << 20) == expected[1:3]
    again.close()


def test_a_range_ends_at_its_bytes_but_holds_one_entry(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 5)
    one = size(directory, 0)
    assert indexes(directory.log.read_range(0, 5, 0)) == [0]
    assert indexes(directory.log.read_range(1, 5, 2 * one)) == [1, 2]
    assert indexes(directory.log.read_range(1, 5, 2 * one - 1)) == [1]
    assert indexes(directory.log.read_range(1, 5, 100 * one)) == [1, 2, 3, 4]
    directory.close()


def test_a_range_above_the_log_is_empty(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 2)
    assert directory.log.read_range(2, 9, 1_000) == []
    assert directory.log.read_range(1, 1, 1_000) == []
    directory.close()


def test_a_range_below_the_purge_mark_is_compacted(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 5)
    directory.log.purge(log_id(2))
    for start in range(3):
        with pytest.raises(Compacted, match=f"entry {start} was purged; the log begins at 3"):
            directory.log.read_range(start, 9, 1_000)
    assert indexes(directory.log.read_range(3, 9, 1 << 20)) == [3, 4]
    directory.log.purge(log_id(7))
    with pytest.raises(Compacted, match="entry 4 was purged; the log begins at 8"):
        directory.log.read_range(4, 9, 1_000)
    assert directory.log.read_range(8, 9, 1_000) == []
    directory.close()


def test_what_was_appended_last_is_read_from_memory(tmp_path: Path) -> None:
    directory, files = opened(tmp_path, 3)
    directory.log.cache.max_bytes = 1_000
    for index in range(3, 12):
        append(directory, index)
    files.reads.clear()
    found = directory.log.read_range(0, 12, 1 << 20)
    assert indexes(found) == list(range(12))
    assert files.reads
    assert files.reads == [f"{index}.json" for index in range(len(files.reads))]
    in_memory = 12 - len(files.reads)
    assert 1_000 // len(record_of(log_id(11), body("entry 11 of term 1"))) == in_memory
    directory.close()


def test_what_was_truncated_is_not_read_from_memory(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 2)
    for index in range(2, 6):
        append(directory, index)
    directory.log.truncate(3)
    assert indexes(directory.log.read_range(1, 9, 1 << 20)) == [1, 2]
    append(directory, 3, term=2)
    assert [entry.id for entry in directory.log.read_range(2, 9, 1 << 20)] == [log_id(2), log_id(3, 2)]
    directory.close()


def test_a_truncate_meanwhile_ends_a_range_early(tmp_path: Path) -> None:
    directory, files = opened(tmp_path, 6)
    files.before["3.json"] = lambda: directory.log.truncate(2)
    assert indexes(directory.log.read_range(0, 6, 1 << 20)) == [0, 1, 2], "read before it"
    assert indexes(directory.log.read_range(0, 6, 1 << 20)) == [0, 1]
    directory.close()


def test_entries_of_a_new_leader_are_not_mixed_with_those_they_replaced(tmp_path: Path) -> None:
    directory, files = opened(tmp_path, 6)

    def lead_anew() -> None:
        directory.log.truncate(2)
        for index in range(2, 7):
            append(directory, index, term=2)

    files.before["3.json"] = lead_anew
    found = directory.log.read_range(0, 6, 1 << 20)
    assert [entry.id for entry in found] == [log_id(0), log_id(1), log_id(2)]
    assert [entry.id for entry in directory.log.read_range(1, 4, 1 << 20)] == [log_id(1), log_id(2, 2), log_id(3, 2)]
    directory.close()


def test_a_truncate_that_has_only_begun_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = opened(tmp_path, 6)
    seen: list[list[int]] = []
    blank = Unsynced.overwrite

    def look(files: Unsynced, path: str, data: bytes, sync: bool) -> None:
        blank(files, path, data, sync)
        seen.append(indexes(directory.log.read_range(0, 6, 1 << 20)))
        assert [entry.id.index for entry in directory.log.read(0, 6)] == seen[-1]

    monkeypatch.setattr(Unsynced, "overwrite", look)
    directory.log.truncate(3)
    assert seen == [[0, 1, 2, 3, 4, 5]] + [[0, 1, 2]] * 2, "the watermark is lowered, then two files are blanked"
    directory.close()


def test_reading_on_ends_at_a_truncate(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 6)
    reading = directory.log.read(0, 6)
    assert next(reading).id == log_id(0)
    directory.log.truncate(1)
    append(directory, 1, term=2)
    assert list(reading) == []
    directory.close()


def test_a_purge_meanwhile_is_no_damage(tmp_path: Path) -> None:
    directory, files = opened(tmp_path, 6)

    def purge() -> None:
        directory.log.purge(log_id(4))
        for index in range(6, 20):
            append(directory, index)
        work(slow_of(directory))

    files.before["2.json"] = purge
    assert indexes(directory.log.read_range(0, 6, 1 << 20)) == [0, 1]
    files.before["5.json"] = lambda: directory.log.purge(log_id(5))
    (directory.path / "logs" / "5.json").unlink()
    with pytest.raises(Compacted, match="entry 5 was purged; the log begins at 6"):
        directory.log.read_range(5, 7, 1 << 20)
    directory.close()


def test_a_file_that_is_wrong_without_a_reason_is_damaged(tmp_path: Path) -> None:
    directory, _ = opened(tmp_path, 4)
    path = directory.path / "logs" / "2.json"
    path.write_bytes(record_of(log_id(2, term=0), body("other")))
    for reading in (lambda: directory.log.read_range(0, 4, 1 << 20), lambda: list(directory.log.read(0, 4))):
        with pytest.raises(Damaged, match=r"logs/2\.json"):
            reading()
    directory.log.truncate(3)
    with pytest.raises(Damaged, match=r"logs/2\.json"):
        directory.log.read_range(0, 4, 1 << 20)
    prepare(directory)
    directory.close()
