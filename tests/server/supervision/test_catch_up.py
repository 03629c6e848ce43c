from __future__ import annotations

from qcore.engine.base import BarrierDone
from qcore.model.errors import NoQuorum
from qcore.server.runtime import budgets
from qcore.server.supervision.catch_up import CatchUp


class Member:
    """A node that starts, and what it hears of its leader."""

    def __init__(self) -> None:
        self.questions: list[BarrierDone] = []
        self.applied = 0
        self.led = True
        self.catch_up = CatchUp(self.ask, lambda: self.applied, lambda: self.led, 0.0)

    def ask(self, done: BarrierDone, _deadline: float, _lease: bool) -> None:
        self.questions.append(done)


def test_it_waits_for_the_index_that_the_leader_says() -> None:
    member = Member()
    assert not member.catch_up.is_over(0.0)
    member.questions[0](7, None)
    assert not member.catch_up.is_over(0.1)
    member.applied = 6
    assert not member.catch_up.is_over(100.0)
    member.applied = 7
    assert member.catch_up.is_over(100.1)


def test_it_waits_for_as_long_as_a_leader_is_there() -> None:
    member = Member()
    member.catch_up.is_over(0.0)
    member.questions[0](7, None)
    assert not member.catch_up.is_over(1000.0)
    member.led = False
    assert not member.catch_up.is_over(1000.0 + budgets.LEADER_PATIENCE_SECONDS / 2)
    assert member.catch_up.is_over(1000.0 + budgets.LEADER_PATIENCE_SECONDS)


def test_it_asks_again_until_a_leader_answers() -> None:
    member = Member()
    for number in range(3):
        assert not member.catch_up.is_over(number / 10)
        assert not member.catch_up.is_over(number / 10)
        assert len(member.questions) == number + 1
        member.questions[-1](-1, NoQuorum("nobody"))
    assert not member.catch_up.is_over(0.5)
    member.questions[-1](0, None)
    assert member.catch_up.is_over(0.6)


def test_without_an_answer_it_is_given_up() -> None:
    member = Member()
    assert not member.catch_up.is_over(budgets.LEADER_PATIENCE_SECONDS / 2)
    assert member.catch_up.is_over(budgets.LEADER_PATIENCE_SECONDS)
