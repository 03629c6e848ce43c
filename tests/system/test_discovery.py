"""Nodes that find each other by mDNS and form a cluster by themselves.

Each test has a secret of its own, so that nodes of other tests on this machine are none of its business.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.client.blocking import connect
from qcore.model.errors import QcoreError
from tests.conftest import NodeFactory
from tests.process import DEADLINE, SCHEMA_FILE, NodeProcess
from tests.system.membership import until_votes


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, ...]:
    secret = tmp_path / "cluster.secret"
    secret.write_text(secrets.token_urlsafe(32))
    secret.chmod(0o600)
    return (
        *("--config-file", str(SCHEMA_FILE), "--engine", "openraft", "--enable-discovery", "--auto-init"),
        *("--cluster-secret-file", str(secret)),
    )


def messages(node: NodeProcess, *events: str) -> list[str]:
    return [node.wait_for_event(event)["message"] for event in events]


def members(node: NodeProcess) -> list[int]:
    with connect(node.url, timeout=DEADLINE) as store:
        return [member.node for member in store.info().members]


@pytest.mark.parametrize("min_nodes", ["1", "2"])
def test_the_quick_start_of_two_terminals(node_factory: NodeFactory, flags: tuple[str, ...], min_nodes: str) -> None:
    first, second = (
        node_factory(*flags, "--min-nodes", min_nodes, "--settle-time", settle, name="cluster_data", node=id)
        for id, settle in ((1, "6"), (2, "3"))
    )
    first.start()
    second.start()
    said = messages(first, "registered", "discovered", "discovered_node", "minimum_reached", "initializing")
    assert said == [
        f"Registered mDNS service: qcore-node-1 on {first.address}",
        f"Discovered node: 2 at {second.address}",
        f"Discovered node 2 (2/{min_nodes})",
        "Minimum nodes reached, auto-initializing cluster...",
        "Initializing cluster with nodes: "
        f'{{1: BasicNode {{ addr: "{first.address}" }}, 2: BasicNode {{ addr: "{second.address}" }}}}',
    ]
    for node in (first, second):
        assert messages(node, "initialized") == ["Cluster initialized successfully"]
    with connect(second.url, timeout=DEADLINE) as store:
        assert store.info().leader in (1, 2)
        user = store.create("User", "john@example.com").id
    assert messages(second, "connection_opened")[0].startswith("New WebSocket connection from: 127.0.0.1:")
    with connect(first.url, timeout=DEADLINE) as store:
        assert store.get(user, "Name").fields["Name"].value == "john@example.com"
    assert members(first) == members(second) == [1, 2]


def test_below_min_nodes_a_node_is_a_learner_that_reads_and_says_what_is_missing(
    node_factory: NodeFactory, flags: tuple[str, ...]
) -> None:
    node = node_factory(*flags, "--min-nodes", "3", "--discovery-timeout", "1")
    node.start()
    assert "goes on waiting: 1 of at least 3 nodes are there" in messages(node, "discovery_timeout")[0]
    with connect(node.url, timeout=1) as store:
        assert store.info().role == "learner"
        assert store.find("Root").items
        with pytest.raises(QcoreError, match=r"1 of at least 3 nodes are there .* 2 more must be started"):
            store.create("Folder", "new")


def test_a_node_that_hears_a_cluster_forms_none_and_is_taken_in(
    node_factory: NodeFactory, flags: tuple[str, ...]
) -> None:
    first = node_factory(*flags, "--min-nodes", "1", "--settle-time", "1", node=1)
    first.start()
    first.wait_for_event("leading")
    with connect(first.url, timeout=DEADLINE) as store:
        cluster = store.info().cluster
        user = store.create("User", "john@example.com").id
    second = node_factory(*flags, "--min-nodes", "1", node=2)
    second.start()
    until_votes(second, {1: "voter", 2: "voter"})
    with connect(second.url, timeout=DEADLINE) as store:
        assert store.info().cluster == cluster
        assert store.get(user, "Name").fields["Name"].value == "john@example.com"
    assert not second.events("minimum_reached")


def test_a_node_that_was_alone_grows_into_three_and_loses_nothing(
    node_factory: NodeFactory, flags: tuple[str, ...]
) -> None:
    alone = node_factory("--config-file", str(SCHEMA_FILE), "--engine", "embedded", name="data_1", node=1)
    alone.start()
    with connect(alone.url, timeout=DEADLINE) as store:
        user = store.create("User", "john@example.com").id
    assert alone.stop() == 0
    nodes = [node_factory(*flags, "--min-nodes", "2", name=f"data_{id}", node=id) for id in (1, 2, 3)]
    for node in nodes:
        node.start()
    for node in nodes:
        until_votes(node, dict.fromkeys([1, 2, 3], "voter"))
        with connect(node.url, timeout=DEADLINE) as store:
            assert store.get(user, "Name").fields["Name"].value == "john@example.com"


def test_of_two_nodes_with_one_id_the_later_one_stops(node_factory: NodeFactory, flags: tuple[str, ...]) -> None:
    first = node_factory(*flags, "--min-nodes", "3", node=1)
    first.start()
    first.wait_for_event("registered")
    second = node_factory(*flags, "--min-nodes", "3", node=1)
    second.start()
    assert second.wait() == 69
    assert f"node 1 runs at {first.address} already" in second.log()
    assert first.running


def test_nodes_of_another_secret_are_named_and_not_linked(
    node_factory: NodeFactory, flags: tuple[str, ...], tmp_path: Path
) -> None:
    first = node_factory(*flags, "--min-nodes", "2", node=1)
    first.start()
    (tmp_path / "cluster.secret").write_text(secrets.token_urlsafe(32))
    second = node_factory(*flags, "--min-nodes", "2", node=2)
    second.start()
    strangers = messages(first, "discovered_stranger")
    assert strangers[0].endswith("has another cluster secret than this node: not linked")
    assert not first.events("linked")
    with connect(first.url, timeout=DEADLINE) as store:
        assert store.info().refused == strangers
