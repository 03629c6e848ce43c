"""The service on a machine with a real systemd, from its installation to its removal, as docs/deployment.md has it.

The tests of this file are steps of one life of a machine, in their order; each relies on those before.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.appliance.guide import Guide
from tests.appliance.machine import Machine, missing
from tests.appliance.wheels import ROOT, pack_wheels

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

SOURCE, WHEELS = "/mnt/source", "/mnt/wheels"
GUIDE = Guide(SOURCE, WHEELS)
ALL_BACKUPS = "systemctl start qcore-backup@1 qcore-backup@2 qcore-backup@3"
"""Only on the node that leads it takes one, and who leads may change at any time."""
UNITS = "/usr/local/lib/systemd/system"
PYTHON = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which qcore is installed, as the guide does it."""
    if reason := missing():
        pytest.skip(reason)
    if shutil.which(PYTHON) is None:
        pytest.skip(f"the system has no {PYTHON}, for which the packages of these tests are")
    folder = tmp_path_factory.mktemp("appliance")
    wheels = folder / "wheels"
    wheels.mkdir()
    pack_wheels(wheels)
    with Machine(folder, {ROOT: SOURCE, wheels: WHEELS}) as booted:
        booted.run(f"make -s -C {SOURCE} install WHEELS={WHEELS} PYTHON={PYTHON}")
        yield booted


def answer(machine: Machine, command: str) -> dict[str, Any]:
    """What qcore-cli answers as JSON."""
    found: dict[str, Any] = json.loads(machine.run(f"qcore-cli -f json {command}"))
    return found


def all_vote(machine: Machine) -> None:
    """Wait until any one of three nodes may be lost."""
    machine.wait("qcore-cli --url ws://127.0.0.1:8080,ws://127.0.0.1:8082 CLUSTER | grep 'tolerates 1 failure'")


def restarted(machine: Machine, unit: str) -> None:
    """Wait until systemd has started a unit again by itself."""
    machine.wait(f"test $(systemctl show --value --property NRestarts {unit}) -ge 1 && systemctl is-active {unit}")


def test_a_node_starts_as_the_guide_says(machine: Machine) -> None:
    GUIDE.follow(machine, "Start")
    assert machine.show("qcore@1", "NRestarts") == "0"
    assert machine.show("qcore@1", "StatusText") != ""


def test_the_node_is_nobody_but_its_own_user(machine: Machine) -> None:
    pid = machine.show("qcore@1", "MainPID")
    assert machine.run(f"stat -c %U /proc/{pid}") == "qcore"
    assert set(machine.run(f"sed -n 's/^Cap.*:\\s*//p' /proc/{pid}/status").split()) == {"0" * 16}
    assert machine.run("stat -c '%U %a' /etc/qcore/cluster.secret /var/lib/qcore").split("\n") == [
        "root 600",
        "qcore 750",
    ]


def test_what_was_installed_can_be_found(machine: Machine) -> None:
    assert machine.run("systemd-analyze verify --recursive-errors=no " + f"{UNITS}/qcore*") == ""
    installed = machine.run("cat /usr/local/lib/qcore/installed-files").split()
    assert {"/usr/local/bin/qcore", "/usr/local/share/man/man1/qcore-cli.1"} <= set(installed)
    assert machine.run(f"ls {' '.join(installed)} >/dev/null") == ""
    assert "#!/usr/local/lib/qcore/bin/python" in machine.run("head -n 1 /usr/local/bin/snapshot-tool")


def test_the_journal_explains_what_the_catalog_has(machine: Machine) -> None:
    known = machine.run("journalctl --list-catalog")
    for catalog in (ROOT / "packaging" / "systemd").glob("*.catalog"):
        ids = re.findall(r"^-- ([0-9a-f]{32})", catalog.read_text(encoding="utf-8"), re.MULTILINE)
        assert [id for id in ids if id not in known] == []


def test_a_reload_reads_the_settings_again(machine: Machine) -> None:
    machine.run("echo 'log_level = \"debug\"' > /etc/qcore/node-1.toml; systemctl reload qcore@1")
    machine.wait("journalctl --quiet -u qcore@1 | grep 'Settings reloaded; changed: log_level'")
    machine.run("rm /etc/qcore/node-1.toml")
    assert machine.show("qcore@1", "NRestarts") == "0"


def test_wrong_settings_keep_a_node_down_and_name_the_mistake(machine: Machine) -> None:
    machine.run("echo 'max_list = 0' > /etc/qcore/node-4.toml")
    assert machine.shell("systemctl start qcore@4").returncode == 1
    shown = {name: machine.show("qcore@4", name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")}
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "max_list: expected a whole number from 1 to" in machine.journal("-u qcore@4")
    machine.run("rm /etc/qcore/node-4.toml; systemctl reset-failed qcore@4")


def test_a_secret_that_is_missing_keeps_a_node_down_and_is_named(machine: Machine) -> None:
    machine.run("mv /etc/qcore/cluster.secret /etc/qcore/moved")
    assert machine.shell("systemctl restart qcore@1").returncode == 1
    assert "AssertPathExists=/etc/qcore/cluster.secret was not met" in machine.shell("systemctl status qcore@1").stdout
    assert machine.show("qcore@1", "ActiveState") == "inactive"
    machine.run("mv /etc/qcore/moved /etc/qcore/cluster.secret; systemctl start qcore@1")


def test_the_two_lines_of_a_node_on_the_network_are_all_it_needs(machine: Machine) -> None:
    lines = GUIDE.block("A node on the network", "toml")
    printed = machine.run(f"cat {SOURCE}/packaging/systemd/install")
    assert all(line in printed for line in lines.splitlines())
    check = f"qcore --settings /etc/qcore/qcore.toml --settings <(echo '{lines}') config check"
    assert machine.run(check).startswith("OK: ")


def test_a_node_on_the_network_is_backed_up(machine: Machine) -> None:
    """Its settings need a secret, of which the backup has only the name."""
    machine.run(f"echo '{GUIDE.block('A node on the network', 'toml')}' > /etc/qcore/node-1.toml")
    machine.run("systemctl start qcore-backup@1; rm /etc/qcore/node-1.toml")
    machine.run("rm /var/backups/qcore/node-1-*.json")


def test_three_nodes_form_a_cluster_as_the_guide_says(machine: Machine) -> None:
    GUIDE.follow(machine, "Three nodes on one machine")
    assert len(answer(machine, "CLUSTER")["members"]) == 3


def test_a_node_that_is_killed_comes_back(machine: Machine) -> None:
    machine.run("systemctl kill --signal KILL qcore@2")
    assert answer(machine, "--wait 60 CREATE Folder meanwhile /Root")["id"]
    restarted(machine, "qcore@2")
    all_vote(machine)
    assert machine.run("qcore-cli --url ws://127.0.0.1:8082 EXISTS /Root/meanwhile") == "true"


def test_a_node_that_is_frozen_is_killed_by_the_watchdog_and_comes_back(machine: Machine) -> None:
    drop_in = "/run/systemd/system/qcore@3.service.d"
    machine.run(f"mkdir -p {drop_in}; printf '[Service]\\nWatchdogSec=5\\n' > {drop_in}/watchdog.conf")
    machine.run("systemctl daemon-reload; systemctl restart qcore@3; systemctl kill --signal STOP qcore@3")
    restarted(machine, "qcore@3")
    assert "Watchdog timeout" in machine.journal("-u qcore@3")
    machine.run(f"rm -r {drop_in}; systemctl daemon-reload; systemctl restart qcore@3")
    all_vote(machine)


def test_the_node_that_leads_takes_backups_and_keeps_the_newest(machine: Machine) -> None:
    GUIDE.follow(machine, "Backup")
    machine.wait(f"{ALL_BACKUPS} && ls /var/backups/qcore/node-*.json")
    for file in machine.run("ls /var/backups/qcore/node-*.json").split():
        assert "complete" in machine.run(f"snapshot-tool validate --input {file}")
        assert machine.run(f"stat -c '%U %a' {file}") == "qcore 600"
    machine.run("touch /var/backups/qcore/node-{1,2,3}-20000101T00000{0..4}Z.json")
    machine.run("echo BACKUP_KEEP=3 >> /etc/default/qcore-backup")
    count = " || ".join(f"test $(ls /var/backups/qcore/node-{id}-* | wc -l) = 3" for id in (1, 2, 3))
    machine.wait(f"{ALL_BACKUPS} && {{ {count}; }}")
    machine.run("rm /var/backups/qcore/node-*-2000*.json")


def test_a_backup_stays_where_older_ones_have_later_names(machine: Machine) -> None:
    """As after a clock that was wrong."""
    machine.run("touch /var/backups/qcore/node-{1,2,3}-20990101T00000{0..4}Z.json")
    machine.run("echo BACKUP_KEEP=1 >> /etc/default/qcore-backup; touch /tmp/before")
    taken = "find /var/backups/qcore -name 'node-*' -newer /tmp/before"
    machine.wait(f'{ALL_BACKUPS} && test -n "$({taken})"')
    machine.run("rm -f /var/backups/qcore/node-*-2099*.json")


def test_a_backup_that_cannot_be_taken_is_a_failed_unit(machine: Machine) -> None:
    machine.run("cp /etc/default/qcore-backup /tmp/kept; echo BACKUP_DIR=/nowhere >> /etc/default/qcore-backup")
    machine.wait(f"! {{ {ALL_BACKUPS}; }}")
    assert "cannot write /nowhere/node-" in machine.journal("-u 'qcore-backup@*'")
    machine.run("cp /tmp/kept /etc/default/qcore-backup; systemctl reset-failed 'qcore-backup@*'")


def test_no_backup_is_removed_where_none_is_to_be_kept(machine: Machine) -> None:
    before = machine.run("ls /var/backups/qcore")
    machine.run("cp /etc/default/qcore-backup /tmp/kept; echo BACKUP_KEEP=0 >> /etc/default/qcore-backup")
    machine.run(f"! {ALL_BACKUPS}")
    assert "BACKUP_KEEP: expected a whole number from 1 on, given 0" in machine.journal("-u 'qcore-backup@*'")
    machine.run("cp /tmp/kept /etc/default/qcore-backup; systemctl reset-failed 'qcore-backup@*'")
    assert machine.run("ls /var/backups/qcore") == before


def test_a_cluster_that_lost_all_its_disks_is_restored_as_the_guide_says(machine: Machine) -> None:
    epoch = answer(machine, "INFO")["epoch"]
    machine.run("touch --date 2000-01-01 /var/backups/qcore/node-9-20000101T000000Z.json")  # where it led long ago
    GUIDE.follow(machine, "Restore")
    all_vote(machine)
    assert machine.run("stat -c %U /var/lib/qcore/node_1") == "qcore"
    assert machine.run("qcore-cli --url ws://127.0.0.1:8083 EXISTS /Root/meanwhile") == "true"
    assert answer(machine, "INFO")["epoch"] != epoch


def test_an_upgrade_keeps_what_was_edited_and_renews_what_was_not(machine: Machine) -> None:
    pids = [machine.show(f"qcore@{id}", "MainPID") for id in (1, 2, 3)]
    machine.run("echo '# older' | tee /etc/default/qcore > /usr/local/share/qcore/defaults/qcore")
    machine.run("echo /usr/local/share/doc/qcore/gone >> /usr/local/lib/qcore/installed-files")
    machine.run("sort -o /usr/local/lib/qcore/installed-files /usr/local/lib/qcore/installed-files")
    machine.run("touch /usr/local/share/doc/qcore/gone; cp /etc/qcore/cluster.secret /tmp/secret")
    GUIDE.follow(machine, "Upgrade")
    assert "enable_discovery = true" in machine.run("tail -n 1 /etc/qcore/qcore.toml")
    assert machine.run("cat /etc/default/qcore") == machine.run(f"cat {SOURCE}/packaging/systemd/qcore.default")
    assert machine.run("cmp /etc/qcore/cluster.secret /tmp/secret; ls /usr/local/share/doc/qcore") == "examples"
    assert not set(pids) & {machine.show(f"qcore@{id}", "MainPID") for id in (1, 2, 3)}


def test_nothing_but_backups_is_left_as_the_guide_says(machine: Machine) -> None:
    machine.run("mkdir /etc/systemd/system/qcore@.service.d")
    machine.run("cp /usr/local/share/doc/qcore/examples/memory.conf /etc/systemd/system/qcore@.service.d")
    machine.run("systemctl stop qcore.target; cp -a /var/lib/qcore /tmp/data; rm -r /var/lib/qcore/*")
    machine.run("mount -t tmpfs tmpfs /var/lib/qcore; cp -a /tmp/data/. /var/lib/qcore")
    machine.run("systemctl daemon-reload; systemctl start qcore.target")
    GUIDE.follow(machine, "Remove")
    assert machine.run("ls -A /var/lib/qcore; umount /var/lib/qcore; rmdir /var/lib/qcore; rm -r /tmp/data") == ""
    assert machine.shell("id qcore").returncode == 1
    assert machine.run("find /etc /usr/local /var/lib /run/systemd/system -name '*qcore*'") == ""
    assert machine.run("systemctl list-units --all --no-legend 'qcore*'") == ""
    assert "node-" in machine.run("ls /var/backups/qcore")


def test_every_section_with_commands_is_followed() -> None:
    assert GUIDE.titles() == ["Start", "Three nodes on one machine", "Backup", "Restore", "Upgrade", "Remove"]
