"""Events of single revisions, in their exact order; what they should hold at all is the machine's business."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from qcore.model.errors import RequestError
from qcore.model.requests.commands import Create, Delete, FieldSet, SchemaSet, SetFields
from qcore.model.requests.commands import FieldChange as Change
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.restore import Restore
from qcore.model.values import Kind
from qcore.store.watch.events import CHANGED, DELETED, KINDS, RETYPED, Event
from qcore.store.watch.history import History
from tests.store.document_samples import taken
from tests.store.samples import Log, field, type_of

THING = type_of("Thing", field("Age", default=7), field("Note", Kind.String), field("Boss", Kind.EntityReference))


@pytest.fixture
def log() -> Log:
    return Log(THING)


@pytest.fixture
def history(log: Log) -> History:
    return History(log.state, 1000, 1 << 20)


def since(history: History, revision: int) -> list[Event]:
    return [event for chunk in history.after(revision) for event in chunk.events if event.revision > revision]


def told(history: History, revision: int) -> list[Any]:
    """(kind, id, field) of everything after a revision."""
    return [(KINDS[event.kind], event.id, event.name) for event in since(history, revision)]


def test_an_entity_is_created_and_its_fields_are_changes_in_the_order_they_were_written(
    log: Log, history: History
) -> None:
    revision = log.state.revision
    id = log.create("Thing", "x", Note="n", Age=1)
    fields = ["Name", "Parent"]
    assert told(history, revision) == [
        ("created", id, ""),
        *(("changed", id, name) for name in fields),
        ("changed", 1, "Children"),
        ("changed", id, "Note"),
        ("changed", id, "Age"),
    ]


def test_a_new_entity_has_nothing_before_an_old_one_its_default(log: Log, history: History) -> None:
    id = log.create("Thing", "x", Age=1)
    log.set(id, "Note", "n")
    age, note = (event for event in since(history, 0) if event.name in ("Age", "Note"))
    assert age.previous is None
    assert note.previous == (Kind.String, "", 0, 0)
    assert note.current == (Kind.String, "n", log.time, log.state.revision)


def test_children_has_a_time_and_no_value(log: Log, history: History) -> None:
    log.create("Thing", "x")
    (event,) = (event for event in since(history, 0) if event.name == "Children")
    assert event.current == (Kind.EntityList, None, log.time, log.state.revision)
    assert event.differs


def test_a_move_tells_of_the_parent_and_both_lists(log: Log, history: History) -> None:
    a, b = log.create("Thing", "a"), log.create("Thing", "b")
    revision = log.state.revision
    log.set(b, "Parent", a)
    assert sorted(told(history, revision)) == [
        ("changed", id, name) for id, name in [(1, "Children"), (a, "Children"), (b, "Parent")]
    ]
    moved = next(event for event in since(history, revision) if event.name == "Parent")
    assert moved.current is not None
    assert moved.previous is not None
    assert (moved.current.value, moved.previous.value) == (a, 1)


def test_two_moves_in_one_revision_are_one_change_from_the_first_parent(log: Log, history: History) -> None:
    a, b, c = (log.create("Thing", name) for name in "abc")
    revision = log.state.revision
    log.do(Transaction([SetFields(c, "Parent", a), SetFields(c, "Parent", b)]))
    (moved,) = (event for event in since(history, revision) if event.name == "Parent")
    assert moved.current is not None
    assert moved.previous is not None
    assert (moved.current.value, moved.previous.value) == (b, 1)


def test_deleting_tells_of_every_entity_below_once(log: Log, history: History) -> None:
    top = log.create("Thing", "top")
    below = [log.create("Thing", name, top) for name in "ab"]
    revision = log.state.revision
    log.delete(top)
    assert told(history, revision) == [("changed", 1, "Children"), *(("deleted", id, "") for id in [top, *below])]


def test_a_transaction_is_one_revision_with_one_event_for_each_field(log: Log, history: History) -> None:
    id = log.create("Thing", "x", Age=1)
    revision = log.state.revision
    log.do(Transaction([SetFields(id, "Age", 2), SetFields(id, "Note", "n"), SetFields(id, "Age", 3)]))
    assert told(history, revision) == [("changed", id, "Age"), ("changed", id, "Note")]
    age = since(history, revision)[0]
    assert (age.old_value, age.value) == (1, 3)


def test_what_comes_and_goes_in_one_revision_never_was(log: Log, history: History) -> None:
    revision = log.state.revision
    log.do(Transaction([Create("Thing", "x"), SetFields("$1", "Age", 2), Delete("$1")]))
    assert log.state.revision == revision + 1
    assert told(history, revision) == []


def test_what_is_written_and_deleted_in_one_revision_is_deleted_as_it_was_before(log: Log, history: History) -> None:
    id = log.create("Thing", "x", None, Age=1)
    revision = log.state.revision
    log.do(Transaction([SetFields(id, "Age", 2), SetFields(id, "Parent", 1), Delete(id)]))
    (deleted,) = (event for event in since(history, revision) if event.id == id)
    assert deleted.kind == DELETED
    assert deleted.value.read(deleted.value.schema.field("Age").slot) == 1
    assert deleted.value.parent == 0


def test_each_step_of_a_pipeline_is_a_revision_of_its_own(log: Log, history: History) -> None:
    id = log.create("Thing", "x")
    revision = log.state.revision
    log.do(Pipeline([SetFields(id, "Age", 1), SetFields(id, "Nothing", 1), SetFields(id, "Age", 2)]))
    assert [(event.revision, event.value) for event in since(history, revision)] == [
        (revision + 1, 1),
        (revision + 2, 2),
    ]


@pytest.mark.parametrize(
    "command",
    [
        SetFields(2, fields={"Age": 9, "Nothing": 1}),
        SetFields(2, "Age", 1, when="changes"),
        Transaction([SetFields(2, "Age", 9), Create("Thing", "y"), Delete(1)]),
        Transaction([SetFields(2, "Age", 1, when="changes")]),
    ],
    ids=["refused", "nothing stored", "undone", "nothing stored at all"],
)
def test_what_writes_nothing_tells_nothing(log: Log, history: History, command: Any) -> None:
    log.create("Thing", "x", Age=1)
    revision = log.state.revision
    with contextlib.suppress(RequestError):
        log.do(command)
    assert told(history, revision) == []
    assert history.head == log.state.revision == revision


def test_the_same_value_written_again_is_told_but_differs_in_nothing(log: Log, history: History) -> None:
    id = log.create("Thing", "x", Age=1)
    revision = log.state.revision
    log.set(id, "Age", 1)
    log.set(id, "Age", 2)
    assert [event.differs for event in since(history, revision)] == [False, True]


def test_a_restore_that_unsets_a_field_tells_of_its_default(log: Log, history: History) -> None:
    document = taken(log.state)
    id = log.create("Thing", "x")
    document = taken(log.state)
    log.set(id, "Age", 3)
    revision = log.state.revision
    log.do(Restore(document))
    (event,) = since(history, revision)
    assert event.current == (Kind.Int, 7, 0, 0)
    assert event.previous is not None
    assert event.previous.value == 3


def test_a_restore_is_one_revision(log: Log, history: History) -> None:
    for name in "abc":
        log.create("Thing", name, Age=1)
    document = taken(log.state)
    gone = log.children(1)
    for id in gone:
        log.delete(id)
    kept = log.create("Thing", "other")
    revision = log.state.revision
    log.do(Restore(document, prune=True))
    assert {event.revision for event in since(history, revision)} == {revision + 1}
    assert ("deleted", kept, "") in told(history, revision)
    assert [kind for kind, _, _ in told(history, revision)].count("created") == 3


def test_a_field_written_and_taken_away_in_one_revision_has_no_event(log: Log, history: History) -> None:
    id = log.create("Thing", "x")
    revision = log.state.revision
    log.do(
        Transaction([SetFields(id, "Age", 1), SetFields(id, "Note", "n"), SchemaSet(type_of("Thing", THING.fields[1]))])
    )
    events = since(history, revision)
    assert [event.kind for event in events] == [RETYPED, CHANGED]
    assert events[1].name == "Note"
    assert events[1].previous == (Kind.String, "", 0, 0)


def test_a_change_of_schemas_alone_writes_nothing(log: Log, history: History) -> None:
    log.create("Thing", "x", Age=1)
    revision = log.state.revision
    log.do(FieldSet("Thing", "Extra", Change(Kind.Int)))
    assert since(history, revision) == []
    assert history.head == revision + 1
    log.do(FieldSet("Thing", "Age", Change(Kind.String)))
    assert [event.kind for event in since(history, revision)] == [RETYPED]
