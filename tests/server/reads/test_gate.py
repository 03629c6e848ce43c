"""The read gate: which reads are ready at once, which wait and for what, and how the wait ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcore.engine.base import BarrierDone
from qcore.model.api import METHODS
from qcore.model.requests.queries import Get, Listen, Ping, Query
from qcore.server.calls import Call
from qcore.server.reads.gate import ReadGate
from qcore.store.state.state import State


class Barriers:
    """The part of an engine that a gate asks: gives out `index`, or keeps the question while that is None."""

    def __init__(self) -> None:
        self.index: int | None = -1
        self.asked: list[BarrierDone] = []

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        self.asked.append(done)
        if self.index is not None:
            done(self.index, None)


class House:
    """A gate on a state whose counters the test sets."""

    def __init__(self, max_waiting: int = 10) -> None:
        self.state = State()
        self.engine = Barriers()
        self.ready: list[Call] = []
        self.answers: list[Any] = []
        self.gate = ReadGate(self.state, self.engine.read_barrier, max_waiting, self.ready.append)

    def enter(self, params: Query) -> Call:
        method = next(method for method in METHODS.values() if method.params is type(params))
        call = Call(self, b"1", method.name, params, 0.0, 0)
        self.gate.enter(call)
        return call

    def answered(self, call: Call, text: bytes | None) -> None:
        self.answers.append(json.loads(text or b"null"))


@pytest.fixture
def house() -> House:
    return House()


async def test_reads_wait_for_nothing_once_it_is_known_that_nobody_has_more(house: House) -> None:
    house.engine.index = None
    waiting = [house.enter(Get(1)), house.enter(Get(2))]
    assert house.ready == []
    house.gate.set_blank(True)
    assert house.ready == waiting
    assert len(house.gate) == 0
    house.engine.asked[0](-1, None)
    house.enter(Get(3))
    assert len(house.ready) == 3


async def test_a_read_of_what_is_applied_is_ready_at_once(house: House) -> None:
    call = house.enter(Get(1))
    assert house.ready == [call]
    assert len(house.engine.asked) == 1


async def test_a_local_read_asks_for_no_barrier(house: House) -> None:
    call, ping = house.enter(Get(1, consistency="local")), house.enter(Ping())
    assert house.ready == [call, ping]
    assert house.engine.asked == []


async def test_a_read_waits_until_the_log_is_applied_up_to_its_barrier(house: House) -> None:
    house.engine.index = 3
    call = house.enter(Get(1))
    house.state.applied = 2
    house.gate.applied()
    assert (house.ready, len(house.gate)) == ([], 1)
    house.state.applied = 3
    house.gate.applied()
    assert (house.ready, len(house.gate)) == ([call], 0)


async def test_a_read_behind_its_barrier_still_waits_for_the_revision_it_names(house: House) -> None:
    house.engine.index = 3
    call = house.enter(Listen("Thing", since=7))
    house.state.applied = 3
    house.gate.applied()
    assert house.ready == []
    house.state.revision = 7
    house.gate.applied()
    assert house.ready == [call]


async def test_more_than_may_wait_are_answered_busy(house: House) -> None:
    house = House(max_waiting=1)
    house.enter(Get(1, min_revision=1))
    house.enter(Get(1, min_revision=1))
    assert [answer["error"]["data"]["kind"] for answer in house.answers] == ["busy"]


async def test_those_that_wait_are_answered_busy_when_the_node_stops(house: House) -> None:
    house.enter(Get(1, min_revision=1))
    house.gate.stop()
    assert [answer["error"]["data"]["kind"] for answer in house.answers] == ["busy"]
    assert len(house.gate) == 0
