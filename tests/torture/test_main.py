from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.process import DEADLINE
from tests.proof.nodes import until
from tests.torture.__main__ import main

built = pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
if not built.IS_TORTURE_BUILD:
    pytest.skip("the OpenRaft extension is not built for the torture", allow_module_level=True)


@pytest.mark.usefixtures("fault_library")
def test_a_run_tells_its_faults_and_leaves_nothing(tmp_path: Path) -> None:
    flags = ["--seeds", "139", "--actions", "1", "--evidence", str(tmp_path / "evidence")]
    result = CliRunner().invoke(main, flags)
    assert result.exit_code == 0, result.output
    line, total, faults = result.output.splitlines()
    assert line.startswith("seed 139 (alone): ")
    assert total.startswith("1 runs in ")
    assert faults.startswith("faults: ")
    assert not (tmp_path / "evidence").exists()


@pytest.mark.usefixtures("fault_library")
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    command = [sys.executable, "-m", "tests.torture", "--seed", "4", "--evidence", str(evidence)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    until(lambda: list(evidence.glob("4/running/data_1/node_1/logs/*")), lambda: "the node has a log")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE)
    assert output == "interrupted; no run was finished\n"
    assert process.returncode == 130
    assert not evidence.exists()
