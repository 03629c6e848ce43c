"""Clients' requests that go on to another node, in batches."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from qcore.cluster.traffic.forwards import Forward, Forwarded
from qcore.model.errors import Conflict, NoQuorum, NotInitialized, Timeout
from tests.cluster.linked import DEADLINE, LinkedNode, linked_nodes, started, until
from tests.cluster.relay import relayed


def calls(count: int, left: float = DEADLINE) -> list[Forward]:
    return [Forward(b"%d" % number, left, session=number, epoch="e" * 16) for number in range(count)]


def test_a_batch_comes_in_its_order_and_each_call_gets_its_answer(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, _):
        answers = [future.result(DEADLINE) for future in first.forward(2, *calls(1000))]
        assert answers == [b"done %d" % number for number in range(1000)]
        came = [one for batch in second.host.batches for one in batch]
        assert [(one.call.body, one.call.session) for one in came] == [(b"%d" % n, n) for n in range(1000)]
        assert {(one.node, one.call.epoch) for one in came} == {(first.own.node, "e" * 16)}
        assert all(0 < one.call.left <= DEADLINE for one in came)
        assert len(second.host.batches) < 100  # many calls share a frame


def test_a_slow_call_holds_up_no_other_of_its_batch(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, _):
        held: list[Forwarded] = []
        second.host.take = lambda one: held.append(one) if one.call.body == b"0" else one.answer(one.call.body)
        slow, *others = first.forward(2, *calls(10))
        assert [future.result(DEADLINE) for future in others] == [b"%d" % number for number in range(1, 10)]
        assert not slow.done()
        thread = threading.Thread(target=held[0].answer, args=(b"late",))  # as from the main loop
        thread.start()
        assert slow.result(DEADLINE) == b"late"
        thread.join()


def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, _):
        second.host.take = lambda one: one.fail(Conflict("no", revision=7, applied="no"))
        (future,) = first.forward(2, *calls(1))
        with pytest.raises(Conflict) as caught:
            future.result(DEADLINE)
        assert (caught.value.message, caught.value.data) == ("no", {"revision": 7, "applied": "no"})


def test_without_a_link_a_call_was_surely_not_applied(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1) as (first,):
        (future,) = first.forward(2, *calls(1))
        error = future.exception(DEADLINE)
        assert isinstance(error, NoQuorum)
        assert error.data == {"applied": "no"}


def test_a_call_that_left_and_is_not_answered_may_have_been_applied(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        held: list[Forwarded] = []
        second.host.take = held.append
        futures = first.forward(2, *calls(3, left=0.05))
        for future in futures:
            error = future.exception(DEADLINE)
            assert isinstance(error, Timeout)
            assert error.data == {"applied": "unknown"}
        until(lambda: len(held) == 3 and all(one.cancelled for one in held))
        held[0].answer(b"too late")
        (future,) = first.forward(2, *calls(1))
        until(lambda: len(held) == 4)
        relay.cut("forward")
        error = future.exception(DEADLINE)
        assert isinstance(error, NoQuorum)
        assert error.data == {"applied": "unknown"}
        until(lambda: held[3].cancelled)


def test_a_call_that_still_waits_here_was_surely_not_applied(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        relay.hold("forward")
        big = [Forward(bytes(4 << 20), DEADLINE) for _ in range(16)]
        futures = first.forward(2, *big, *calls(3, left=0.2))
        errors = [future.exception(DEADLINE) for future in futures[-3:]]
        assert [error.data for error in errors if isinstance(error, Timeout | NoQuorum)] == [{"applied": "no"}] * 3
        assert second.host.batches == []


def test_behind_a_call_for_which_there_is_no_room_none_leaves(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        relay.hold("forward")
        too_large = Forward(bytes(40 << 20), DEADLINE)
        before, *behind = first.forward(2, Forward(b"first", DEADLINE), too_large, *calls(5))
        for future in behind:
            error = future.exception(DEADLINE)
            assert error is not None
            assert getattr(error, "data", None) == {"applied": "no"}
        relay.release()
        assert before.result(DEADLINE) == b"done first"
        assert [one.call.body for batch in second.host.batches for one in batch] == [b"first"]


def test_only_nodes_of_the_same_cluster_forward(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1"), LinkedNode(2, tmp_path / "2", cluster="")
    with started(first, second):
        first.dial(second.address)
        until(lambda: len(first.host.hellos) >= 4)
        (future,) = first.forward(2, *calls(1))
        error = future.exception(DEADLINE)
        while isinstance(error, NoQuorum):  # the channel for forwards may not be there yet
            (future,) = first.forward(2, *calls(1))
            error = future.exception(DEADLINE)
        assert isinstance(error, NotInitialized)
        assert second.host.batches == []


def test_a_stopped_link_forwards_nothing(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, _, _):
        first.link.stop(DEADLINE)
        (future,) = first.forward(2, *calls(1))
        error = future.exception(DEADLINE)
        assert isinstance(error, NoQuorum)
        assert error.data == {"applied": "no"}
