from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.bench import main, middle, table
from benchmarks.load import Load, Measured
from benchmarks.peers import Qcore, durable_folder


def measured(rate: float, errors: int = 0) -> Measured:
    return Measured(rate, 100, 1.0, 1_500, 9_000, 20_000, errors, 0, 120, 0.5)


def test_the_round_of_median_rate_is_shown() -> None:
    assert middle([measured(3), measured(900), measured(5)]).rate == 5


def test_a_row_shows_both_systems_in_milliseconds_and_their_ratio() -> None:
    case = ("SET", Load(50, 16))
    lines = table({("qcore", case): [measured(500)], ("Redis", case): [measured(1_000)]}, ["qcore", "Redis"])
    assert lines[-1].split() == ["SET", "c=50", "x", "16", "500", "1.50", "9.00", "1,000", "1.50", "9.00", "0.50"]


def test_one_system_alone_has_no_ratio() -> None:
    lines = table({("qcore", ("GET", Load(1))): [measured(500)]}, ["qcore"])
    assert lines[-1].split() == ["GET", "c=1", "500", "1.50", "9.00"]


def test_a_folder_in_memory_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        durable_folder(Path("/dev/shm/qcore-bench"))
    assert ended.value.code == 2


def test_a_node_says_how_durable_it_is(tmp_path: Path) -> None:
    with Qcore(tmp_path) as qcore:
        qcore.prepare()
        assert "durability fsync" in qcore.describe()
        assert len(set(qcore.ids)) == 1_000


def test_a_whole_run_prints_every_case_without_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.bench.FOLDER", tmp_path)
    done = CliRunner().invoke(main, ["--rounds", "1", "--seconds", "0.2", "--folder", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    assert done.output.count("SET ") == done.output.count("GET ") == 4
    assert "0 errors, 0 connections lost" in done.output
