"""Requests are counted once in a turn, by method and outcome, with the time they took; slow ones are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.model.errors import NotFound
from qcore.model.requests.commands import Delete
from qcore.model.requests.queries import Get
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.operations.slow_requests import SlowRequests
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets


class Turn:
    """One turn of a loop after the other, at a time that the test sets; calls are answered at once."""

    def __init__(self, threshold: float = 0.3) -> None:
        self.now = 100.0
        self.at_end: list[Callable[[], None]] = []
        self.slow = SlowRequests(threshold)
        self.counts = RequestCounts(self.slow, self.at_end.append, lambda: self.now)
        self.client = Client("ann", "127.0.0.1:7", Outbox(lambda: None))

    def answered(self, call: Call, text: bytes | None) -> None:
        if not self.counts.answered:
            self.counts.count_soon()
        self.counts.answered.append(call)

    def call(self, method: str, ago: float = 0.0, params: Any = None) -> Call:
        call = Call(self, b"1", method, params, self.now - ago, 0)
        call.client = self.client
        return call

    def end(self) -> None:
        at_end, self.at_end[:] = list(self.at_end), []
        for each in at_end:
            each()


def test_a_turn_is_counted_once_whatever_it_answers() -> None:
    turn = Turn()
    for _ in range(5):
        turn.call("get").result(1)
    assert len(turn.at_end) == 1
    assert not turn.counts.outcomes
    turn.end()
    assert turn.counts.outcomes == {("get", "ok"): 5}
    turn.call("get").result(1)
    turn.end()
    assert turn.counts.outcomes == {("get", "ok"): 6}


def test_outcomes_are_told_apart_by_method_and_kind() -> None:
    turn = Turn()
    turn.call("get").result(1)
    turn.call("get").fail(NotFound("no such entity"))
    turn.call("set").fail_raw(b'{"code":-32000,"message":"m","data":{"kind":"conflict"}}')
    turn.call("set").result(1)
    turn.call("no such method").fail(NotFound("x"))
    turn.counts.refused("parse_error")
    turn.end()
    assert turn.counts.outcomes == {
        ("get", "ok"): 1,
        ("get", "not_found"): 1,
        ("set", "conflict"): 1,
        ("set", "ok"): 1,
        ("unknown", "not_found"): 1,
        ("unknown", "parse_error"): 1,
    }


def test_the_kinds_of_outcome_are_bounded() -> None:
    turn = Turn()
    turn.call("set").fail_raw(b'{"message":"m","data":{"kind":"of a version to come"}}')
    turn.end()
    assert turn.counts.outcomes == {("set", "internal"): 1}


async def test_times_are_counted_by_method_up_to_the_end_of_the_turn() -> None:
    turn = Turn(threshold=1.0)
    turn.call("get", ago=0.002).result(1)
    turn.call("get", ago=0.02).result(1)
    turn.call("set", ago=0.2).result(1)
    turn.now += 0.1
    turn.end()
    assert {name: seconds.count for name, seconds in turn.counts.seconds.items()} == {"get": 2, "set": 1}
    assert round(turn.counts.seconds["get"].sum, 6) == 0.222
    assert round(turn.counts.seconds["set"].sum, 6) == 0.3


async def test_a_slow_request_is_kept_with_what_it_waited_for() -> None:
    turn = Turn()
    fast, slow = turn.call("get", ago=0.1), turn.call("get", ago=0.5, params=Get(12, ["Name"]))
    slow.size = 80
    slow.started = turn.now - 0.1
    fast.result(1)
    slow.result(1)
    turn.end()
    (kept,) = turn.slow.newest(None)
    assert turn.slow.total == 1
    assert (kept.method, kept.seconds, kept.waited, kept.carried_out) == ("get", 0.5, 0.4, 0.1)
    assert (kept.client, kept.address, kept.size, kept.error) == ("ann", "127.0.0.1:7", 80, None)
    assert kept.params == '{"id":12,"fields":["Name"]}'


async def test_a_write_that_never_came_to_be_applied_only_waited() -> None:
    turn = Turn()
    turn.call("set", ago=10.0).fail(NotFound("x"))
    turn.end()
    (kept,) = turn.slow.newest(None)
    assert (kept.waited, kept.carried_out, kept.error) == (10.0, 0.0, "not_found")


async def test_the_params_that_are_kept_are_cut_and_those_of_a_long_request_not_looked_at() -> None:
    turn = Turn()
    long, huge = (turn.call("get", ago=1.0, params=Get(1, ["x" * 1000])) for _ in range(2))
    huge.size = budgets.SLOW_PARAMS_BYTES + 1
    long.result(1)
    huge.result(1)
    turn.end()
    newest, oldest = turn.slow.newest(None)
    assert newest.params == ""
    assert len(oldest.params) == budgets.SLOW_PARAMS_CHARACTERS + 4
    assert oldest.params.endswith(" ...")


async def test_what_numbers_a_write_is_not_told_to_others() -> None:
    turn = Turn()
    turn.call("delete", ago=1.0, params=Delete(12, session=7, seq=3, acked=2)).result(1)
    turn.end()
    assert turn.slow.newest(None)[0].params == '{"id":12}'


async def test_only_the_newest_slow_requests_are_kept() -> None:
    turn = Turn()
    for number in range(budgets.SLOW_REQUESTS + 10):
        turn.call("get", ago=1.0 + number).result(1)
        turn.end()
    assert turn.slow.total == budgets.SLOW_REQUESTS + 10
    assert len(turn.slow.newest(None)) == budgets.SLOW_REQUESTS
    assert [kept.seconds for kept in turn.slow.newest(2)] == [
        1.0 + budgets.SLOW_REQUESTS + 9,
        budgets.SLOW_REQUESTS + 9,
    ]
