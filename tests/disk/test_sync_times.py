"""Flushes are counted by kind, those of files that may fail by themselves, too."""

from __future__ import annotations

from pathlib import Path

from qcore.disk.files import Files


def test_each_kind_of_flush_is_counted(tmp_path: Path) -> None:
    files = Files()
    path = str(tmp_path / "a")
    files.write(path, b"1234")
    assert (files.syncs.fsync.count, files.syncs.fdatasync.count) == (1, 0)
    files.overwrite(path, b"5", sync=True)
    files.overwrite(path, b"6", sync=False)
    assert (files.syncs.fsync.count, files.syncs.fdatasync.count) == (1, 1)
    files.sync_folder(str(tmp_path))
    assert files.syncs.fsync.count == 2
    files.apart().extend(path, b"7", sync=True)
    assert files.syncs.fsync.count == 3
    assert files.syncs.fsync.sum > 0
