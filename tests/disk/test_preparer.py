from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.stock import GROUP
from qcore.model.errors import DiskFailed, Fatal
from tests.disk.samples import Unsynced, append, entries, filled, log_id, names, open_node, prepare
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
    """Something else happens once, after the first file was made."""

    def __init__(self, meet: Callable[[], object]) -> None:
        super().__init__()
        self._meet: Callable[[], object] | None = meet

    def create(self, path: str, data: bytes) -> int | None:
        made = super().create(path, data)
        meet, self._meet = self._meet, None
        if meet is not None:
            meet()
        return made


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


def test_purged_files_are_removed(tmp_path: Path) -> None:
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
    before = threading.active_count()
    directory.prepare(lambda error: None)
    directory.close()
    assert threading.active_count() == before
    open_node(tmp_path).close()
