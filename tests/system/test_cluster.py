"""Three nodes as real processes, formed by CLUSTER INIT, one of which is killed at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from tests.process import DEADLINE
from tests.proof.nodes import Nodes
from tests.proof.run import NODE_FLAGS

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

SCHEMA = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}]}


@pytest.fixture
def nodes(tmp_path: Path, fault_library: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path, 3, fault_library, NODE_FLAGS) as nodes:
        yield nodes


def test_each_node_is_killed_in_turn_and_nothing_is_lost(nodes: Nodes) -> None:
    with connect(nodes.urls[1]) as store:
        store.call("schema.set", schema=SCHEMA)
        user = store.create("User", "ann").id
    for value, victim in enumerate([nodes.leader(), *nodes.ids]):
        nodes.processes[victim].kill()
        urls = ",".join(nodes.urls[id] for id in nodes.others(victim))
        with connect(urls, timeout=DEADLINE) as store:
            store.set(user, "Age", value)
        nodes.start(victim)
        with connect(nodes.urls[victim], timeout=DEADLINE) as store:
            assert store.get(user, "Age").fields["Age"].value == value
    nodes.settled_digest()


def test_all_nodes_are_stopped_and_started_and_go_on(nodes: Nodes) -> None:
    with connect(nodes.urls[2]) as store:
        store.call("schema.set", schema=SCHEMA)
        user = store.create("User", "ann").id
    for process in nodes.processes.values():
        assert process.stop() == 0
    for id in nodes.ids:
        nodes.start(id)
    with connect(nodes.urls[3], timeout=DEADLINE) as store:
        store.set(user, "Age", 7)
    with connect(nodes.urls[1], timeout=DEADLINE) as store:
        assert store.get(user, "Age").fields["Age"].value == 7
    nodes.settled_digest()
