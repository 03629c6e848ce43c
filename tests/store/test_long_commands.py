"""Long commands: prepared beside the state in slices, and then no different from what is done at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model import work
from qcore.model.entry import Entry
from qcore.model.leader_commands import RaiseLevel, RunStaged, StagePart
from qcore.model.requests.commands import (
    Bootstrap,
    Command,
    Create,
    Delete,
    FieldChange,
    FieldSet,
    SchemaSet,
    SessionOpen,
    TreeNode,
)
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.queries import Count
from qcore.model.requests.restore import Restore
from qcore.model.values import Kind
from qcore.store import context
from qcore.store.apply import Outcome, apply_entry, applying_entry
from qcore.store.search import find as search
from qcore.store.search.filter import bind, parse
from qcore.store.state import name_index
from qcore.store.state.draft import Draft
from qcore.store.state.state import State
from qcore.store.watch.history import History
from tests.store.document_samples import OTHER_SCHEMAS, SCHEMAS, random_store, taken
from tests.store.samples import (
    PART,
    Log,
    any_command,
    busy_log,
    dump,
    field,
    full_digest,
    replay,
    some_command,
    through,
    type_of,
)
from tests.store.state.test_pinned import shown

NEVER = 1 << 60


@contextmanager
def prepared(from_size: int, pace: int = 3) -> Iterator[None]:
    """Have commands of this size and above be long, and pause often."""
    before = context.LONG, work.PACE, name_index._CROWDED
    context.LONG, work.PACE, name_index._CROWDED = from_size, pace, 2
    try:
        yield
    finally:
        context.LONG, work.PACE, name_index._CROWDED = before


def said(outcome: Outcome) -> Any:
    """The answer, as it goes over the wire."""
    if outcome.before is not None:
        return outcome.before.failed, outcome.before.raw
    return msgspec.json.encode(outcome.result if outcome.error is None else outcome.error.wire())


def events(history: History) -> list[Any]:
    """All that the history has, deep."""
    found = [event for chunk in history.after(history.gone) for event in chunk.events]
    shown = [
        (
            *(event.kind, event.revision, event.id, event.name, event.fresh, event.weight),
            *map(repr, (event.current, event.previous)),
            None if event.schema is None else [slot.name for slot in event.schema.slots],
            (event.value.values, event.value.stamps) if event.name == "" and hasattr(event.value, "stamps") else None,
        )
        for event in found
    ]
    return [
        *(history.head, history.oldest, history.retyped, len(history), history._size),
        *(history.births, sorted(history.deaths)),
        *shown,
    ]


def names(state: State) -> dict[tuple[int, str, int], int | None]:
    """Who is found by name, each once and one too many."""
    found: dict[tuple[int, str, int], int | None] = {}
    for parent in [0, *state.entities]:
        for child in state.children(parent):
            for twin in (1, 2, 3):
                name = state.entities[child].name
                found[parent, name, twin] = state.child_named(parent, name, twin)
    return found


def long_command(chance: random.Random, state: State) -> Command:
    """One that may be long."""
    document = taken(random_store(chance.choice([SCHEMAS, OTHER_SCHEMAS]), 12, chance.getrandbits(30)).state)
    makers: list[Any] = [
        lambda: Delete(chance.randint(1, state.next_id)),
        lambda: SchemaSet(type_of("Part", *chance.sample(PART.fields, 5)), reset=chance.random() < 0.8),
        lambda: FieldSet("Part", "Size", FieldChange(chance.choice(list(Kind)[:4])), reset=chance.random() < 0.8),
        lambda: FieldSet("Part", "Color", FieldChange(choices=["Red"]), reset=chance.random() < 0.8),
        lambda: FieldSet("Device", f"X{chance.randint(0, 3)}", FieldChange(Kind.Int)),
        lambda: Restore(taken(state), prune=True, reset=True),
        lambda: Restore(document, prune=chance.random() < 0.5, reset=chance.random() < 0.8),
        lambda: any_command(chance, state),
    ]
    made: Command = chance.choice(makers)()
    return made


def applied(state: State, entry: Entry) -> list[Outcome]:
    """Apply an entry with all its pauses; in each, all that is to be seen is what was there before the command."""
    outcomes: list[Outcome] = []
    before, view = shown(state), state.pin()
    for outcome in applying_entry(state, entry):
        if outcome is not None:
            outcomes.append(outcome)
            before = shown(state)
        elif not state.journal and random.random() < 0.1:
            assert shown(state) == before
    view.release()
    return outcomes


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12))
def test_what_is_prepared_in_slices_is_what_is_done_at_once(seed: int, size: int, count: int) -> None:
    log, chance = busy_log(seed, size), random.Random(seed)
    log.do(RaiseLevel(3))
    log.do(SessionOpen())
    other = replay(log.records)
    histories = [History(state, 500, 1 << 20) for state in (log.state, other)]
    views = [log.state.pin(), other.pin()]
    expected = shown(log.state)
    for _ in range(count):
        names(other)  # so that there are indexes to keep up
        entry = log.next(*(long_command(chance, log.state) for _ in range(chance.randint(1, 2))))
        with prepared(NEVER):
            at_once = list(apply_entry(log.state, entry))
        with prepared(0, chance.randint(1, 9)):
            sliced = applied(other, entry)
            assert [said(outcome) for outcome in sliced] == [said(outcome) for outcome in at_once]
            assert names(other) == names(log.state)
        assert dump(other) == dump(log.state)
        assert full_digest(other) == other.digest()
        assert events(histories[1]) == events(histories[0])
        log.entry(more := some_command(chance, log.state))
        list(apply_entry(other, Entry(entry.id, msgspec.json.decode(log.records[-1], type=type(entry.body)))))
        assert dump(other)["entities"] == dump(log.state)["entities"], more
    for view in views:
        assert shown(view) == expected


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 60))
def test_a_preparation_that_is_given_up_leaves_no_trace(seed: int, size: int, pauses: int) -> None:
    log, chance = busy_log(seed, size, level=3), random.Random(seed)
    view, expected, before = log.state.pin(), shown(log.state), dump(log.state)
    with prepared(0, 1):
        work = applying_entry(log.state, log.next(long_command(chance, log.state)))
        for _ in range(pauses):
            if next(work, 1) is not None:
                return
        work.close()  # type: ignore[attr-defined]
    assert dump(log.state) == before
    assert shown(view) == expected
    assert not log.state.journal
    log.create("Part", "later")
    assert full_digest(log.state) == log.state.digest()


def crowd(count: int) -> tuple[Log, int]:
    log = Log(type_of("Thing", field("Age")), type_of("Folder"))
    log.do(RaiseLevel(3))
    folder = log.create("Folder", "crowd")
    log.entry(*(Create("Thing", f"n{number}", folder, {"Age": number}) for number in range(count)))
    return log, folder


def pauses(state: State, entry: Entry) -> int:
    """Apply an entry of one command; how often it pauses before it is there. No pause may show anything of it."""
    revision, digest = state.revision, state.digest()
    for count, outcome in enumerate(applying_entry(state, entry)):
        if outcome is not None:
            assert outcome.error is None
            assert state.revision == revision + 1
            return count
        assert (state.revision, state.digest()) == (revision, digest)
    raise AssertionError("there was no answer")


@pytest.mark.parametrize(
    "command",
    [
        Delete("/Root/crowd"),
        FieldSet("Thing", "Age", FieldChange(Kind.String), reset=True),
        FieldSet("Thing", "New", FieldChange(Kind.Int)),
        SchemaSet(type_of("Thing", field("Age"), field("More"))),
        SchemaSet(type_of("Wide", *(field(f"F{number}") for number in range(5_000)))),
    ],
    ids=lambda command: command.method,
)
def test_a_long_command_pauses_and_a_short_one_does_not(command: Command) -> None:
    log, _ = crowd(5_000)
    assert pauses(log.state, log.next(command)) > 10
    assert log.state.digest() == full_digest(log.state)
    log, _ = crowd(50)
    if not (isinstance(command, SchemaSet) and command.schema and len(command.schema.fields) > 100):
        assert pauses(log.state, log.next(command)) == 0


def test_a_restore_pauses_from_the_text_of_its_parts_on() -> None:
    log, _ = crowd(3_000)
    document = taken(log.state)
    other = Log()
    text = msgspec.json.encode(Restore(document)).decode()
    other.do(StagePart("a", 0, text))
    assert pauses(other.state, other.next(RunStaged("a", 1))) > 100
    assert taken(other.state) == document
    assert not other.state.staged.open


def test_a_schema_set_in_parts_is_the_same_as_in_one() -> None:
    logs = [Log(), Log()]
    schemas = [type_of(f"T{number}", *(field(f"F{each}") for each in range(2_000))) for number in range(3)]
    command = SchemaSet(schemas=schemas)
    logs[0].do(RaiseLevel(3))
    logs[0].do(command)
    logs[1].do(RaiseLevel(3))
    logs[1].do(StagePart("a", 0, msgspec.json.encode(command).decode()))
    logs[1].do(RunStaged("a", 1))
    assert logs[0].state.digest() == logs[1].state.digest()


def test_a_schema_file_with_a_large_tree_pauses() -> None:
    items = [TreeNode("Thing", f"n{number}", {"Boss": f"/Root/n{number // 2}"}) for number in range(2_000)]
    thing = type_of("Thing", field("Boss", Kind.EntityReference))
    command = Bootstrap([thing], [TreeNode("Root", "Root", children=items)], "hash")
    logs = [Log(), Log()]
    with prepared(NEVER):
        done = logs[0].do(command)
    entry = logs[1].next(command)
    assert pauses(logs[1].state, entry) > 20
    assert done.applied
    assert {**dump(logs[1].state), "counters": ()} == {**dump(logs[0].state), "counters": ()}


@pytest.mark.parametrize("gone", [1_500, 4_500])
def test_searches_by_value_find_what_is_there_behind_a_long_command(gone: int) -> None:
    log, _ = crowd(5_000)
    other = log.create("Folder", "other")
    log.entry(*(Create("Thing", f"m{number}", other, {"Age": number}) for number in range(gone)))

    def found() -> tuple[int, bool]:
        count = through(search.count(log.state, Count("Thing"), bound))
        return count.count, bool(log.state.indexes.open)

    bound = bind(parse("Age == 7"), [log.state.types.of("Thing")])
    assert [found(), found()] == [(2, False), (2, True)]
    log.delete(other)
    assert bool(log.state.indexes.open) is (gone == 1_500)
    assert [found(), found()] == [(1, True), (1, True)]
    document = taken(log.state)
    for entity in document.entities:
        if entity.type == "Thing":
            entity.fields["Age"] = 7
    log.do(Restore(document))
    bound = bind(parse("Age == 7"), [log.state.types.of("Thing")])
    assert [found()[0], found()[0]] == [5_000, 5_000]


def test_in_a_compound_nothing_pauses() -> None:
    log, folder = crowd(2_000)
    for command in (Transaction([Delete(folder)]), Pipeline([FieldSet("Thing", "New", FieldChange(Kind.Int))])):
        assert None not in list(applying_entry(log.state, log.next(command)))


def test_a_view_that_is_opened_in_the_middle_stays_what_it_was() -> None:
    log, folder = crowd(2_000)
    expected = shown(log.state)
    views = []
    for number, outcome in enumerate(applying_entry(log.state, log.next(Delete(folder)))):
        if outcome is None and number % 3 == 0 and folder in log.state.entities:
            views.append(log.state.pin())
    assert len(views) > 3
    log.create("Folder", "crowd")
    for view in views:
        assert shown(view) == expected
        view.release()


def test_a_draft_is_written_to_and_the_state_is_not() -> None:
    log, folder = crowd(3)
    before = dump(log.state)
    draft = Draft(log.state)
    one, two, _ = draft.children(folder)
    draft.put(draft.entities[one], 3, 77, 1, 1)
    draft.move(draft.entities[two], 0)
    draft.reorder(draft.entities[folder], list(reversed(draft.children(folder))))
    assert draft.entities[one].values[3] == 77
    assert list(draft.top) == [1, two]
    assert len(draft.entities) == len(log.state.entities)
    assert sorted(draft.entities) == sorted(log.state.entities)
    assert full_digest(draft) == draft.digest()
    assert dump(log.state) == before
