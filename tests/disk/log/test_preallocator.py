from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.log.blanks import SIZES
from qcore.disk.log.preallocator import Preallocator
from qcore.disk.log.ready_files import GROUP
from qcore.model.errors import DiskFailed, Fatal
from tests.disk.samples import Unsynced, append, entries, filled, log_id, names, open_node, prepare, slow_of, work
from tests.process import DEADLINE


def test_the_next_files_lie_ready_full_of_blanks(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    directory = open_node(tmp_path)
    prepare(directory)
    ready = [f"{index}.json" for index in range(3, 3 + GROUP[0])]
    assert set(names(path)) == {"0.json", "1.json", "2.json", *ready}
    assert {(path / "logs" / name).read_bytes() for name in ready} == {b" " * 4096}
    directory.close()


def test_an_entry_is_written_over_its_prepared_file(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    prepare(directory)
    file = directory.path / "logs" / "0.json"
    before = file.stat().st_ino
    data = append(directory, 0, term=0)
    assert (file.stat().st_ino, file.stat().st_size) == (before, 4096)
    assert file.read_bytes() == data.ljust(4096)
    directory.close()


def test_an_entry_too_long_for_its_file_replaces_it(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    prepare(directory)
    file = directory.path / "logs" / "0.json"
    before = file.stat().st_ino
    data = append(directory, 0, term=0, text="x" * 5_000)
    assert file.stat().st_ino != before
    assert file.read_bytes() == data
    append(directory, 1)
    assert entries(directory) == [(0, 0), (1, 1)]
    directory.close()


def test_files_grow_with_the_entries(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    for index in range(12):
        append(directory, index, text="x" * 5_000)
    prepare(directory)
    assert (directory.path / "logs" / "12.json").read_bytes() == b" " * 16_384
    append(directory, 12, text="x" * 9_000)
    assert (directory.path / "logs" / "12.json").stat().st_size == 16_384
    assert len(entries(directory)) == 13
    directory.close()


class Meeting(Unsynced):
    """Something else happens once, after the first file was made or blanked."""

    def __init__(self, meet: Callable[[], object]) -> None:
        super().__init__()
        self._meet: Callable[[], object] | None = meet

    def create(self, path: str, data: bytes) -> int | None:
        made = super().create(path, data)
        self._meet_once()
        return made

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        super().overwrite(path, data, sync)
        self._meet_once()

    def _meet_once(self) -> None:
        meet, self._meet = self._meet, None
        if meet is not None:
            meet()


def test_an_entry_stored_while_its_file_is_made_stays(tmp_path: Path) -> None:
    filled(tmp_path, 0)
    directory = open_node(tmp_path)
    prepare(directory, Meeting(lambda: [append(directory, index) for index in range(2)]))
    assert entries(directory) == [(0, 1), (1, 1)]
    append(directory, 2)
    assert (directory.path / "logs" / "2.json").stat().st_size == 4096
    directory.close()
    again = open_node(tmp_path)
    assert entries(again) == [(0, 1), (1, 1), (2, 1)]
    again.close()


def living(tmp_path: Path, count: int) -> tuple[Directory, Preallocator]:
    """A directory with `count` entries in prepared files, all stored by this process, and its slow thread's work."""
    filled(tmp_path, 0)
    directory = open_node(tmp_path)
    slow = slow_of(directory)
    for index in range(count):
        work(slow)
        append(directory, index)
    return directory, slow


def use_up(directory: Directory, slow: Preallocator) -> None:
    """Append entries until the slow thread has to make files, and let it."""
    last = directory.log.last
    assert last is not None
    for index in range(last.index + 1, last.index + 1 + directory.log.ready_files.ready):
        append(directory, index)
    work(slow)


def inodes(directory: Directory, indices: Iterable[int]) -> set[int]:
    return {(directory.path / "logs" / f"{index}.json").stat().st_ino for index in indices}


def test_purged_files_of_this_process_are_used_again(tmp_path: Path) -> None:
    directory, slow = living(tmp_path, 8)
    before = inodes(directory, range(4))
    directory.log.purge(log_id(3))
    use_up(directory, slow)
    last = directory.log.last
    assert last is not None
    ready = range(last.index + 1, last.index + 1 + directory.log.ready_files.ready)
    assert before <= inodes(directory, ready)
    assert {(directory.path / "logs" / f"{index}.json").read_bytes() for index in ready} == {b" " * 4096}
    assert not {f"{index}.json" for index in range(4)} & set(names(directory.path))
    append(directory, last.index + 1)
    assert [index for index, _ in entries(directory)] == list(range(4, last.index + 2))
    directory.close()


def test_purged_files_beyond_what_is_wanted_are_removed_from_the_lowest(tmp_path: Path) -> None:
    directory, slow = living(tmp_path, 8)
    directory.log.max_spares = 2
    kept = inodes(directory, (4, 5))
    directory.log.purge(log_id(5))
    work(slow)
    assert {f"{index}.json" for index in range(6)} & set(names(directory.path)) == {"4.json", "5.json"}
    use_up(directory, slow)
    assert kept <= inodes(directory, (int(name.removesuffix(".json")) for name in names(directory.path)))
    directory.close()


def test_a_purged_file_of_another_size_or_with_a_second_name_is_not_used_again(tmp_path: Path) -> None:
    directory, slow = living(tmp_path, 8)
    append(directory, 8, text="x" * 5_000)
    backup = tmp_path / "backup.json"
    backup.hardlink_to(directory.path / "logs" / "2.json")
    kept = backup.read_bytes()
    directory.log.purge(log_id(8))
    for _ in range(3):
        use_up(directory, slow)
    assert all(file.stat().st_size in SIZES for file in (directory.path / "logs").iterdir())
    assert backup.stat().st_nlink == 1
    assert backup.read_bytes() == kept
    directory.close()


def test_a_file_that_was_purged_before_a_restart_is_removed_never_used_again(tmp_path: Path) -> None:
    directory, _ = living(tmp_path, 8)
    directory.log.purge(log_id(3))
    directory.close()
    again = open_node(tmp_path)
    assert not {f"{index}.json" for index in range(4)} & set(names(again.path))
    again.close()


def test_an_entry_stored_while_a_purged_file_is_on_its_way_to_its_name_stays(tmp_path: Path) -> None:
    directory, _ = living(tmp_path, 8)
    directory.log.purge(log_id(5))
    last = 7 + directory.log.ready_files.ready
    for index in range(8, last + 1):
        append(directory, index)
    prepare(directory, Meeting(lambda: append(directory, last + 1)))
    assert entries(directory)[-1] == (last + 1, 1)
    append(directory, last + 2)
    assert (directory.path / "logs" / f"{last + 2}.json").stat().st_size == 4096
    directory.close()
    again = open_node(tmp_path)
    assert entries(again) == [(index, 1) for index in range(6, last + 3)]
    again.close()


def test_purged_files_are_removed_where_none_are_kept(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(2))
    prepare(directory)
    assert not {"0.json", "1.json", "2.json"} & set(names(path))
    assert entries(directory) == [(3, 1), (4, 1)]
    directory.close()


class FullDisk(Files):
    """No new file can be made in logs/ but the first two, and those of one entry."""

    def create(self, path: str, data: bytes) -> int | None:
        if path.endswith("/2.json"):
            with self._writing("create", path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().create(path, data)


def test_a_failed_preparation_is_told_and_nothing_is_written_any_more(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path, 1, files=FullDisk())
    failures: list[Fatal] = []
    told = threading.Event()

    def failed(error: Fatal) -> None:
        failures.append(error)
        told.set()

    directory.prepare(failed)
    assert told.wait(DEADLINE)
    assert isinstance(failures[0], DiskFailed)
    assert "cannot create" in failures[0].message
    assert "logs/2.json: No space left on device (the disk is full" in failures[0].message
    with pytest.raises(DiskFailed, match="after an earlier failure"):
        append(directory, 0)
    directory.close()
    again = open_node(tmp_path)
    assert again.log.last is None
    again.close()


def test_the_slow_thread_ends_with_the_directory(tmp_path: Path) -> None:
    directory = Directory.open(tmp_path, 1)
    before = set(threading.enumerate())
    directory.prepare(lambda error: None)
    directory.close()
    assert before.issuperset(threading.enumerate())
    open_node(tmp_path).close()


class WithoutLinks(Unsynced):
    """A file system on which no file has a second name."""

    def __init__(self, error: int) -> None:
        super().__init__()
        self.asked = 0
        self._error = error

    def link(self, source: str, target: str) -> None:
        self.asked += 1
        raise OSError(self._error, os.strerror(self._error))


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_files_are_made_anew_and_nothing_ends(tmp_path: Path, error: int) -> None:
    directory, _ = living(tmp_path, 8)
    disk = WithoutLinks(error)
    slow = slow_of(directory, disk)
    for round_ in range(3):
        last = directory.log.last
        assert last is not None
        directory.log.purge(log_id(last.index - 1))
        use_up(directory, slow)
        last = directory.log.last
        assert last is not None
        ready = [last.index + 1 + each for each in range(directory.log.ready_files.ready)]
        assert ready
        assert {(directory.path / "logs" / f"{index}.json").read_bytes() for index in ready} == {b" " * 4096}
        if round_ == 0:
            asked = disk.asked
    assert disk.asked == asked > 0, "no file is blanked for nothing again"
    assert len(names(directory.path)) == len(ready) + len(entries(directory))
    directory.close()


def test_on_a_disk_short_of_room_ready_files_and_spares_are_given_back(tmp_path: Path) -> None:
    directory, slow = living(tmp_path, 8)
    directory.log.purge(log_id(3))
    work(slow)
    directory.log.ready_files.set_room(0)
    work(slow)
    assert names(directory.path) == ["4.json", "5.json", "6.json", "7.json"]
    append(directory, 8)
    directory.log.purge(log_id(6))
    work(slow)
    assert names(directory.path) == ["7.json", "8.json"]
    directory.log.ready_files.set_room(1 << 20)
    use_up(directory, slow)
    assert directory.log.ready_files.ready
    assert entries(directory)[-1] == (directory.log.last.index, 1)  # type: ignore[union-attr]
    directory.close()
    again = open_node(tmp_path)
    assert entries(again)[0] == (7, 1)
    again.close()
