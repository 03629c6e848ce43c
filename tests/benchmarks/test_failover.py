from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.failover import longest_wait, main


def test_the_longest_wait_is_counted_from_the_signal_on() -> None:
    assert longest_wait([1.0, 9.0, 10.5, 11.0, 14.0, 14.5], since=10.0) == 3.0
    assert longest_wait([9.0, 12.0, 12.5], since=10.0) == 2.0


@pytest.mark.parametrize("how", ["--kill", "--handover"])
def test_a_whole_run_prints_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    monkeypatch.setattr("benchmarks.failover.SETTLE_SECONDS", 0.1)
    monkeypatch.setattr("benchmarks.peers.durability_warning", lambda folder, mounts: "")
    flags = [how, "--rounds", "2", "--heartbeat-ms", "100", "--election", "250-450", "--folder", str(tmp_path)]
    done = CliRunner().invoke(main, flags)
    assert done.exit_code == 0, done.output
    *rounds, summary = done.output.splitlines()
    assert [line.split()[1] for line in rounds] == ["ms", "ms"]
    assert "of the leader of 3, 2 rounds: median" in summary
