from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.disk import main, row
from benchmarks.load import Load, Measured


def measured(rate: float, p50_us: int = 1_000) -> Measured:
    return Measured(rate, 100, 1.0, p50_us, 9_000, 20_000, 0, 0, 120, 0.5)


def test_a_row_adds_the_nodes_up_and_shows_the_middle_round() -> None:
    rounds = [[measured(1), measured(1)], [measured(300, 2_000), measured(500, 4_000)], [measured(900), measured(900)]]
    assert row(Load(50), 2, rounds).split() == ["SET", "c=50", "2", "800", "400", "3.00", "9.00"]


def test_a_whole_run_prints_one_node_and_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.disk.FOLDER", tmp_path)
    flags = ["--nodes", "2", "--rounds", "1", "--seconds", "0.2", "--folder", str(tmp_path / "data")]
    done = CliRunner().invoke(main, flags)
    assert done.exit_code == 0, done.output
    assert [line.split()[1:3] for line in done.output.splitlines() if line.startswith("SET ")] == [
        ["c=1", "1"],
        ["c=1", "2"],
        ["c=50", "1"],
        ["c=50", "2"],
    ]
    assert "0 errors, 0 connections lost" in done.output
