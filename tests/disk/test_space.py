from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from qcore.disk.space import default_reserve, files_reserve, kept, last_files, last_slice, space


def test_a_file_system_says_what_it_has(tmp_path: Path) -> None:
    found = space(str(tmp_path))
    assert found is not None
    assert 0 <= found.free <= found.total


def test_a_folder_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert space(str(tmp_path / "nowhere")) is None


def test_the_reserve_is_a_twentieth_up_to_512_mb() -> None:
    assert default_reserve(100 << 20) == 5 << 20
    assert default_reserve(1 << 40) == 512 << 20


def test_the_last_slice_is_a_quarter_of_the_reserve_up_to_16_mb() -> None:
    assert last_slice(10 << 20) == (10 << 20) // 4
    assert last_slice(512 << 20) == 16 << 20


def test_what_is_kept_is_the_reserve_or_what_a_snapshot_needs_with_room_for_deletions() -> None:
    assert kept(512 << 20, 100 << 20) == 512 << 20
    assert kept(512 << 20, 1 << 30) == (1 << 30) + (32 << 20)
    assert kept(0, 1 << 30) == 0


def test_a_file_system_without_a_bound_of_files_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = space(str(tmp_path))
    assert found is not None
    assert found.free_files is None or 0 <= found.free_files <= found.total_files
    blocks = {"f_blocks": 10, "f_frsize": 4096, "f_bavail": 5}
    for files, favail, free in ((0, 0, None), (100, 0, 0), (100, 7, 7)):
        answer = SimpleNamespace(**blocks, f_files=files, f_favail=favail)
        monkeypatch.setattr(os, "statvfs", lambda _folder, answer=answer: answer)
        found = space(str(tmp_path))
        assert found is not None
        assert (found.total, found.free, found.total_files, found.free_files) == (40960, 20480, files, free)


def test_a_twentieth_of_the_files_is_kept_up_to_1000_and_a_quarter_of_that_to_the_last() -> None:
    assert [files_reserve(total) for total in (0, 400, 1 << 30)] == [0, 20, 1000]
    assert [last_files(total) for total in (0, 400, 1 << 30)] == [0, 5, 250]
