from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cluster.__main__ import main
from benchmarks.cluster.members import Case, addresses
from benchmarks.cluster.table import Round, costs, rates
from benchmarks.cluster.usage import Usage, process_usage
from benchmarks.load import Load, Measured

CASE = Case("write", Load(50), "leader")


def measured(rate: float) -> Round:
    used = Usage(cpu_seconds=0.01, written_bytes=300_000, flushes=20)
    return Round(Measured(rate, 100, 1.0, 1_500, 9_000, 20_000, 0, 0, 1_000, 0.005), used, used.plus(used))


def test_a_row_shows_medians_and_the_ratios_of_the_rounds() -> None:
    found = {
        "qcore": {CASE: [measured(rate) for rate in (100, 300, 900)]},
        "etcd": {CASE: [measured(rate) for rate in (100, 200, 300)]},
    }
    row = ["write", "50", "leader", "300", "1.50", "9.00", "200", "1.50", "9.00", "1.50", "1.00", "-", "3.00", "1.2"]
    assert rates(found)[-1].split() == row


def test_one_system_alone_has_no_ratio() -> None:
    assert rates({"qcore": {CASE: [measured(300)]}})[-1].split() == ["write", "50", "leader", "300", "1.50", "9.00"]


def test_costs_are_for_each_answer_and_each_follower() -> None:
    line = costs({"qcore": {CASE: [measured(300), measured(400)]}})[-1]
    assert line.split() == ["write", "50", "leader", "qcore", "10.0", "10.0", "5.0", "35.0", "0.020", "0.020", "900"]


def test_a_lone_client_of_all_nodes_talks_to_a_follower() -> None:
    nodes = ["a:1", "b:1", "c:1"]
    assert addresses(nodes, 0, "leader") == "a:1"
    assert addresses(nodes, 0, "all") == "b:1,c:1,a:1"


def test_a_process_has_used_time_of_its_own() -> None:
    before = process_usage(os.getpid())
    while (process_usage(os.getpid()) - before).cpu_seconds <= 0:
        pass


def test_a_whole_run_prints_every_case_without_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    monkeypatch.setattr("benchmarks.cluster.qcore_cluster.FOLDER", tmp_path)
    flags = ["--rounds", "1", "--seconds", "0.2", "--alone", "--folder", str(tmp_path / "data")]
    done = CliRunner().invoke(main, flags)
    assert done.exit_code == 0, done.output
    assert done.output.count("write ") == 2 * 8
    assert done.output.count("read ") == 2 * 6
    assert "0 errors, 0 connections lost" in done.output
