"""A start on a disk without room: what it lets go before it writes anything, and what it never lets go."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.disk import room
from qcore.disk.directory import Directory
from qcore.disk.space import Space
from tests.disk.life import header_of
from tests.disk.samples import Unsynced, append, entries, filled, log_id, open_node, prepare

LEAST = 3000
"""Bytes that a start is to have; each entry has 1,000 and more."""


def used(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*.json"))


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the disk as large as what lies in the directory now."""

    def fill(free: int = 0) -> None:
        path = tmp_path / "node_1"
        size = used(path) + free
        monkeypatch.setattr(room, "space", lambda _folder: Space(1 << 30, max(size - used(path), 0)))
        monkeypatch.setattr(room, "_LEAST", LEAST)

    return fill


def snapshot(directory: Directory, index: int, lines: int = 0) -> Path:
    writer = directory.snapshots.begin(header_of(index, 1), index)
    writer.write(b"{}\n" * lines)
    found = writer.finish()
    directory.snapshots.add(found)
    return Path(found.path)


def snapshots(directory: Directory) -> list[int]:
    found = [each.header.last.index for each in directory.snapshots.found]
    assert len(list((directory.path / "snapshots").iterdir())) == len(found) + len(directory.snapshots.problems)
    return found


def long_log(folder: Path, count: int) -> Directory:
    filled(folder, count, "x" * 1000)
    return open_node(folder)


def test_snapshots_below_the_purge_mark_go_first(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 6)
    for index in (1, 3, 5):
        snapshot(directory, index, 2000)
    directory.log.purge(log_id(3))
    prepare(directory)
    directory.close()
    full(1 << 30)
    again = open_node(tmp_path)
    assert snapshots(again) == [5, 3, 1]
    again.close()
    full(0)
    again = open_node(tmp_path)
    assert snapshots(again) == [5, 3]
    assert again.log.ready_files.ready
    again.close()


def test_then_files_that_lie_ready(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 3)
    snapshot(directory, 1, 2000)
    snapshot(directory, 2, 2000)
    prepare(directory)
    directory.close()
    full(0)
    again = open_node(tmp_path)
    assert [path.name for path in sorted((again.path / "logs").iterdir())] == ["0.json", "1.json", "2.json"]
    assert not again.log.ready_files.ready
    assert snapshots(again) == [2, 1]
    append(again, 3)
    assert [index for index, _ in entries(again)] == [0, 1, 2, 3]
    again.close()


def test_then_the_oldest_snapshots_as_far_as_it_takes(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 6)
    for index in (1, 2, 3, 4):
        snapshot(directory, index, 1000)
    directory.close()
    full(0)
    again = open_node(tmp_path)
    assert snapshots(again) == [4, 3]
    assert [index for index, _ in entries(again)] == [0, 1, 2, 3, 4, 5]
    again.close()


def test_then_the_log_up_to_the_newest_good_snapshot(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 6)
    snapshot(directory, 3)
    directory.close()
    full(0)
    again = open_node(tmp_path)
    assert (snapshots(again), again.purged) == ([3], log_id(3))
    assert [index for index, _ in entries(again)] == [4, 5]
    assert sorted(path.name for path in (again.path / "logs").iterdir()) == ["4.json", "5.json"]
    assert again.committed == log_id(5)
    again.close()
    full(0)
    last = open_node(tmp_path)
    assert [index for index, _ in entries(last)] == [4, 5]
    last.close()


def test_a_damaged_snapshot_is_none(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 6)
    snapshot(directory, 2, 10)
    spoilt = snapshot(directory, 4, 10)
    directory.close()
    spoilt.write_bytes(spoilt.read_bytes().replace(b"{}\n{}", b"{}\n[]", 1))
    full(0)
    again = open_node(tmp_path)
    assert (snapshots(again), again.purged) == ([2], log_id(2))
    assert [index for index, _ in entries(again)] == [3, 4, 5]
    again.close()


def test_without_a_good_snapshot_nothing_goes(tmp_path: Path, full: Callable[[int], None]) -> None:
    long_log(tmp_path, 6).close()
    full(0)
    again = open_node(tmp_path)
    assert [index for index, _ in entries(again)] == [0, 1, 2, 3, 4, 5]
    again.close()


def test_a_log_that_does_not_fit_the_snapshot_is_left_to_the_start(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 3)
    snapshot(directory, 7)
    directory.close()
    full(0)
    again = open_node(tmp_path)
    assert (again.purged, [index for index, _ in entries(again)]) == (None, [0, 1, 2])
    again.close()


def test_a_disk_without_inodes_is_short_of_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = long_log(tmp_path, 6)
    snapshot(directory, 3)
    directory.close()
    for free, total, purged in ((20, 100, None), (None, 0, None), (3, 100, log_id(3))):
        monkeypatch.setattr(
            room, "space", lambda _folder, each=(free, total): Space(1 << 40, 1 << 30, each[1], each[0])
        )
        again = open_node(tmp_path)
        assert again.purged == purged
        again.close()


class Killed(Exception):
    pass


class KilledAt(Unsynced):
    """A process that is killed before its n-th change of the disk."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed

    def write(self, path: str, data: bytes) -> None:
        self._count()
        super().write(path, data)

    def overwrite(self, path: str, data: bytes, sync: bool) -> None:
        self._count()
        super().overwrite(path, data, sync)

    def rename(self, source: str, target: str) -> None:
        self._count()
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._count()
        super().unlink(path)

    def apart(self) -> KilledAt:
        return self


def test_a_start_that_makes_room_may_be_killed_at_any_step(tmp_path: Path, full: Callable[[int], None]) -> None:
    directory = long_log(tmp_path, 6)
    snapshot(directory, 1)
    snapshot(directory, 3)
    prepare(directory)
    directory.close()
    full(0)
    shutil.copytree(tmp_path / "node_1", tmp_path / "kept")
    for number in itertools.count():
        shutil.rmtree(tmp_path / "node_1")
        shutil.copytree(tmp_path / "kept", tmp_path / "node_1")
        through = True
        try:
            Directory.open(tmp_path, 1, files=KilledAt(number)).close()
        except Killed:
            through = False
        again = open_node(tmp_path)
        assert snapshots(again)[0] == 3
        assert [index for index, _ in entries(again)][-2:] == [4, 5]
        again.close()
        if through:
            assert number > 10
            return
