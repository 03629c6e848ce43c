"""`test_cluster.sh`, which people run to see that a cluster works on their machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 150


def run(*args: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "test_cluster.sh"
    return subprocess.run([script, *args], capture_output=True, text=True, timeout=LONGEST, check=False)


def test_a_cluster_on_this_machine_outlives_its_leader() -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    done = run()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "PASS"), done
    assert not done.stderr


@pytest.mark.parametrize("given", ["2", "many", "-1"])
def test_fewer_nodes_than_outlive_one_are_refused(given: str) -> None:
    done = run(given)
    assert done.returncode == 1
    assert "N of at least 3" in done.stderr
