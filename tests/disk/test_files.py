from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.disk.files import Files
from qcore.model.errors import Damaged, DiskFailed


@pytest.fixture
def files() -> Iterator[Files]:
    made = Files()
    yield made
    made.close()


def test_a_stored_file_replaces_the_old_one_whole_and_leaves_nothing_else(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "vote.json")
    files.store(path, b"a long first content")
    files.store(path, b"short")
    assert files.read(path) == b"short"
    assert files.names(str(tmp_path)) == ["vote.json"]


def test_overwriting_keeps_what_lies_behind(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "committed.json")
    files.store(path, b"0123456789")
    files.overwrite(path, b"ab", sync=True)
    assert files.read(path) == b"ab23456789"


def test_overwriting_a_file_that_is_not_there_fails(files: Files, tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match=r"cannot overwrite .*/nothing: No such file"):
        files.overwrite(str(tmp_path / "nothing"), b"ab", sync=False)


def test_a_new_file_is_never_made_over_another(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "7.json")
    descriptor = files.create(path, b"  ")
    assert descriptor is not None
    files.finish(descriptor, path, grown=True)
    os.close(descriptor)
    assert files.create(path, b"other") is None
    assert files.read(path) == b"  "


def test_the_shape_of_a_file_is_its_size_and_its_names(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "7.json"
    assert files.shape(str(path)) is None
    path.write_bytes(b"1234")
    (tmp_path / "backup").hardlink_to(path)
    assert files.shape(str(path)) == (4, 2)


def test_a_missing_file_reads_as_none_and_an_unreadable_one_is_damage(files: Files, tmp_path: Path) -> None:
    assert files.read(str(tmp_path / "nothing")) is None
    with pytest.raises(Damaged, match="expected a file, found a folder"):
        files.read(str(tmp_path))


def test_folders_are_made_with_those_above(files: Files, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    files.make_folder(str(deep))
    files.make_folder(str(deep))
    assert deep.is_dir()


def test_a_file_in_the_place_of_a_folder_is_named(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DiskFailed, match=r"cannot create the folder .*/a: File exists \(a file stands"):
        files.make_folder(str(tmp_path / "a" / "b"))


class BrokenDisk(Files):
    """A disk whose fsync fails, once."""

    broken = True

    def fsync(self, descriptor: int, path: str) -> None:
        if self.broken:
            self.broken = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fsync(descriptor, path)


def test_after_a_failed_fsync_nothing_is_written_any_more(tmp_path: Path) -> None:
    files = BrokenDisk()
    path = str(tmp_path / "vote.json")
    with pytest.raises(DiskFailed, match=r"cannot write .*/vote\.json\.tmp: Input/output error"):
        files.store(path, b"first")
    with pytest.raises(DiskFailed, match=r"refused to write .* after an earlier failure: cannot write .*Input/output"):
        files.store(path, b"second")
    assert files.read(path) is None
    files.close()


class _Syncfs:
    """Takes the place of the call; fails if it is to."""

    def __init__(self, result: int) -> None:
        self.result = result
        self.calls: list[int] = []

    def __call__(self, descriptor: int) -> int:
        self.calls.append(descriptor)
        return self.result


@pytest.mark.parametrize("result", [0, -1])
def test_a_file_system_is_flushed_by_the_descriptor_of_a_held_folder(
    files: Files, tmp_path: Path, result: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = _Syncfs(result)
    monkeypatch.setattr("qcore.disk.files._syncfs", flush)
    files.hold(str(tmp_path))
    assert not files.sync_all(str(tmp_path))
    assert flush.calls == []
    files.whole = True
    before = files.syncs.fsync.count
    assert files.sync_all(str(tmp_path)) is (result == 0)
    assert len(flush.calls) == files.syncs.fsync.count - before == 1
    files.close()


def test_nothing_is_flushed_after_a_failure(tmp_path: Path) -> None:
    files = Files()
    files.hold(str(tmp_path))
    files.whole = True
    assert files.sync_all(str(tmp_path))
    with pytest.raises(DiskFailed):
        files.overwrite(str(tmp_path / "nothing"), b"", sync=False)
    assert not files.sync_all(str(tmp_path))
    files.close()


def test_a_file_that_is_left_open_is_synced_by_what_changed(tmp_path: Path) -> None:
    files = Files()
    path = str(tmp_path / "7.json")
    for grown in (True, False):
        descriptor = files.create(path, b"    ") if grown else files.open_over(path, b"ab")
        assert descriptor is not None
        files.finish(descriptor, path, grown=grown)
        os.close(descriptor)
        assert (files.syncs.fsync.count, files.syncs.fdatasync.count) == ((1, 0) if grown else (1, 1))
    assert files.read(path) == b"ab  "
