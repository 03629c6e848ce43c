"""Read barriers in rounds: what is shared, what is asked again, and what ends a wait."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from qcore.engine.base import BarrierDone
from qcore.model.errors import Busy, NoQuorum
from qcore.model.requests.queries import Get
from qcore.server.calls import Call
from qcore.server.reads.barriers import Barriers
from qcore.server.runtime import budgets
from tests.server.running import until


class House:
    """Barriers whose questions the test answers."""

    def __init__(self, max_waiting: int = 10) -> None:
        self.asked: list[tuple[BarrierDone, float]] = []
        self.passed: list[tuple[Call, int]] = []
        self.answers: list[Any] = []
        self.barriers = Barriers(self.ask, max_waiting, lambda call, index: self.passed.append((call, index)))

    def ask(self, done: BarrierDone, deadline: float, _lease: bool) -> None:
        self.asked.append((done, deadline))

    def enter(self, seconds: float = 10.0) -> Call:
        call = Call(self, b"1", "get", Get(1), time.monotonic(), 0)
        call.deadline = call.begun + seconds
        self.barriers.enter(call)
        return call

    def answered(self, call: Call, text: bytes | None) -> None:
        self.answers.append(json.loads(text or b"null"))

    def kinds(self) -> list[str]:
        return [answer["error"]["data"]["kind"] for answer in self.answers]


@pytest.fixture
def house() -> House:
    return House()


async def test_reads_that_are_taken_back_are_not_passed_by_a_late_barrier(house: House) -> None:
    first, second = house.enter(), house.enter()
    assert house.barriers.take_back() == [first, second]
    house.asked[0][0](5, None)
    assert (house.passed, len(house.barriers)) == ([], 0)
    third = house.enter()
    house.asked[1][0](6, None)
    assert house.passed == [(third, 6)]


async def test_reads_that_come_while_a_barrier_is_under_way_share_the_next_one(house: House) -> None:
    first, second, third = house.enter(), house.enter(1.0), house.enter(5.0)
    assert len(house.asked) == 1
    house.asked[0][0](4, None)
    assert house.passed == [(first, 4)]
    assert len(house.asked) == 2
    assert house.asked[1][1] == third.deadline
    house.asked[1][0](6, None)
    assert house.passed == [(first, 4), (second, 6), (third, 6)]
    assert len(house.barriers) == 0


async def test_a_round_that_finds_no_leader_is_asked_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "FORWARD_RETRY_SECONDS", 0.0)
    call = house.enter()
    house.asked[0][0](-1, NoQuorum("nobody leads"))
    await until(lambda: len(house.asked) == 2)
    house.asked[1][0](3, None)
    assert house.passed == [(call, 3)]


async def test_another_leader_is_asked_at_once_and_whoever_answers_first_counts(house: House) -> None:
    call = house.enter()
    house.barriers.ask_again()
    old, new = house.asked[0][0], house.asked[1][0]
    old(-1, NoQuorum("I do not lead any more"))
    assert len(house.barriers) == 1
    old(3, None)
    new(4, None)
    assert house.passed == [(call, 3)]


async def test_a_read_whose_time_is_up_is_answered_and_the_others_go_on_waiting(house: House) -> None:
    house.enter(0.0)
    house.enter(0.0)
    left = house.enter()
    house.barriers.sweep(time.monotonic())
    assert house.kinds() == ["no_quorum", "no_quorum"]
    house.asked[0][0](-1, NoQuorum("nobody leads"))
    house.asked[1][0](2, None)
    assert house.passed == [(left, 2)]
    assert house.kinds() == ["no_quorum", "no_quorum"]


async def test_any_other_error_is_the_answer(house: House) -> None:
    house.enter()
    house.asked[0][0](-1, Busy("too many reads"))
    assert house.kinds() == ["busy"]


async def test_more_than_may_wait_are_busy() -> None:
    house = House(max_waiting=1)
    house.enter()
    house.enter()
    assert house.kinds() == ["busy"]


async def test_when_the_node_stops_all_are_answered_and_late_barriers_are_nothing(house: House) -> None:
    house.enter()
    house.enter()
    house.barriers.fail(Busy("the node is stopping"))
    house.asked[0][0](1, None)
    assert (house.kinds(), house.passed, len(house.asked)) == (["busy", "busy"], [], 1)
