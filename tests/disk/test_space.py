from __future__ import annotations

from pathlib import Path

from qcore.disk.space import default_reserve, kept, last_slice, space


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
