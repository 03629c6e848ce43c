"""What clients ask about the cluster: of a node alone, of one in a cluster, and of blank ones that form one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import InitDone, Save, Send, Standing
from qcore.disk.directory import Directory
from qcore.engine.base import ChangeDone
from qcore.model.entry import Member, Membership
from qcore.model.errors import NoQuorum
from qcore.model.initial_cluster import Candidate
from qcore.model.requests.cluster import ClusterInit, ClusterStatus, ClusterTransfer
from qcore.model.wire import decode_json
from qcore.server.calls import Call
from qcore.server.cluster_api import ClusterApi
from tests.disk.samples import Unsynced
from tests.server.fake_engine import OTHER, SELF, FakeEngine
from tests.server.running import Client, running, until

LEARNER = 3 * 65_536


async def test_a_node_alone_has_a_status_and_forms_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client: Client = run.client()
        state = await client.result("cluster.status")
        (member,) = state["members"]
        assert member == {
            "node": 1,
            "addr": "127.0.0.1:1",
            "role": "leader",
            "vote": "voter",
            "lag": 0,
            "alive": True,
            "waiting": None,
            "disk": None,
            "witness": False,
        }
        assert (state["leader"], state["formation"], state["tolerates"], state["waiting"]) == (1, "member", 0, None)
        assert state["cluster"] == run.directory.identity.cluster
        assert "no other node has this data" in state["outlook"]
        refused = (await client.ask("cluster.init"))["error"]
        assert refused["data"] == {"kind": "forbidden"}
        assert "node 1 runs alone as cluster" in refused["message"]
        for order in ("add", "remove", "promote"):
            refused = (await client.ask(f"cluster.{order}", id=2))["error"]
            assert refused["data"] == {"kind": "forbidden"}
            assert refused["message"] == "node 1 runs alone: members need --peers, on every node"
        assert await client.result("cluster.transfer", id=1) == {"leader": 1}
        unknown = (await client.ask("cluster.transfer", id=2))["error"]
        assert unknown["message"] == "node 2 is no member of the cluster; its members: 1"


class Asked:
    """Makes calls of requests, and keeps their answers."""

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}

    def answered(self, call: Call, text: bytes | None) -> None:
        assert text is not None
        self.answers[call.slot] = decode_json(text)

    def call(self, params: Any, seconds: float = 3600.0) -> Call:
        call = Call(self, b"1", params.__struct_config__.tag, params, time.monotonic(), len(self.answers))
        call.slot = id(call)
        call.deadline = call.begun + seconds
        return call

    def result(self, call: Call) -> Any:
        return self.answers[call.slot]["result"]

    def error(self, call: Call) -> Any:
        return self.answers[call.slot]["error"]


class House:
    """The API of node 1, with an engine and a part in forming a cluster."""

    def __init__(self, directory: Directory, formation: Formation | None = None) -> None:
        self.engine = FakeEngine(directory)
        self.transfers: list[tuple[int, ChangeDone]] = []
        self.asked = Asked()
        members = {node: Member(f"127.0.0.1:{node}", "00" * 16) for node in (SELF, OTHER, LEARNER)}
        membership = Membership([[SELF, OTHER]], members) if formation is None else None
        self.api = ClusterApi(self.engine, directory, "127.0.0.1:1", lambda: membership, dict, self._transfer)
        if formation is not None:
            self.engine.cluster = formation.identity.cluster
            self.api.form_by(formation, lambda: setattr(self, "wished", True))
        self.wished = False

    def _transfer(self, node: int, deadline: float, done: ChangeDone) -> None:
        self.transfers.append((node, done))

    def run(self, params: Any, seconds: float = 3600.0) -> Call:
        call = self.asked.call(params, seconds)
        self.api.run(call)
        return call


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    found = Directory.open(tmp_path, 1, machine="testbed", files=Unsynced())
    yield found
    found.close()


async def test_a_member_tells_who_votes_and_what_the_next_failure_does(directory: Directory) -> None:
    house = House(directory)
    state = house.asked.result(house.run(ClusterStatus()))
    assert [(each["node"], each["vote"]) for each in state["members"]] == [(1, "voter"), (2, "voter"), (3, "learner")]
    assert [each["role"] for each in state["members"]][1:] == ["follower", "learner"]
    assert state["tolerates"] == -1
    assert state["outlook"].startswith("no quorum")


async def test_leadership_is_handed_to_a_voter(directory: Directory) -> None:
    house = House(directory)
    house.engine._leader = 1
    call = house.run(ClusterTransfer(2))
    assert not call.done
    ((node, done),) = house.transfers
    assert node == OTHER
    done(None)
    assert house.asked.result(call) == {"leader": 2}
    call = house.run(ClusterTransfer(2))
    house.transfers[1][1](NoQuorum("node 2 is behind"))
    assert house.asked.error(call)["message"] == "node 2 is behind"


async def test_leadership_is_handed_to_no_learner_and_by_nobody_where_nobody_leads(directory: Directory) -> None:
    house = House(directory)
    house.engine._leader = 1
    assert house.asked.error(house.run(ClusterTransfer(3)))["message"] == "node 3 is a learner: only a voter can lead"
    assert house.asked.error(house.run(ClusterTransfer(4)))["data"]["kind"] == "not_found"
    house.engine._leader = None
    error = house.asked.error(house.run(ClusterTransfer(1)))
    assert error["data"] == {"kind": "no_quorum", "elsewhere": True}
    assert house.transfers == []


async def test_a_node_that_follows_has_leadership_handed_over_too(directory: Directory) -> None:
    house = House(directory)
    house.engine._leader = 2
    assert house.asked.result(house.run(ClusterTransfer(2))) == {"leader": 2}
    call = house.run(ClusterTransfer(1))
    ((node, done),) = house.transfers
    assert node == SELF
    done(None)
    assert house.asked.result(call) == {"leader": 1}


async def test_a_transfer_that_does_not_end_is_answered_at_its_deadline(directory: Directory) -> None:
    house = House(directory)
    house.engine._leader = 1
    call = house.run(ClusterTransfer(2), seconds=0.0)
    await until(lambda: call.done)
    assert house.asked.error(call)["data"] == {"kind": "timeout", "applied": "unknown"}


# -- forming -----------------------------------------------------------------------------------------------


def other() -> Candidate:
    return Candidate(OTHER, "02" * 16, "127.0.0.1:2")


def carry_out(house: House, formation: Formation, directory: Directory) -> None:
    """What a node does with the actions; the other node promises whatever comes."""
    while actions := formation.take_actions():
        for action in actions:
            if isinstance(action, Save):
                directory.save_identity(action.identity)
                formation.saved()
            elif isinstance(action, Send):
                formation.receive(other(), Standing(promise=directory.identity.promise))
            elif isinstance(action, InitDone):
                house.api.init_done(action.error)


async def test_an_init_is_answered_when_the_cluster_begins(directory: Directory) -> None:
    formation = Formation(directory.identity, "127.0.0.1:1", ["127.0.0.1:2"])
    house = House(directory, formation)
    blank = house.asked.result(house.run(ClusterStatus()))
    assert (blank["formation"], blank["waiting"]) == ("blank", "node 1 belongs to no cluster: CLUSTER INIT forms one")
    assert [each["vote"] for each in blank["members"]] == ["learner"]
    assert blank["outlook"] == "nothing can be written: this node is in no cluster yet"
    formation.met(other(), "", "127.0.0.1:2")
    first, second = house.run(ClusterInit()), house.run(ClusterInit())
    assert house.wished
    carry_out(house, formation, directory)
    assert not first.done
    formation.initialized(None)
    carry_out(house, formation, directory)
    assert house.asked.result(first) == house.asked.result(second) == {"cluster": directory.identity.cluster}
    assert house.asked.error(house.run(ClusterInit()))["data"]["kind"] == "forbidden"


async def test_an_init_that_nobody_answers_ends_at_its_deadline_and_is_forgotten(directory: Directory) -> None:
    formation = Formation(directory.identity, "127.0.0.1:1", ["127.0.0.1:2"])
    house = House(directory, formation)
    call = house.run(ClusterInit(), seconds=0.0)
    late = house.run(ClusterInit(), seconds=0.0)
    await until(lambda: call.done and late.done)
    assert "127.0.0.1:2 was not reached" in house.asked.error(call)["message"]
    error = house.asked.error(late)
    assert error["message"] == "nothing was formed: 127.0.0.1:2 was not reached"
    assert error["data"] == {"kind": "timeout", "applied": "no"}
    formation.met(other(), "", "127.0.0.1:2")
    formation.receive(other(), Standing())
    assert not any(isinstance(action, Save) for action in formation.take_actions())


async def test_a_stop_answers_those_who_wait(directory: Directory) -> None:
    house = House(directory, Formation(directory.identity, "127.0.0.1:1", ["127.0.0.1:2"]))
    call = house.run(ClusterInit())
    house.api.stop()
    assert house.asked.error(call)["data"]["kind"] == "busy"
