"""The units as they are delivered: hardened, and with the exit codes that the daemon has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qcore.model.errors import AlreadyRunning, Fatal
from qcore.server.config.sources import DEFAULT_FILE

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
SERVICES = ("qcore@.service", "qcore-backup@.service")
MOST_EXPOSED = 15
"""Tenths of systemd's exposure level."""


def values(unit: str, key: str) -> list[str]:
    """All values that a unit gives a key, in their order."""
    return re.findall(rf"^{re.escape(key)}=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.MULTILINE)


def codes(kind: type[Fatal]) -> set[int]:
    """The exit codes of an error and of those below it."""
    return {kind.exit_code}.union(*(codes(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_hardened(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", UNITS / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_runs_as_its_own_user_and_sees_no_home(unit: str) -> None:
    assert values(unit, "User") == ["qcore"]
    assert values(unit, "ProtectHome") == ["yes"]
    assert values(unit, "CapabilityBoundingSet") == [""]


def test_what_does_not_heal_by_itself_is_not_started_again() -> None:
    """All but a crash (1), and an address or a directory in use, which may be free in a moment."""
    kept_down = {int(code) for code in values("qcore@.service", "RestartPreventExitStatus")[0].split()}
    assert kept_down == {2, 65, 69, 70, 71, 74, 77}
    assert codes(Fatal) - kept_down == {Fatal.exit_code, AlreadyRunning.exit_code}


def test_settings_are_those_of_all_nodes_and_then_of_one() -> None:
    (start,) = values("qcore@.service", "ExecStart")
    assert start.endswith(f" --settings {DEFAULT_FILE} --settings -{DEFAULT_FILE.parent}/node-%i.toml --id %i")


def test_the_secret_reaches_the_node_as_a_credential() -> None:
    assert values("qcore@.service", "LoadCredential") == ["cluster.secret:/etc/qcore/cluster.secret"]
    assert values("qcore@.service", "AssertPathExists") == ["/etc/qcore/cluster.secret"]
    assert values("qcore@.service", "Environment") == ["QCORE_CLUSTER_SECRET_FILE=%d/cluster.secret"]


def test_a_stop_may_take_as_long_as_the_node_takes() -> None:
    from qcore.server.runtime.budgets import GOODBYE_SECONDS, STOP_SECONDS

    assert int(values("qcore@.service", "TimeoutStopSec")[0]) > STOP_SECONDS + 3 * GOODBYE_SECONDS
    assert values("qcore@.service", "WatchdogSec") == ["30"]
