from __future__ import annotations

from pathlib import Path

from qcore.disk.space import default_reserve, space


def test_a_file_system_says_what_it_has(tmp_path: Path) -> None:
    found = space(str(tmp_path))
    assert found is not None
    assert 0 <= found.free <= found.total


def test_a_folder_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert space(str(tmp_path / "nowhere")) is None


def test_the_reserve_is_a_twentieth_up_to_512_mb() -> None:
    assert default_reserve(100 << 20) == 5 << 20
    assert default_reserve(1 << 40) == 512 << 20
