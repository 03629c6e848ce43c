from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cluster_health.__main__ import PARTS, main
from benchmarks.cluster_health.report import row
from benchmarks.load import Measured


def test_a_row_is_in_milliseconds_and_names_what_failed() -> None:
    done = Measured(1_234.5, 100, 1.0, 1_500, 9_000, 20_000, 2, 1, 120, 0.5)
    assert row("both, 1 clients", done).split() == (
        ["both,", "1", "clients", "1,234", "1.5", "9.0", "20.0", "2", "errors,", "1", "connections", "lost"]
    )


def test_every_part_says_what_it_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    monkeypatch.setattr("benchmarks.cluster.qcore_cluster.FOLDER", tmp_path)
    brief = ["--seconds", "0.2", "--writes", "400", "--entries", "20", "--settle", "0"]
    done = CliRunner().invoke(main, [*brief, "--folder", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert all(part in lines for part in PARTS)
    assert sum("clients" in line for line in lines) == 8
    assert sum("20 entries behind, by" in line for line in lines) == 2
    assert sum(line.startswith(("SET 500", "GET 500")) for line in lines) == 8
    assert "errors" not in done.output
