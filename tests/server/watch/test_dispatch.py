"""The dispatcher without a loop: how much it does at a time, and what a defect costs."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from qcore.model.requests.commands import Delete, FieldChange, FieldSet, SetFields
from qcore.model.requests.compound import Transaction
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets
from qcore.server.watch import event_text
from qcore.server.watch.catch_up import CatchUp
from qcore.server.watch.dispatch import Dispatcher
from qcore.server.watch.listeners import Listener, Listeners, WatchStream
from qcore.store.search.filter import bind, parse
from qcore.store.watch.history import History
from qcore.store.watch.interest import Wish
from qcore.store.watch.tracker import Tracker
from tests.store.samples import PART, Log

__all__ = ["Hall"]

MOST = 1 << 20


class Hall:
    """A log, its history and who listens; steps run when `work` is called."""

    def __init__(self, most: int = MOST, kept: int = 100_000) -> None:
        self.log = Log(PART)
        self.history = History(self.log.state, kept, 1 << 30)
        self.steps: deque[Callable[[], bool]] = deque()
        self.listeners = Listeners(self.steps.append, self.log.state.epochs.at)
        self.dispatcher = Dispatcher(self.log.state, self.history, self.listeners, self.steps.append, most)
        self.stream = self.connect()
        self.outbox = self.stream.outbox
        self._most = most

    def listen(
        self,
        *,
        initial: bool = False,
        since: int | None = None,
        stream: WatchStream | None = None,
        with_end: bool = False,
        **wish: Any,
    ) -> Listener:
        """Begin to listen to Part and its descendants."""
        text = wish.get("filter")
        filter = None if text is None else bind(parse(text), [self.log.state.types.of("Part")])
        revision = self.log.state.revision if since is None else since
        listener = self.listeners.add(Wish(0, "Part", **wish), filter, stream or self.stream, revision)
        parts = (self.log.state, self.history, self.listeners, self.dispatcher)
        CatchUp(*parts, self._most, listener, initial, with_end)
        return listener

    def connect(self) -> WatchStream:
        """One more client."""
        return WatchStream(Outbox(lambda: None), self.steps.append)

    def work(self) -> int:
        """Run all steps there are; how many that were."""
        self.dispatcher.kick()
        steps = 0
        while self.steps:
            step = self.steps.popleft()
            steps += 1
            if step():
                self.steps.append(step)
        return steps

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(text)["params"] for text in self.outbox.take(1 << 30)]


def test_many_listeners_are_told_in_many_steps() -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    for _ in range(1000):
        hall.listen(field="Size")
    hall.work()
    hall.log.set(2, "Size", 1)
    assert hall.work() >= 1000 // 50
    assert len(hall.told()) == 1000


def test_many_events_are_judged_in_many_steps() -> None:
    hall = Hall()
    top = hall.log.create("Part", "top")
    for number in range(1000):
        hall.log.create("Part", f"n{number}", top)
    hall.listen()
    hall.work()
    hall.log.do(Delete(top))
    assert hall.work() >= 1000 // 50
    events = hall.told()
    assert len(events) == 1001
    assert [event.get("last", False) for event in events] == [False] * 1000 + [True]


def test_many_paths_are_looked_through_in_many_steps() -> None:
    hall = Hall()
    parts = [hall.log.create("Part", f"n{number}") for number in range(500)]
    hall.work()
    for number in range(200):
        hall.listeners.join(hall.listen(field=f"All->{number}->Size"), Tracker(f"All->{number}->Size", "Part"))
    hall.steps.clear()
    hall.log.do(Transaction(commands=[SetFields(id, "Label", "y") for id in parts]))
    assert hall.work() >= 200 * 500 // 50 // 50


def test_a_filter_that_takes_long_is_a_step_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISPATCH_UNIT_SECONDS", 1e-12)  # any time is long
    hall = Hall()
    listener = hall.listen(filter="Size > 3")
    hall.log.create("Part", "x", Size=0)
    hall.work()
    for value in range(20):
        hall.log.set(2, "Size", value - 20)
    assert hall.work() >= 20
    assert not listener.gone


def test_who_wants_the_same_shares_the_judging_and_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    common = event_text.common
    monkeypatch.setattr(event_text, "common", lambda *args: (written.append(args), common(*args))[1])  # type: ignore[func-returns-value]
    hall = Hall()
    hall.log.create("Part", "x")
    for _ in range(10):
        hall.listen(field="Size")
        hall.listen(field="Size", context=("Label",))
    hall.work()
    hall.log.set(2, "Size", 1)
    hall.work()
    assert (len(written), len(hall.told())) == (1, 20)
    assert len(hall.listeners.live) == 2


def test_a_defect_loses_the_listeners_and_not_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> bytes:
        raise ZeroDivisionError

    hall = Hall()
    hall.listen()
    hall.work()
    revision = hall.log.state.revision
    monkeypatch.setattr(event_text, "common", broken)
    hall.log.create("Part", "x")
    hall.work()
    (lost,) = hall.told()
    assert (lost["kind"], lost["reason"], lost["revision"]) == ("lost", "internal", revision)
    monkeypatch.undo()
    hall.listen(since=revision, field="Name")
    hall.work()
    assert [event["kind"] for event in hall.told()] == ["created", "changed"]


def test_a_client_that_is_behind_loses_all_its_listeners_and_others_none() -> None:
    hall = Hall(most=10_000)
    other = hall.connect()
    hall.log.create("Part", "x")
    hall.listen(field="Label"), hall.listen(field="Size")
    kept = hall.listeners.add(Wish(0, "Part", "Label"), None, other, hall.log.state.revision)
    hall.work()
    hall.listeners.join(kept)
    for _ in range(5):
        hall.log.set(2, "Label", "x" * 1500)
        hall.work()
        other.outbox.take(1 << 30)
    events = hall.told()
    lost = [event for event in events if event["kind"] == "lost"]
    whole = [event["revision"] for event in events if event["kind"] == "changed"]
    assert {event["reason"] for event in lost} == {"slow"}
    assert len(lost) == 2
    assert {event["revision"] for event in lost} == {whole[-1]}
    assert not kept.gone


def test_listeners_are_dispatched_in_the_order_of_revisions_within_one_entry() -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    hall.listen(field="Size")
    hall.work()
    hall.log.entry(*(SetFields(2, "Size", value) for value in range(100)))
    hall.work()
    assert [event["current"]["value"] for event in hall.told()] == list(range(100))


def test_what_the_history_overtakes_while_it_is_told_is_not_told_untrue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISPATCH_STEP_UNITS", 1)
    hall = Hall(kept=32)
    hall.log.create("Part", "x", Label="then")
    for number in range(10):
        hall.listen(field="Size", context=("Label", f"All->{number}"))
    hall.work()
    hall.log.set(2, "Size", 1)
    hall.dispatcher.kick()
    hall.steps[0]()
    for _ in range(100):
        hall.log.set(2, "Label", "now")
    hall.work()
    events = hall.told()
    assert {event["context"]["Label"] for event in events if event["kind"] == "changed"} <= {"then"}
    assert [event["reason"] for event in events if event["kind"] == "lost"] == ["slow"] * 10
    assert not hall.listeners.all


def test_contexts_of_many_listeners_are_not_there_at_once() -> None:
    hall = Hall(most=1 << 20)
    hall.log.create("Part", "x", Label="x" * 500_000)
    streams = [hall.stream, *(hall.connect() for _ in range(100))]
    for number, stream in enumerate(streams):
        hall.listen(field="Size", context=("Label", f"All->{number}"), stream=stream)
    hall.work()
    for stream in streams[1:]:
        stream.outbox.closed = True  # it takes nothing, and so the memory is not the outboxes'
    hall.log.set(2, "Size", 1)
    tracemalloc.start()
    hall.work()
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert len(hall.told()) == 1


def test_long_messages_are_told_in_many_steps() -> None:
    hall = Hall(most=1 << 30)
    hall.log.create("Part", "x")
    for _ in range(40):
        hall.listen(field="Label")
    hall.work()
    hall.log.set(2, "Label", "x" * 1_000_000)
    assert hall.work() >= 40
    assert len(hall.told()) == 40


def test_more_events_than_are_judged_at_a_time_are_one_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "JUDGED_EVENTS", 7)
    hall = Hall()
    parts = [hall.log.create("Part", f"n{number}") for number in range(20)]
    listeners = [hall.listen(), hall.listen(field="Label"), hall.listen(field="Next->Label")]
    hall.work()
    hall.log.do(Transaction(commands=[SetFields(id, fields={"Label": "y", "Next": id}) for id in parts]))
    hall.work()
    events = hall.told()
    for listener, count in zip(listeners, (40, 20, 20), strict=True):
        mine = [event for event in events if event["token"] == listener.token]
        assert [event.get("last", False) for event in mine] == [False] * (count - 1) + [True]
        assert len({(event["id"], event["field"]) for event in mine}) == count


def test_a_change_of_schemas_that_ends_many_takes_many_steps() -> None:
    hall = Hall()
    hall.log.create("Part", "x")
    for number in range(500):
        hall.listen(filter=f"Size > {number}")
    hall.work()
    hall.log.do(FieldSet("Part", "Size", FieldChange(default=5)))
    assert hall.work() >= 500 // 50
    assert [(event["kind"], event["reason"]) for event in hall.told()] == [("lost", "schema")] * 500
    assert not hall.listeners.all


def test_what_ends_while_it_is_told_is_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISPATCH_STEP_UNITS", 1)
    hall = Hall()
    hall.log.create("Part", "x")
    listeners = [
        hall.listen(field="Next->Size"),
        hall.listen(field="Size"),
        hall.listen(field="Size", context=("Name",)),
    ]
    hall.work()
    hall.log.do(SetFields(2, fields={"Size": 1, "Next": 2}))
    hall.dispatcher.kick()
    hall.steps[0]()
    for listener in listeners:
        hall.listeners.remove(listener)
    hall.work()
    assert hall.told() == []
    assert not hall.listeners.registry.trackers


def test_clients_that_are_behind_lose_their_listeners_in_many_steps() -> None:
    hall = Hall(most=1000)
    hall.log.create("Part", "x")
    for stream in [hall.connect() for _ in range(20)]:
        for number in range(50):
            hall.listen(field=f"All->{number}->Size", stream=stream)
        hall.listen(field="Label", stream=stream)
    hall.work()
    hall.log.set(2, "Label", "x" * 2000)
    assert hall.work() >= 20
    assert not hall.listeners.all
