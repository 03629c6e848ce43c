"""Three nodes without a disk and without a link form a cluster: what the machine asks is carried out, in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import Ask, encode
from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.engine.base import ChangeDone
from qcore.model.entry import Membership
from qcore.model.errors import NoQuorum, RequestError
from qcore.server.peers.forming import Forming
from qcore.server.runtime import budgets
from tests.cluster.formation.explorer import candidate, identity
from tests.disk.samples import Unsynced
from tests.server.fake_engine import FakeEngine
from tests.server.running import until


class Beginning(FakeEngine):
    """Notes with which membership it was to begin."""

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory)
        self.begun: list[Membership] = []
        self.refusals: list[RequestError] = []

    def initialize(self, members: Membership, done: ChangeDone) -> None:
        self.begun.append(members)
        done(self.refusals.pop() if self.refusals else None)


class Network:
    """Delivers in the next turn of the loop; a node's disk is as slow."""

    def __init__(self, directory: Directory, count: int) -> None:
        self.nodes: dict[int, Host] = {}
        for id in range(1, count + 1):
            self.nodes[id] = Host(self, id, Beginning(directory))
        for id, node in self.nodes.items():
            node.forming.start(has_log=False)
            for other in self.nodes:
                if other != id:
                    node.forming.met(candidate(other), "", candidate(other).addr)

    def stop(self) -> None:
        for node in self.nodes.values():
            node.forming.stop()


class Host:
    def __init__(self, network: Network, id: int, engine: Beginning) -> None:
        self.network = network
        self.id = id
        self.engine = engine
        self.told: list[Identity] = []
        self.done: list[RequestError | None] = []
        self.forming = Forming(Formation(identity(id), candidate(id).addr), engine, self)

    def init(self, *ids: int) -> None:
        self.forming.formation.init(ids)
        self.forming.go_on()

    def save_identity(self, identity: Identity, done: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(done)

    def send_formation(self, node: int, data: bytes) -> None:
        receiver = self.network.nodes[node // 65_536]
        asyncio.get_running_loop().call_soon(receiver.forming.receive, candidate(self.id), data)

    def identity_changed(self, identity: Identity) -> None:
        self.told.append(identity)

    def init_done(self, error: RequestError | None) -> None:
        self.done.append(error)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory.open(tmp_path, 1, machine="testbed", files=Unsynced())


@pytest.fixture(autouse=True)
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "FORMATION_TICK_SECONDS", 0.005)


async def test_an_init_begins_one_cluster_and_all_know_of_it(directory: Directory) -> None:
    network = Network(directory, 3)
    network.nodes[2].init()
    nodes = network.nodes.values()
    await until(lambda: all(node.forming.formation.state == "member" for node in nodes) and network.nodes[2].done)
    assert network.nodes[2].done == [None]
    assert len({node.forming.formation.identity.cluster for node in nodes}) == 1
    assert network.nodes[2].engine.begun[0].configs == [[65_536, 2 * 65_536, 3 * 65_536]]
    for node in nodes:
        node.forming.established()
    await until(lambda: all(node.told[-1].promise is None for node in nodes))
    network.stop()
    directory.close()


async def test_two_inits_at_once_begin_one_cluster(directory: Directory) -> None:
    network = Network(directory, 3)
    network.nodes[1].init()
    network.nodes[3].init()
    nodes = network.nodes.values()
    await until(lambda: all(node.forming.formation.state == "member" for node in nodes))
    assert len({node.forming.formation.identity.cluster for node in nodes}) == 1
    network.stop()
    directory.close()


async def test_an_engine_that_cannot_begin_yet_is_asked_again(directory: Directory) -> None:
    network = Network(directory, 1)
    network.nodes[1].engine.refusals.append(NoQuorum("not yet"))
    network.nodes[1].init(1)
    await until(lambda: network.nodes[1].done)
    assert network.nodes[1].done == [None]
    assert len(network.nodes[1].engine.begun) == 2
    network.stop()
    directory.close()


async def test_what_is_no_message_is_passed_over(directory: Directory) -> None:
    network = Network(directory, 2)
    network.nodes[1].forming.receive(candidate(2), b"\xc1")
    network.nodes[1].forming.receive(candidate(2), encode(Ask()))
    assert network.nodes[1].forming.formation.state == "blank"
    network.stop()
    directory.close()


async def test_a_node_with_a_log_begins_nothing(directory: Directory) -> None:
    network = Network(directory, 1)
    known = Host(network, 1, network.nodes[1].engine)
    known.forming = Forming(Formation(identity(1, cluster="ab" * 16), candidate(1).addr), known.engine, known)
    known.forming.start(has_log=True)
    assert known.engine.begun == []
    known.forming.stop()
    network.stop()
    directory.close()
