"""The module within real option types, which are those of a copy of nixpkgs' lib/ that NIXPKGS_LIB names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from qcore.server.config.rules import contradictions
from qcore.server.config.settings import SETTINGS, Setting, Settings
from qcore.server.config.sources import load
from tests.packaging.nix.nix_settings import SETTINGS_FILE
from tests.packaging.nix.running import NIX, ROOT, STUB, Nix
from tests.packaging.nix.test_units import SYSTEMD, UNITS, packaged
from tests.packaging.nix.unit_files import nixos_unit

TYPED = [setting for setting in SETTINGS if setting.name in json.loads(SETTINGS_FILE.read_text("utf-8"))]
FOLDER = "d /var/lib/qcore 0750 qcore qcore -"
EXAMPLES: dict[str, Any] = {
    "machine": "kitchen",
    "ws_addr": "192.168.1.10:8080",
    "peers": ["192.168.1.11:8080"],
    "advertise": "plant.example.org:8080",
    "cluster_id": "0" * 32,
    "allow_origin": ["https://console.example.org"],
    "election_timeout_min_ms": 500,
    "heartbeat_ms": 100,
    "insecure": True,
}


class System:
    """Evaluates systems with `services.qcore` in them."""

    def __init__(self, nix: Nix, lib: Path) -> None:
        self.nix, self.lib = nix, lib

    def expression(self, configuration: str, *, module: Path | str = NIX / "module") -> str:
        nixos = Path(__file__).parent / "nixos.nix"
        return f"(import {nixos} {{ lib = import {self.lib}; module = {module}; }} {configuration})"

    def built(self, options: str, part: str) -> Any:
        """Return a part of the system with these options of services.qcore."""
        return self.nix.evaluate(self.expression(self._enabled(options)) + f".{part}")

    def refusal(self, options: str, part: str) -> str:
        """Return why there is no such part with these options."""
        return self.nix.refusal(self.expression(self._enabled(options)) + f".{part}")

    def _enabled(self, options: str) -> str:
        return f"{{ services.qcore = {{ enable = true; {options} }}; }}"


@pytest.fixture(scope="module")
def system(nix: Nix) -> System:
    named = os.environ.get("NIXPKGS_LIB")
    if not named:
        pytest.skip("NIXPKGS_LIB is not set: it names a folder with nixpkgs' lib/")
    return System(nix, Path(named).resolve() / "lib")


def example(setting: Setting) -> Any:
    """A value of a setting that is good together with the other examples."""
    if setting.name in EXAMPLES:
        return EXAMPLES[setting.name]
    if setting.kind == "path":
        return f"/srv/{setting.name}"
    return setting.low if setting.default is None else setting.default


def in_nix(value: Any) -> str:
    if isinstance(value, list):
        return f"[ {' '.join(in_nix(item) for item in value)} ]"
    return json.dumps(value)


def assignments(values: dict[str, Any]) -> str:
    return "{ " + " ".join(f"{name} = {in_nix(value)};" for name, value in values.items()) + " }"


def test_a_node_runs_as_the_packaged_unit_has_it(system: System) -> None:
    services = system.built('clusterSecretFile = "/etc/qcore/cluster.secret"; nodes."3" = { };', "services")
    assert set(services) == {"qcore@3"}
    wanted = packaged("qcore@.service")["Service"]
    found = nixos_unit(services["qcore@3"], place="/package")["Service"]
    differing = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
    assert system.built("", "targets") == system.nix.evaluate(f"{{ qcore = ({UNITS}).target; }}")
    assert differing == {"Type", "ExecReload", "EnvironmentFile", "RestartSec", "RestartSteps", "RestartMaxDelaySec"}


def test_a_machine_has_one_node_and_no_open_port_by_default(system: System) -> None:
    files = system.built("", "files")
    assert files.pop("qcore/qcore.toml") == {"data_dir": "/var/lib/qcore"}
    assert files.pop("qcore/node-1.toml") == {}
    assert set(files) == {f"systemd/catalog/{file.name}" for file in SYSTEMD.glob("*.catalog")}
    assert system.built("", "firewall") == {"allowedTCPPorts": [], "allowedUDPPorts": []}
    assert system.built("", "users") == ["qcore"]
    assert system.built("", "problems") == system.built("", "warnings") == []


def test_the_commands_of_root_find_the_secret(system: System) -> None:
    files = system.built('clusterSecretFile = "/etc/qcore/cluster.secret";', "files")
    assert files["qcore/qcore.toml"]["cluster_secret_file"] == "/etc/qcore/cluster.secret"


def test_the_daemon_takes_every_setting_as_the_module_writes_it(system: System, tmp_path: Path) -> None:
    given = {setting.name: example(setting) for setting in TYPED}
    files = system.built(f"settings = {assignments(given)};", "files")
    written = tmp_path / "qcore.toml"
    written.write_text(tomli_w.dumps(files["qcore/qcore.toml"]), "utf-8")
    loaded = load({}, [str(written)], {})
    assert {setting.name: setting.plain(getattr(loaded.settings, setting.name)) for setting in TYPED} == given
    assert {loaded.sources[name] for name in given} == {f"file {written}"}


def test_settings_are_held_to_the_bounds_of_the_daemon(system: System) -> None:
    questions: dict[str, tuple[str, Any, bool]] = {}
    for setting in TYPED:
        trials = [(None, True), (example(setting), True), ({}, False)]
        if setting.low is not None and setting.high is not None:
            trials += [(setting.low, True), (setting.high, True), (setting.low - 1, False), (setting.high + 1, False)]
        elif setting.choices:
            trials += [("no such word", False)]
        for value, good in trials:
            questions[f"{setting.name} = {value}"] = (setting.name, value, good)
    asked = " ".join(
        f"{{ name = {json.dumps(question)}; value = (builtins.getAttr {json.dumps(name)} options).type.check "
        f"(builtins.fromJSON {json.dumps(json.dumps(value))}); }}"
        for question, (name, value, _) in questions.items()
    )
    expression = f"""
      let
        found = {system.expression("{ services.qcore.enable = true; }")};
        options = found.options.settings.type.getSubOptions [ ];
      in
      builtins.listToAttrs [ {asked} ]
    """
    assert system.nix.evaluate(expression) == {question: good for question, (_, _, good) in questions.items()}


def test_a_setting_of_the_wrong_type_is_refused_by_its_name(system: System) -> None:
    refusal = system.refusal("settings.max_list = 0;", "files")
    assert "services.qcore.settings.max_list" in refusal
    assert "between 1 and 10000000" in refusal


def test_a_key_that_no_setting_has_is_written_and_warned_of(system: System) -> None:
    options = "settings.max_lists = 5;"
    assert system.built(options, "files")["qcore/qcore.toml"]["max_lists"] == 5
    assert system.built(options, "warnings") == [
        "services.qcore.settings.max_lists is no setting that this module knows"
    ]


def test_nodes_have_settings_of_their_own(system: System) -> None:
    options = 'nodes = { "1" = { }; kitchen = { id = 2; settings.ws_addr = "127.0.0.1:8081"; }; };'
    assert set(system.built(options, "services")) == {"qcore@1", "qcore@2"}
    assert system.built(options, "files")["qcore/node-2.toml"] == {"ws_addr": "127.0.0.1:8081"}
    assert system.built(options, "problems") == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("nodes.kitchen = { };", "services.qcore.nodes.kitchen.id: expected a number, as the name is none"),
        ("nodes = { };", "services.qcore.nodes: expected a node"),
        ('nodes = { "2" = { settings.ws_addr = "[::1]:9"; }; b.id = 2; };', "two nodes have the id 2"),
        ('nodes = { "1" = { }; "2" = { }; };', "two nodes have the port 8080"),
        ('settings.ws_addr = "8080";', "services.qcore.nodes.1.settings: expected host:port, given 8080"),
        ('settings = { ws_addr = "0.0.0.0:8080"; enable_discovery = true; };', "clusterSecretFile: expected a file"),
        ("settings.id = 2;", "services.qcore.settings.id: give services.qcore.nodes.<name>.id instead"),
        ('nodes."1".settings.id = 2;', "services.qcore.nodes.1.settings.id: give"),
        ('settings.cluster_secret_file = "/s";', "cluster_secret_file: give services.qcore.clusterSecretFile instead"),
    ],
)
def test_what_cannot_work_is_said_when_the_system_is_built(system: System, options: str, problem: str) -> None:
    problems = system.built(options, "problems")
    assert len(problems) == 1, problems
    assert problem in problems[0]


def test_any_port_is_no_clash(system: System) -> None:
    assert system.built('settings.ws_addr = "127.0.0.1:0"; nodes = { "1" = { }; "2" = { }; };', "problems") == []


ADDRESSES = ("127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080", "[::]:8080", "192.168.1.10:8080", "plant:8080")
CONTRADICTIONS: list[dict[str, Any]] = [
    {"heartbeat_ms": 200, "election_timeout_min_ms": 399},
    {"election_timeout_min_ms": 700},
    *({"ws_addr": addr} for addr in ADDRESSES),
    *({"ws_addr": addr, "enable_discovery": True} for addr in ADDRESSES),
    *({"ws_addr": addr, "enable_discovery": True, "insecure": True} for addr in ADDRESSES),
    *({"ws_addr": addr, "enable_discovery": True, "peers": ["10.0.0.2:8080"]} for addr in ADDRESSES),
    *({"ws_addr": addr, "peers": ["127.0.0.1:8081", "localhost:8082"]} for addr in ADDRESSES),
    *({"ws_addr": addr, "peers": ["10.0.0.2:8080"]} for addr in ADDRESSES),
    *({"advertise": addr, "peers": ["plant:8080"]} for addr in ADDRESSES),
    *({"advertise": addr, "ws_addr": "0.0.0.0:8080", "insecure": True} for addr in ADDRESSES),
]


@pytest.mark.parametrize("secret", [None, "/run/secret"])
def test_the_module_refuses_what_the_daemon_refuses(system: System, secret: str | None) -> None:
    asked = [
        system.expression(
            f"{{ services.qcore = {{ enable = true; clusterSecretFile = {in_nix(secret)}; "
            f"settings = {assignments(values)}; }}; }}"
        )
        for values in CONTRADICTIONS
    ]
    found = system.nix.evaluate(f"map (system: builtins.length system.problems) [ {' '.join(asked)} ]")
    file = None if secret is None else Path(secret)
    expected = [len(contradictions(Settings(**values, cluster_secret_file=file))) for values in CONTRADICTIONS]
    assert dict(zip(map(str, CONTRADICTIONS), found, strict=True)) == dict(
        zip(map(str, CONTRADICTIONS), expected, strict=True)
    )


def test_a_secret_does_not_come_into_the_store(system: System) -> None:
    assert "services.qcore.clusterSecretFile" in system.refusal("clusterSecretFile = ./running.py;", "services")
    refusal = system.refusal('clusterSecretFile = builtins.toFile "secret" "of everybody";', "services")
    assert "not in the Nix store" in refusal


def test_the_firewall_opens_the_ports_of_nodes_and_mdns(system: System) -> None:
    options = 'openFirewall = true; clusterSecretFile = "/s"; settings.ws_addr = "0.0.0.0:8080";'
    assert system.built(options, "firewall") == {"allowedTCPPorts": [8080], "allowedUDPPorts": []}
    options += " settings.enable_discovery = true;"
    options += ' nodes = { "1" = { }; "2".settings.ws_addr = "[::]:8081"; "3".settings.ws_addr = "0.0.0.0:0"; };'
    assert system.built(options, "firewall") == {"allowedTCPPorts": [8080, 8081], "allowedUDPPorts": [5353]}
    assert system.built(options, "warnings") == []


def test_an_open_port_that_nobody_reaches_is_warned_of(system: System) -> None:
    assert system.built("openFirewall = true;", "warnings") == [
        "services.qcore.openFirewall: ws_addr 127.0.0.1:8080 is reached from this machine only"
    ]


def test_data_elsewhere_has_its_folder_made(system: System) -> None:
    options = 'nodes = { "1" = { }; "2".settings = { ws_addr = "127.0.0.1:8081"; data_dir = "/srv/qcore"; }; };'
    assert system.built(options, "folders") == [FOLDER, "d /srv/qcore 0750 qcore qcore -"]
    services = system.built(options, "services")
    assert services["qcore@2"]["serviceConfig"]["ReadWritePaths"] == ["/srv/qcore"]
    assert "ReadWritePaths" not in services["qcore@1"]["serviceConfig"]


def test_folders_are_those_of_the_packaged_tmpfiles(system: System) -> None:
    packaged_lines = (SYSTEMD / "qcore.tmpfiles").read_text("utf-8").splitlines()
    assert system.built("backup.enable = true;", "folders") == [line for line in packaged_lines if line[0] == "d"]


def test_each_node_has_a_backup_where_they_are_enabled(system: System) -> None:
    options = 'backup = { enable = true; directory = "/mnt/backup"; keep = 3; startAt = "hourly"; };'
    assert set(system.built(options, "services")) == {"qcore@1", "qcore-backup@1"}
    assert system.built(options, "timers")["qcore-backup@1"]["timerConfig"]["OnCalendar"] == "hourly"
    assert system.built(options, "folders") == [FOLDER, "d /mnt/backup 0750 qcore qcore -"]
    assert system.built("", "timers") == {}


def test_the_machines_of_the_vm_test_are_good_ones(system: System) -> None:
    test = f"(import {NIX}/vm-test.nix {{ module = {NIX}/module; }})"
    machines = system.nix.evaluate(f"builtins.attrNames {test}.nodes")
    assert machines == ["node1", "node2", "node3"]
    for name in machines:
        found = system.nix.evaluate(
            f"let found = {system.expression(f'{test}.nodes.{name}', module='{ }')}; in "
            "{ inherit (found) problems warnings; services = builtins.attrNames found.services; }"
        )
        assert found == {
            "problems": [],
            "warnings": [],
            "services": [f"qcore-backup@{name[-1]}", f"qcore@{name[-1]}"],
        }


def test_the_script_of_the_vm_test_is_python(nix: Nix) -> None:
    script = nix.evaluate(f"(import {NIX}/vm-test.nix {{ module = {{ }}; }}).testScript")
    compile(script, "vm-test.nix", "exec")


def test_the_packages_evaluate_with_the_library_of_nixpkgs(system: System) -> None:
    """Files that the packages are made of are there, and licences have the names that nixpkgs gives them."""
    # File sets ask for a builtin that came after Nix 2.8.
    expression = f"""
      let
        readFileType = path: (builtins.readDir (dirOf path)).${{baseNameOf path}};
        scope = {{
          import = builtins.scopedImport scope;
          builtins = {{ inherit readFileType; }} // builtins;
        }};
        lib = builtins.scopedImport scope {system.lib};
        packages = import {STUB}/packages.nix {{ inherit lib; system = "x86_64-linux"; }};
      in
      with packages.extend (import {NIX}/overlay.nix);
    """
    found = system.nix.evaluate(
        expression
        + "{ inherit (qcore) drvPath; extension = qcore.python.pkgs.qcore-openraft.drvPath; inherit (qcore) meta; }"
    )
    assert found["drvPath"].endswith(".drv")
    assert found["extension"].endswith(".drv")
    assert found["meta"]["license"]["spdxId"] == "Apache-2.0"
    assert (ROOT / "LICENSE").exists()
