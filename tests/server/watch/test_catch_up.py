"""Catching up without a loop: how much is done at a time, and when it waits."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.requests.commands import Delete, SchemaSet
from qcore.server.watch import event_text
from qcore.store.watch.interest import Interest
from tests.server.watch.test_dispatch import Hall
from tests.store.samples import type_of


@pytest.mark.parametrize("wish", [{"field": "Size"}, {"field": "Next->Size"}, {"filter": "Size == 3"}])
def test_initial_values_take_a_step_for_each_entity(wish: dict[str, Any]) -> None:
    hall = Hall(most=1 << 30)
    for number in range(300):
        hall.log.create("Part", f"n{number}")
    hall.listen(initial=True, **wish)
    assert hall.work() >= 300
    assert len(hall.told()) == 1 + 300 * (1 if "field" in wish else 9)


def test_initial_values_of_one_entity_wait_for_room_between_its_fields() -> None:
    hall = Hall(most=1000)
    hall.log.create("Part", "x", Label="x" * 5000)
    listener = hall.listen(initial=True)
    hall.work()
    heard = []
    while not listener.live:
        assert hall.outbox.size < 6000
        heard += hall.told()
        assert len(heard) <= 9
        hall.work()
    heard += hall.told()
    assert [event["kind"] for event in heard] == ["initial"] * 9 + ["bookmark"]


def test_a_past_of_no_interest_is_passed_over_in_steps() -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    for value in range(500):
        hall.log.set(2, "Size", value)
    hall.listen(since=hall.history.gone, field="Label")
    assert hall.work() >= 500 // 50
    assert [event["kind"] for event in hall.told()] == ["created"]


def test_it_waits_while_the_outbox_is_full_and_goes_on_when_it_is_read() -> None:
    hall = Hall(most=100_000)
    for number in range(50):
        hall.log.create("Part", f"n{number}", Label="x" * 10_000)
    listener = hall.listen(initial=True, field="Label")
    hall.work()
    heard = []
    while not listener.live:
        assert 50_000 < hall.outbox.size < 70_000
        heard += hall.told()
        hall.work()
    heard += hall.told()
    assert [event["kind"] for event in heard] == ["initial"] * 50 + ["bookmark"]


def test_many_of_a_client_that_does_not_read_hold_one_message_more_than_half_an_outbox() -> None:
    hall = Hall(most=100_000)
    hall.log.create("Part", "x", Label="x" * 40_000)
    hall.work()
    listeners = [hall.listen(since=1, field="Label", context=("Label",)) for _ in range(50)]
    listeners += [hall.listen(initial=True, field="Label") for _ in range(50)]
    hall.work()
    heard = []
    while not all(listener.live for listener in listeners):
        assert hall.outbox.size < 150_000
        heard += hall.told()
        hall.work()
    heard += hall.told()
    assert (
        sorted(event["kind"] for event in heard)
        == ["bookmark"] * 50 + ["changed"] * 50 + ["created"] * 50 + ["initial"] * 50
    )


def test_the_deleted_are_looked_for_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall()
    hall.log.do(SchemaSet(type_of("Other")))
    top = hall.log.create("Part", "top")
    for number in range(2000):
        hall.log.create("Other", f"n{number}", top)
    since = hall.log.state.revision
    hall.log.do(Delete(top))
    hall.work()
    asked: list[Any] = []
    wants = Interest.wants
    monkeypatch.setattr(Interest, "wants", lambda *args: (asked.append(args), wants(*args))[1])  # type: ignore[func-returns-value]
    hall.listen(since=since, field="Next->Size")
    step = hall.steps[0]
    while step():
        assert len(asked) <= 501
        asked.clear()
    assert [event["id"] for event in hall.told()] == [top]


@pytest.mark.parametrize("field", ["Label", "Next->Label"])
def test_those_that_end_while_they_wait_leave_nothing(field: str) -> None:
    hall = Hall(most=100_000)
    for number in range(50):
        hall.log.create("Part", f"n{number}", Label="x" * 10_000, Next=number + 2)
    hall.work()
    first = hall.listen(initial=True, field=field)
    hall.work()
    others = [hall.listen(initial=True, field=field) for _ in range(20)]
    hall.work()
    for listener in (first, *others):
        hall.listeners.remove(listener)
    hall.work()
    assert not hall.outbox._waiting
    queue = hall.stream.catch_ups
    assert not any((queue._waiting, queue._places, queue._ready))
    assert not hall.listeners.all


def test_of_one_connection_few_catch_up_at_a_time_and_large_ones_alone() -> None:
    hall = Hall(most=100_000)
    for number in range(50):
        hall.log.create("Part", f"n{number}", Label="x" * 10_000, Next=number + 2)
    hall.work()
    listeners = [hall.listen(initial=True, field="Label") for _ in range(6)]
    listeners += [hall.listen(initial=True, field="Next->Label") for _ in range(2)]
    quick = hall.listen(initial=True, field="Size", stream=hall.connect())
    hall.work()
    assert quick.live
    assert len({event["token"] for event in hall.told()}) <= 4
    while not all(listener.live for listener in listeners[:6]):
        hall.told()
        hall.work()
    while not all(listener.live for listener in listeners):
        hall.work()
        assert len({event["token"] for event in hall.told()} - {each.token for each in listeners[:6]}) <= 1


def test_a_closed_connection_ends_it() -> None:
    hall = Hall()
    for number in range(50):
        hall.log.create("Part", f"n{number}")
    hall.listen(initial=True)
    hall.outbox.close()
    assert hall.work() == 1


def test_a_defect_loses_the_listener_and_not_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> bytes:
        raise ZeroDivisionError

    hall = Hall()
    hall.log.create("Part", "x")
    monkeypatch.setattr(event_text, "initial", broken)
    hall.listen(initial=True)
    hall.work()
    (lost,) = hall.told()
    assert (lost["kind"], lost["reason"]) == ("lost", "internal")


def test_none_is_told_of_a_revision_before_those_that_are_live() -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    for _ in range(120):  # so that each revision takes the dispatcher several steps
        hall.listen(field="Size")
    hall.work()
    since = hall.log.state.revision
    for value in range(8):
        hall.log.set(2, "Size", value)
    late = hall.listen(since=since, field="Size")
    hall.work()
    told = [(event["revision"], event["token"] == late.token) for event in hall.told()]
    assert [revision for revision, is_late in told if is_late] == list(range(since + 1, since + 9))
    live = [revision for revision, is_late in told if not is_late]
    assert live == sorted(live)
    for number in range(1, 9):
        before = told[: told.index((since + number, True))]
        assert before.count((since + number, False)) == 120


@pytest.mark.parametrize("writes", [0, 3])
def test_who_goes_on_is_told_by_a_bookmark_that_the_past_is_over(writes: int) -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    since = hall.log.state.revision
    for value in range(writes):
        hall.log.set(2, "Size", value)
    hall.listen(since=since, field="Size", with_end=True)
    hall.work()
    heard = [(event["kind"], event["revision"]) for event in hall.told()]
    assert heard == [("changed", since + number) for number in range(1, writes + 1)] + [("bookmark", since + writes)]
