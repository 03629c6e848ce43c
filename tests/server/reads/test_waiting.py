"""Waiting calls: who is due, who is given up."""

from __future__ import annotations

from qcore.model.errors import Busy, RequestError, Timeout
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.outbox import Outbox
from qcore.server.reads.waiting import WaitingReads


class Answers:
    def __init__(self) -> None:
        self.texts: list[bytes | None] = []

    def answered(self, call: Call, text: bytes | None) -> None:
        self.texts.append(text)


def a_call(answers: Answers, deadline: float = 10.0) -> Call:
    call = Call(answers, b"1", "find", None, 0.0, 0)
    call.deadline = deadline
    call.client = Client("", "", Outbox(lambda: None))
    return call


def late(number: int) -> RequestError:
    return Timeout(f"{number} asked")


def test_who_waits_for_what_is_reached_is_due_the_lowest_first_then_in_the_order_they_came() -> None:
    behind, answers = WaitingReads(), Answers()
    calls = [a_call(answers) for _ in range(5)]
    for number, call in zip([7, 5, 9, 5, 7], calls, strict=True):
        behind.add(number, call)
    assert behind.due(4) == []
    assert behind.due(7) == [calls[1], calls[3], calls[0], calls[4]]
    assert len(behind) == 1


def test_a_sweep_fails_the_late_and_drops_whose_client_is_gone() -> None:
    behind, answers = WaitingReads(), Answers()
    waiting, hasty, gone = a_call(answers), a_call(answers, deadline=1.0), a_call(answers)
    for number, call in enumerate((hasty, waiting, gone)):
        behind.add(number, call)
    assert gone.client is not None
    gone.client.close()
    behind.sweep(1.0, late)
    assert (hasty.done, waiting.done, gone.done) == (True, False, True)
    assert b"0 asked" in (answers.texts[0] or b"")
    assert behind.due(10) == [waiting]


def test_all_are_failed_when_the_node_stops() -> None:
    behind, answers = WaitingReads(), Answers()
    for number in range(3):
        behind.add(number, a_call(answers))
    behind.fail(Busy("the node is stopping"))
    assert len(behind) == 0
    assert len(answers.texts) == 3
