"""Another state in the place of the one there was: what a received snapshot does."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.requests.commands import Create, SchemaSet, SessionOpen, SetFields
from qcore.model.requests.queries import Count, Find
from qcore.model.requests.results import Counted
from qcore.store.documents.export import export
from qcore.store.search import find as search
from qcore.store.search.filter import Filter, bind, parse
from qcore.store.sessions.pinned_sessions import PinnedSessions
from qcore.store.state import indexes
from qcore.store.state.pinned import Pinned
from qcore.store.state.pins import Work
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State
from qcore.store.watch.history import History
from tests.store.samples import Log, any_command, busy_log, field, full_digest, through, type_of
from tests.store.state.test_pinned import shown
from tests.store.state.test_snapshot_lines import again, everything, written

THING = type_of("Thing", field("Age"))


class Retired:
    """The works of taking apart, which are not begun before `run`."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.pauses = 0

    def __call__(self, work: Work) -> None:
        self.works.append(work)

    def run(self) -> None:
        for work in self.works:
            self.pauses += sum(1 for _ in work)
        self.works.clear()


def go_on(log: Log, other: Log) -> Log:
    """A log goes on with the state of another one, as a snapshot brings it: returns a log of the same entries."""
    log.records, log.time = list(other.records), other.time
    return log


def sessions_of(view: PinnedSessions) -> list[Any]:
    return [(id, used, low, sorted(answers)) for id, used, low, answers in view.all()]


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 40), st.integers(1, 20))
def test_the_state_is_the_adopted_one_and_views_stay_what_they_were(
    seed: int, before: int, others: int, after: int
) -> None:
    log, other, twin = busy_log(seed, before), busy_log(seed + 1, others), busy_log(seed + 1, others)
    chance = random.Random(seed)
    retired = Retired()
    pinned: list[tuple[Pinned, dict[str, Any], PinnedSessions, list[Any]]] = []
    for _ in range(chance.randint(0, 3)):
        sessions = log.state.sessions.pin()
        pinned.append((log.state.pin(), shown(log.state), sessions, sessions_of(sessions)))
        log.entry(*(any_command(chance, log.state) for _ in range(2)))
    go_on(log, other).state.adopt(again(other.state), retired)
    assert everything(log.state) == everything(twin.state)
    assert log.state.digest() == other.state.digest() == full_digest(log.state)
    for _ in range(after):
        commands = [any_command(chance, log.state) for _ in range(chance.randint(1, 3))]
        log.entry(*commands)
        twin.entry(*commands)
    assert everything(log.state) == everything(twin.state)
    assert written(log.state) == written(twin.state)
    retired.run()
    for view, expected, sessions, kept in pinned:
        assert shown(view) == expected
        assert sessions_of(sessions) == kept
        sessions.release()
        view.release()
    assert len(retired.works) == (2 if pinned else 0)
    retired.run()
    for view, *_ in pinned:
        assert not view._live.entities
    assert everything(log.state) == everything(twin.state)


def test_a_snapshot_of_the_old_state_is_written_to_its_end() -> None:
    log, other = busy_log(1, 60), busy_log(2, 60)
    snapshot, text = StateSnapshot(log.state), written(log.state)
    retired = Retired()
    pieces = snapshot.pieces()
    found = next(pieces)
    log.state.adopt(again(other.state), retired)
    retired.run()
    found += b"".join(pieces)
    assert found == text
    snapshot.release()
    assert len(retired.works) == 2


def test_a_document_of_the_old_state_is_written_to_its_end() -> None:
    log, other = busy_log(3, 60), busy_log(2, 60)
    view, text = log.state.pin(), b"".join(export(log.state))
    work = export(view)
    found = next(work)
    log.state.adopt(again(other.state), Retired())
    assert found + b"".join(work) == text


def crowded(count: int, name: str, shift: int = 0) -> Log:
    log = Log(THING)
    for number in range(count):
        log.create("Thing", f"{name}{number}", Age=(number + shift) % 100)
    return log


def by_age(state: State, age: int) -> Filter:
    return bind(parse(f"Age == {age}"), [state.types.of("Thing")])


def test_indexes_are_those_of_the_adopted_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index by field and one by name, both built before; neither tells of what was there."""
    monkeypatch.setattr(search, "_WORTH", 1)
    log, other = crowded(300, "a"), crowded(200, "b")
    for _ in range(2):
        assert through(search.count(log.state, Count("Thing"), by_age(log.state, 7))) == Counted(3)
    assert log.state.indexes.open
    assert log.value("/Root/a7", "Age") == 7
    log.state.adopt(again(other.state), Retired())
    assert not log.state.indexes.open
    assert through(search.count(log.state, Count("Thing"), by_age(log.state, 7))) == Counted(2)
    assert log.state.child_named(1, "a7", 1) is None
    assert log.value("/Root/b7", "Age") == 7


@pytest.mark.parametrize("at_once", [False, True], ids=["kept", "taken apart"])
@pytest.mark.parametrize("order", [[], ["Age:desc"]], ids=["by id", "by age"])
def test_a_search_that_pauses_while_another_state_comes_begins_anew(
    monkeypatch: pytest.MonkeyPatch, order: list[str], at_once: bool
) -> None:
    monkeypatch.setattr(search, "_WORTH", 1)
    monkeypatch.setattr(indexes, "_SHARE", 1)
    log, other = crowded(1500, "a"), crowded(1200, "b", shift=1)
    age = type_of("Thing", field("Age"), field("More"))
    other.do(SchemaSet(age))
    filter = by_age(log.state, 7)
    through(search.count(log.state, Count("Thing"), filter))
    work = search.find(log.state, Find("Thing", limit=100, order_by=order, total=True), 100, filter)
    retired = Retired()
    next(work)
    log.state.adopt(again(other.state), retired)
    if at_once:
        retired.run()
    page = through(work)
    assert page.total == len(page.items) == 12
    assert {item.name[0] for item in page.items} == {"b"}


def test_it_takes_many_small_steps_to_take_a_large_state_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_WORTH", 1)
    log = crowded(5000, "a")
    for _ in range(2):
        through(search.count(log.state, Count("Thing"), by_age(log.state, 7)))
    assert log.value("/Root/a7", "Age") == 7
    for _ in range(20):
        log.do(SessionOpen())
    retired = Retired()
    entities = log.state.entities
    log.state.adopt(State(), retired)
    assert len(entities) == 5001
    retired.run()
    assert not entities
    assert retired.pauses > 5001 // 500 + 64 + 20


def test_nothing_is_adopted_in_the_middle_of_a_command() -> None:
    log = crowded(3, "a")
    log.state.begin()
    log.state.put(log.state.entities[2], 0, "x", 1, 99)
    with pytest.raises(AssertionError):
        log.state.adopt(State(), Retired())


def test_a_refused_command_behind_it_leaves_no_trace() -> None:
    log, other = crowded(3, "a"), crowded(5, "b")
    go_on(log, other).state.adopt(again(other.state), Retired())
    before = everything(log.state)
    (outcome,) = log.entry(Create("Thing", "x", 1, {"Age": "many"}))
    assert outcome.error is not None
    after = everything(log.state)
    assert after["entities"] == before["entities"]
    assert after["digest"] == before["digest"]


def test_a_history_begins_anew_with_the_adopted_state() -> None:
    log, other = crowded(30, "a"), crowded(2000, "b")
    history = History(log.state, 1000, 1 << 30)
    log.create("Thing", "a")
    log.delete(2)
    log.do(SchemaSet(type_of("Thing", field("More"))))
    events = history.following(0)
    go_on(log, other).state.adopt(again(other.state), Retired())
    work = history.reset()
    revision = log.state.revision
    assert (history.head, history.gone, history.oldest) == (revision, revision, revision + 1)
    assert (len(history), history.retyped, history.births, history.deaths) == (0, 0, {}, {})
    assert history.following(0) == [] == history.retypings(0)
    log.do(SetFields(3, "Age", 5))
    new = log.create("Thing", "new")
    assert events
    assert [event.revision for event in history.following(revision)] == [revision + 1]
    assert history.births == {new: revision + 2}
    assert history.retyped == 0
    for _ in work:
        pass
    assert len(history) == 5
    assert history.births == {new: revision + 2}
