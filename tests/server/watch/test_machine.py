"""Listeners against a plain model: every listener gets exactly what comparing whole stores says it should get.

No loop: the steps of the dispatcher and of those that catch up run when the test says so, in any interleaving with
writes, and clients read when it says so.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from qcore.model.documents.document import Document
from qcore.model.errors import RequestError
from qcore.model.work import Work
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets
from qcore.server.watch.catch_up import CatchUp
from qcore.server.watch.dispatch import Dispatcher
from qcore.server.watch.listeners import Listener, Listeners, WatchStream
from qcore.store import context
from qcore.store.search.filter import bind, parse
from qcore.store.state.draft import Draft
from qcore.store.state.journal import Change
from qcore.store.state.state import Observed
from qcore.store.watch.history import History
from qcore.store.watch.interest import Wish, check_wish
from tests.store import watched
from tests.store.document_samples import taken
from tests.store.samples import PART, Log, replay
from tests.store.watched import Moment, a_command, a_wish, expected, initial_of, retyped, snap

MOST = 1 << 20


class Ear:
    """One listener, what it was sent so far, and what it should have been sent."""

    def __init__(self, listener: Listener, wish: Wish, initial: bool) -> None:
        self.listener = listener
        self.wish = wish
        self.initial = initial
        self.begun = listener.revision
        self.heard: list[dict[str, Any]] = []


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log = Log(PART, watched.DEVICE)
        self.state = self.log.state
        for name in "abc":
            self.log.create("Part", name, Size=1)
        self.begin_history(10_000)
        self.documents: list[Document] = []
        self.ears: dict[int, Ear] = {}

    @initialize(
        most=st.sampled_from([10_000, 10_000, 30]), turns=st.sampled_from([50, 3, 1]), long=st.sampled_from([1_000, 0])
    )
    def begin_history(self, most: int, turns: int = 50, long: int = 1_000) -> None:
        """Now and then the history is so short that it overtakes listeners, there are pauses everywhere, and all that
        may be long is."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(budgets, "DISPATCH_STEP_UNITS", turns)
        self.patch.setattr(context, "LONG", long)
        self.history = History(self.state, most, 1 << 30)
        self.first = self.state.revision
        self.moments: list[Moment] = [snap(self.state)]
        inner, ahead = self.state.observer, self.state.observe_ahead
        assert inner is not None
        assert ahead is not None

        def observe(changes: list[Change]) -> None:
            inner(changes)
            if self.state.revision > self.moments[-1].revision:
                self.moments.append(snap(self.state))

        def observe_ahead(draft: Draft) -> Work[Observed]:
            observed = yield from ahead(draft)

            def told() -> Work[None]:
                freeing = observed()
                self.moments.append(snap(self.state))
                return freeing

            return told

        self.state.observer, self.state.observe_ahead = observe, observe_ahead
        self.steps: deque[Callable[[], bool]] = deque()
        self.streams = [WatchStream(Outbox(lambda: None), self.steps.append) for _ in range(2)]
        self.listeners = Listeners(self.steps.append, self.state.epochs.at)
        self.dispatcher = Dispatcher(self.state, self.history, self.listeners, self.steps.append, MOST)

    # -- rules ---------------------------------------------------------------------------------------------

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 3))
    def write(self, seed: int, count: int) -> None:
        chance = random.Random(seed)
        self.log.entry(*(a_command(chance, self.state, self.documents) for _ in range(count)))

    @rule(seed=st.integers(0, 2**32))
    def write_and_apply(self, seed: int) -> None:
        self.write(seed, 1)
        self.dispatcher.kick()

    @precondition(lambda self: len(self.documents) < 3)
    @rule()
    def keep_a_document(self) -> None:
        self.documents.append(taken(self.state, runtime=True))

    @rule(seed=st.integers(0, 2**32), how=st.sampled_from(["now", "since", "initial"]), client=st.integers(0, 1))
    def listen(self, seed: int, how: str, client: int) -> None:
        chance = random.Random(seed)
        wish = a_wish(chance, self.state)
        since = chance.randint(self.history.gone, self.state.revision) if how == "since" else None
        self.begin(wish, self.streams[client], since, how == "initial")

    def begin(self, wish: Wish, stream: WatchStream, since: int | None, initial: bool) -> Ear | None:
        types = self.state.types
        try:
            names = [types.of(wish.type).type] if wish.entity else types.descendants[types.of(wish.type).type]
            check_wish(wish, types)
            text = wish.filter
            filter = None if text is None else bind(parse(text), [types.of(name) for name in names])
        except RequestError:
            return None  # the schemas of the moment have no such type or field
        revision = self.state.revision if since is None else since
        listener = self.listeners.add(wish, filter, stream, revision)
        CatchUp(self.state, self.history, self.listeners, self.dispatcher, MOST, listener, initial)
        ear = self.ears[listener.token] = Ear(listener, wish, initial)
        return ear

    @rule(count=st.integers(1, 30))
    def work(self, count: int) -> None:
        self.dispatcher.kick()
        for _ in range(count):
            if self.steps:
                step = self.steps.popleft()
                if step():
                    self.steps.append(step)

    @rule(client=st.integers(0, 1))
    def read(self, client: int) -> None:
        for text in self.streams[client].outbox.take(1 << 30):
            event = json.loads(text)["params"]
            self.ears[event.pop("token")].heard.append(event)

    @precondition(lambda self: self.ears)
    @rule(data=st.data())
    def unlisten(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.ears)))
        listener = self.ears[token].listener
        if not listener.gone:
            listener.outbox.discard(token)
            self.listeners.remove(listener)
            self.check(self.ears.pop(token), whole=False)

    # -- what is compared ----------------------------------------------------------------------------------

    def settle(self) -> None:
        self.dispatcher.kick()
        while self.steps:
            step = self.steps.popleft()
            if step():
                self.steps.append(step)
            for client in (0, 1):
                self.read(client)
        for client in (0, 1):
            self.read(client)

    def teardown(self) -> None:
        try:
            self.check_all()
        finally:
            self.patch.undo()

    def check_all(self) -> None:
        self.settle()
        for ear in self.ears.values():
            self.check(ear, whole=True)
        self.resume()
        self.replay()
        for ear in self.ears.values():
            if not ear.listener.gone:
                self.listeners.remove(ear.listener)
        self.settle()
        registry = self.listeners.registry
        left = [self.listeners.all, self.listeners.live, self.listeners._shared, self.listeners._users]
        left += [registry.interests, registry.trackers, registry._entities, registry._types]
        assert left == [{}] * len(left)

    def resume(self) -> None:
        """From whatever revision a listener goes on, it gets the rest and nothing else."""
        for ear in list(self.ears.values())[:4]:
            for since in {self.history.gone, (self.history.gone + self.state.revision) // 2}:
                again = self.begin(ear.wish, self.streams[0], since, initial=False)
                self.settle()
                if again is not None:
                    self.check(again, whole=True)
                    if since >= ear.begun and not (again.listener.gone or ear.listener.gone):
                        assert order(again, since) == order(ear, since)

    def replay(self) -> None:
        """The log makes the same history."""
        kept: list[History] = []
        replay(self.log.records, lambda state: kept.append(History(state, 100_000, 1 << 30)))
        again = [event for chunk in kept[0]._chunks for event in chunk.events]
        here = [event for chunk in self.history._chunks for event in chunk.events]
        assert [told(e) for e in again if e.revision > self.history.gone] == [told(e) for e in here]

    def check(self, ear: Ear, whole: bool) -> None:
        """Compare what came, revision by revision; without `whole` the end may be missing."""
        if (ear.initial or ear.wish.looks_back) and self.fields_came(ear.begun):
            return  # whoever looks back over that sees them too early, as docs/events.md says
        heard = deque(plain(event) for event in ear.heard)
        lost = heard.pop() if heard and heard[-1]["kind"] == "lost" else None
        if lost is not None:
            self.check_lost(ear.wish, lost)
        slow = lost is not None and lost["reason"] == "slow"
        early = not whole or (lost is not None and (ear.initial or (ear.wish.looks_back and not slow)))
        if ear.initial and not self.check_initial(ear, heard, early):
            return
        for before, after in self.after(ear.begun):
            wanted = expected(ear.wish, before, after)
            if slow and lost is not None and after.revision > lost["revision"] and (wanted or not heard):
                assert not any(event.get("last") for event in heard), "a whole revision was told and not counted"
                assert all(event in wanted for event in heard)
                return
            if (lost is not None and not slow and after.revision == lost["revision"]) or (early and not heard):
                break
            got = [heard.popleft() for _ in wanted if heard]
            if early and len(got) < len(wanted):
                assert all(event in wanted for event in strip(got))
                break
            assert not retyped(ear.wish, before, after)
            assert key_sorted(strip(got)) == key_sorted(wanted)
            check_order(got)
        assert not heard

    def after(self, revision: int) -> list[tuple[Moment, Moment]]:
        """What was before and after each later revision."""
        pairs = zip(self.moments, self.moments[1:], strict=False)
        return [(before, after) for before, after in pairs if after.revision > revision]

    def fields_came(self, revision: int) -> bool:
        """Whether a type was given more fields after a revision."""
        return any(
            after.defaults[name].keys() - fields.keys()
            for before, after in self.after(revision)
            for name, fields in before.defaults.items()
            if name in after.defaults
        )

    def check_lost(self, wish: Wish, lost: dict[str, Any]) -> None:
        """Schemas did change, or the history is short."""
        if lost["reason"] == "slow":
            assert lost["revision"] < self.history.gone
            return
        assert lost == {"kind": "lost", "reason": "schema", "revision": lost["revision"]}
        before, after = self.after(lost["revision"] - 1)[0]
        assert after.revision == lost["revision"]
        assert before.defaults != after.defaults or retyped(wish, before, after)

    def check_initial(self, ear: Ear, heard: deque[dict[str, Any]], early: bool) -> bool:
        """Compare the initial values; whether all of them are there."""
        moment = next(each for each in self.moments if each.revision == ear.begun)
        wanted = initial_of(ear.wish, moment)
        got = [heard.popleft() for _ in wanted if heard]
        if early and not heard:
            assert all(event in wanted for event in got)
            return False
        assert key_sorted(got) == key_sorted(wanted)
        assert heard.popleft() == {"kind": "bookmark", "revision": ear.begun}
        return True


def order(ear: Ear, since: int) -> list[Any]:
    """What was told after a revision, in the order in which it came."""
    events = [event for event in ear.heard if event["revision"] > since and event["kind"] != "bookmark"]
    return [(event["revision"], event["id"], event["field"], event.get("last")) for event in events]


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """An event with errors without their words."""
    if "error" in event:
        event["error"] = "error"
    for path, value in event.get("context", {}).items():
        if isinstance(value, dict) and "error" in value:
            event["context"][path] = "error"
    return event


def strip(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "last"} for event in events]


def key_sorted(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda event: json.dumps(event, sort_keys=True))


def check_order(events: list[dict[str, Any]]) -> None:
    """`last` is on the last one alone, created before changed, one event for each field."""
    assert [event.get("last", False) for event in events] == [False] * (len(events) - 1) + [True] * bool(events)
    seen: set[Any] = set()
    for event in events:
        key = (event["id"], event["field"])
        assert key not in seen
        assert event["kind"] != "created" or not any(id == event["id"] for id, _ in seen)
        seen.add(key)


def told(event: Any) -> Any:
    """An event of a history, comparable across states."""
    schema = None if event.schema is None else event.schema.type
    value = None if event.kind in (2, 3) else event.value
    return (event.kind, event.revision, event.id, schema, event.name, value, event.time, event.written), (
        event.old_value, event.old_time, event.old_written, event.fresh,
    )  # fmt: skip


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    derandomize=True,  # a commit that fails fails again; more examples find more
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
