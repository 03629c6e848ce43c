from __future__ import annotations

from typing import Any

import pytest

from tests.packaging.nix.running import NIX, ROOT, Nix
from tests.packaging.nix.unit_files import Unit, nixos_unit, read_unit

SYSTEMD = ROOT / "packaging" / "systemd"
UNITS = f"import {NIX}/module/units.nix"
NODE = 'package = "/package"; id = 3; clusterSecretFile = "/etc/qcore/cluster.secret";'
BACKUP = 'backup = { directory = "/var/backups/qcore"; keep = 14; startAt = "daily"; };'


def rendered(nix: Nix, call: str) -> Any:
    return nixos_unit(nix.evaluate(f"({UNITS}).{call}"), place="/package")


def packaged(name: str) -> Unit:
    return read_unit(SYSTEMD / name, instance=3)


def test_a_node_runs_as_the_packaged_unit_has_it(nix: Nix) -> None:
    wanted = packaged("qcore@.service")
    # NixOS has settings only in /etc/qcore, and a systemd that knows notify-reload and growing pauses.
    service = wanted["Service"]
    del service["EnvironmentFile"], service["ExecReload"]
    service |= {"Type": ["notify-reload"], "RestartSec": ["1"], "RestartSteps": ["6"], "RestartMaxDelaySec": ["30"]}
    assert rendered(nix, f'node {{ {NODE} dataDir = "/var/lib/qcore"; }}') == wanted


def test_a_backup_runs_as_the_packaged_unit_has_it(nix: Nix) -> None:
    wanted = packaged("qcore-backup@.service")
    # What stands in /etc/default elsewhere stands in the unit.
    del wanted["Service"]["EnvironmentFile"]
    wanted["Service"]["Environment"] = ["BACKUP_DIR=/var/backups/qcore", "BACKUP_KEEP=14"]
    wanted["Unit"]["RequiresMountsFor"] = ["/var/backups/qcore"]
    assert rendered(nix, f'backup {{ {NODE} {BACKUP} dataDir = "/var/lib/qcore"; }}') == wanted


def test_the_timer_is_the_packaged_one(nix: Nix) -> None:
    assert rendered(nix, f"timer {{ id = 3; {BACKUP} }}") == packaged("qcore-backup@.timer")


def test_the_target_is_the_packaged_one(nix: Nix) -> None:
    # The installer has it come up with each boot.
    assert rendered(nix, "target") == packaged("qcore.target") | {"Install": {"WantedBy": ["multi-user.target"]}}


def test_without_a_secret_no_credential_is_loaded(nix: Nix) -> None:
    node = NODE.replace('"/etc/qcore/cluster.secret"', "null")
    unit = rendered(nix, f'node {{ {node} dataDir = "/var/lib/qcore"; }}')
    assert not {"LoadCredential", "Environment", "AssertPathExists"} & {*unit["Unit"], *unit["Service"]}


def test_data_elsewhere_is_mounted_first_and_may_be_written(nix: Nix) -> None:
    unit = rendered(nix, f'node {{ {NODE} dataDir = "/srv/qcore"; }}')
    assert unit["Unit"]["RequiresMountsFor"] == ["/srv/qcore"]
    assert unit["Service"]["ReadWritePaths"] == ["/srv/qcore"]


@pytest.mark.parametrize("name", ["qcore@.service", "qcore-backup@.service"])
def test_a_unit_that_differs_in_one_word_is_told_apart(name: str) -> None:
    unit = packaged(name)
    changed = packaged(name)
    changed["Service"]["SystemCallFilter"] = ["@system-service"]
    assert unit != changed
