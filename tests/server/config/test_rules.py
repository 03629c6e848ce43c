from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.disk.identity import Identity
from qcore.model.errors import ConfigError
from qcore.model.initial_cluster import Candidate, InitialCluster
from qcore.server.config.rules import check_identity, contradictions
from qcore.server.config.settings import Settings

FAR, NEAR = ("10.0.0.2:8080",), ("127.0.0.1:8081", "localhost:8082")
SECRET = Path("secret")
BLANK = Identity(1, "press", "01" * 16)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"peers": NEAR},
        {"ws_addr": "10.0.0.1:8080", "peers": FAR, "cluster_secret_file": SECRET},
        {"ws_addr": "10.0.0.1:8080", "peers": FAR, "insecure": True},
        {"ws_addr": "0.0.0.0:8080", "advertise": "10.0.0.1:8080", "peers": FAR, "cluster_secret_file": SECRET},
        {"ws_addr": "127.0.0.1:8080", "advertise": "node1:80", "peers": FAR, "cluster_secret_file": SECRET},
        {"heartbeat_ms": 100, "election_timeout_min_ms": 250, "election_timeout_max_ms": 450},
        {"enable_discovery": True},
        {"ws_addr": "0.0.0.0:8080", "enable_discovery": True, "cluster_secret_file": SECRET},
        {"ws_addr": "0.0.0.0:8080", "enable_discovery": True, "peers": FAR, "insecure": True},
        {"auto_init": True, "cluster_id": "ab" * 16, "peers": NEAR},
    ],
)
def test_settings_that_go_together_are_taken(settings: dict[str, Any]) -> None:
    assert contradictions(Settings(**settings)) == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"heartbeat_ms": 201}, "election_timeout_min_ms: expected at least twice heartbeat_ms (201), given 400"),
        ({"election_timeout_max_ms": 400}, "election_timeout_max_ms: expected more than election_timeout_min_ms (400)"),
        ({"peers": FAR, "cluster_secret_file": SECRET}, "ws_addr: 127.0.0.1 is this machine only, and 10.0.0.2:8080"),
        ({"ws_addr": "[::1]:80", "peers": ("node2:80",), "insecure": True}, "ws_addr: ::1 is this machine only"),
        ({"ws_addr": "0.0.0.0:80", "peers": FAR, "insecure": True}, "advertise: with ws_addr 0.0.0.0:80 other nodes"),
        ({"ws_addr": "[::]:80", "peers": NEAR, "insecure": True}, "advertise: with ws_addr [::]:80 other nodes"),
        ({"advertise": "0.0.0.0:80"}, "advertise: 0.0.0.0:80 is no address that others can reach"),
        ({"ws_addr": "10.0.0.1:80", "peers": FAR}, "cluster_secret_file: expected a secret"),
        ({"ws_addr": "0.0.0.0:80", "enable_discovery": True}, "cluster_secret_file: expected a secret"),
        ({"ws_addr": "10.0.0.1:80", "peers": NEAR}, "cluster_secret_file: expected a secret"),
        ({"witness": True}, "witness: it votes beside others: give peers or enable_discovery"),
        ({"witness": True, "peers": NEAR, "engine": "embedded"}, "witness: it needs engine openraft (or auto)"),
    ],
)
def test_settings_that_contradict_each_other_are_told(settings: dict[str, Any], problem: str) -> None:
    (found,) = contradictions(Settings(**settings))
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("settings", "identity"),
    [
        ({}, BLANK),
        ({"cluster_id": "ab" * 16}, msgspec.structs.replace(BLANK, cluster="ab" * 16)),
        ({"cluster_id": "ab" * 16, "peers": NEAR}, BLANK),
        ({"bootstrap": "join", "enable_discovery": True}, BLANK),
        ({"bootstrap": "join"}, msgspec.structs.replace(BLANK, cluster="ab" * 16)),
    ],
)
def test_a_directory_that_fits_is_used(settings: dict[str, Any], identity: Identity) -> None:
    check_identity(Settings(**settings), identity)


def test_a_directory_of_another_cluster_is_refused() -> None:
    identity = msgspec.structs.replace(BLANK, cluster="cd" * 16)
    with pytest.raises(ConfigError, match=f"node 1 belongs to cluster {'cd' * 16}, cluster_id says {'ab' * 16}"):
        check_identity(Settings(cluster_id="ab" * 16), identity)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"bootstrap": "join"}, "bootstrap = join"), ({"cluster_id": "ab" * 16}, "cluster_id is set")],
)
def test_a_blank_node_that_may_only_join_does_not_begin_alone(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"node 1 is blank and may only join a cluster \({said}\)"):
        check_identity(Settings(**settings), BLANK)


def test_a_node_that_a_cluster_has_taken_in_does_not_begin_another_one_alone() -> None:
    admitted = msgspec.structs.replace(BLANK, cluster="ab" * 16, admitted=True)
    with pytest.raises(ConfigError, match=r"node 1 was taken in by cluster abab.*, has nothing of it yet"):
        check_identity(Settings(), admitted)
    check_identity(Settings(peers=NEAR), admitted)
    check_identity(Settings(), msgspec.structs.replace(admitted, admitted=False))


def test_a_node_that_has_promised_does_not_begin_alone() -> None:
    members = (Candidate(65_536, BLANK.incarnation, "10.0.0.1:80"), Candidate(2 * 65_536, "02" * 16, "10.0.0.2:80"))
    promise = InitialCluster("02" * 16, 1, "ab" * 16, members, chosen=True)
    promised = msgspec.structs.replace(BLANK, promise=promise)
    with pytest.raises(ConfigError, match="node 1 has promised to form cluster abababab of nodes 1 and 2"):
        check_identity(Settings(), promised)
    check_identity(Settings(peers=NEAR), promised)


@pytest.mark.parametrize("begun", [False, True])
def test_a_directory_is_that_of_a_witness_or_of_a_node_with_data_for_ever(begun: bool) -> None:
    known = msgspec.structs.replace(BLANK, cluster="ab" * 16 if begun else "")
    witness = msgspec.structs.replace(known, witness=True)
    check_identity(Settings(witness=True, peers=NEAR), witness)
    with pytest.raises(ConfigError, match="node 1 has the directory of a witness, which keeps no state: start it with"):
        check_identity(Settings(peers=NEAR), witness)
    with pytest.raises(ConfigError, match="node 1 has a directory with data: a witness begins on an empty one"):
        check_identity(Settings(witness=True, peers=NEAR), known)
