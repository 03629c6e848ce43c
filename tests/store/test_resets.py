"""Values that would go with a change of schemas: refused and counted, unless the command says `reset`."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.documents.document import Document
from qcore.model.documents.text import read_document
from qcore.model.errors import BadParams, InUse
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.commands import Bootstrap, Command, FieldChange, FieldSet, SchemaSet
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.restore import Restore
from qcore.model.requests.results import SchemaDone
from qcore.model.values import Kind
from qcore.model.work import run_whole
from qcore.store.documents.export import export
from qcore.store.documents.plan import plan
from qcore.store.schemas import try_field_schema, try_schemas
from qcore.store.watch.events import CHANGED
from qcore.store.watch.history import History
from tests.store.samples import Log, dump, field, full_digest, replay, type_of

AGE, TEXT = field("Age", default=7), field("Text", Kind.String, "t")
MOOD = field("Mood", Kind.Choice, choices=["Happy", "Sad"])
NOTE = field("Note", Kind.String, storage_scope="Runtime")
THING = type_of("Thing", AGE, TEXT, MOOD, NOTE)


def at_level(level: int) -> Log:
    """Three things and two tools, which are things, with ages; one of each is sad."""
    log = Log(THING, type_of("Tool", field("Size"), inherits=["Thing"]))
    log.do(RaiseLevel(level))
    for type_name, count in (("Thing", 3), ("Tool", 2)):
        for number in range(count):
            log.create(type_name, f"{type_name}{number}", 1, Age=number, **({"Mood": "Sad"} if number == 1 else {}))
    log.create("Thing", "unset")
    return log


@pytest.fixture
def log() -> Log:
    return at_level(3)


def refused(log: Log, command: Command) -> InUse:
    before = dump(log.state)
    (outcome,) = log.entry(command)
    assert type(outcome.error) is InUse
    after = dump(log.state)
    del before["counters"], after["counters"]
    assert after == before
    return outcome.error


def kinds() -> FieldSet:
    return FieldSet("Thing", "Age", FieldChange(Kind.String))


def test_a_change_of_kind_names_the_values_that_would_go(log: Log) -> None:
    error = refused(log, kinds())
    assert error.data == {"reset": {"Thing.Age": 5}, "applied": "no"}
    assert error.message == "this would reset stored values: Thing.Age of 5 entities; say reset (--reset) if it is to"


def test_fields_and_labels_that_go_count_together(log: Log) -> None:
    mood = field("Mood", Kind.Choice, choices=["Happy", "Calm"])
    error = refused(log, SchemaSet(type_of("Thing", TEXT, mood)))
    assert error.data["reset"] == {"Thing.Age": 5, "Thing.Mood": 2}
    assert refused(log, SchemaSet(type_of("Tool"))).data["reset"] == {"Thing.Age": 2, "Thing.Mood": 1}


def test_with_reset_they_go(log: Log) -> None:
    mood = field("Mood", Kind.Choice, choices=["Happy", "Calm"])
    done = log.do(SchemaSet(type_of("Thing", TEXT, mood, NOTE), reset=True))
    assert done == SchemaDone(log.state.revision, ["Thing"], {"Thing.Age": 5, "Thing.Mood": 2})
    assert log.get("/Root/Tool1", "Mood")["Mood"] == {"value": "Happy", "time": None, "writer": None, "revision": 0}
    assert log.state.digest() == full_digest(log.state)
    assert dump(replay(log.records)) == dump(log.state)
    done = log.do(FieldSet("Thing", "Age", FieldChange(Kind.Int), reset=True))
    assert done == SchemaDone(log.state.revision, ["Thing"])
    assert log.value("/Root/Thing1", "Age") == 0


def test_what_was_never_written_is_not_lost(log: Log) -> None:
    log.do(FieldSet("Thing", "Text", FieldChange(Kind.Blob)))
    log.do(SchemaSet(type_of("Tool", inherits=["Thing"])))
    log.do(FieldSet("Thing", "Mood", FieldChange(choices=["Sad"], default="Sad")))
    log.do(FieldSet("Thing", "Age", FieldChange(default=9, rank=3)))
    assert log.value("/Root/Thing1", "Age") == 1


def test_a_transaction_is_undone_and_a_step_of_a_pipeline_refused(log: Log) -> None:
    error = refused(log, Transaction([FieldSet("Tool", "New", FieldChange(Kind.Int)), kinds()]))
    assert error.data == {"reset": {"Thing.Age": 5}, "command": 2, "applied": "no"}
    step, more = log.do(Pipeline([kinds(), FieldSet("Thing", "Age", FieldChange(Kind.String), reset=True)]))
    assert step.error["data"]["reset"] == {"Thing.Age": 5}
    assert more.result.reset == {"Thing.Age": 5}


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_dry_run_says_the_numbers(level: int) -> None:
    log = at_level(level)
    before = dump(log.state)
    expected = SchemaDone(log.state.revision + 1, ["Thing"], {"Thing.Age": 5})
    assert run_whole(try_field_schema(log.state, kinds())) == expected
    assert run_whole(try_schemas(log.state, SchemaSet(type_of("Thing", TEXT, MOOD), dry_run=True))) == expected
    assert dump(log.state) == before


def test_a_dry_run_of_labels_in_use_says_the_numbers_too(log: Log) -> None:
    command = FieldSet("Thing", "Mood", FieldChange(choices=["Happy"]), dry_run=True)
    assert run_whole(try_field_schema(log.state, command)).reset == {"Thing.Mood": 2}
    with pytest.raises(BadParams, match="a dry run stands alone"):
        log.do(command)


@pytest.mark.parametrize("level", [1, 2])
def test_levels_before_reset_without_a_word(level: int) -> None:
    log = at_level(level)
    assert log.do(kinds()) == SchemaDone(log.state.revision, ["Thing"])
    assert log.value("/Root/Thing1", "Age") == ""
    error = refused(log, FieldSet("Thing", "Mood", FieldChange(choices=["Happy"]), reset=True))
    assert "label 'Sad' of Thing.Mood is in use" in error.message


def test_listeners_hear_of_labels_that_are_reset(log: Log) -> None:
    history = History(log.state, 1000, 1 << 20)
    sad = [log.state.child_named(1, name, 1) for name in ("Thing1", "Tool1")]
    log.do(FieldSet("Thing", "Mood", FieldChange(choices=["Happy"]), reset=True))
    events = [each for each in history.following(log.state.revision - 1) if each.kind == CHANGED]
    assert [(each.id, each.name, each.old_value, each.value) for each in events] == [
        (id, "Mood", "Sad", None) for id in sad
    ]


def test_a_schema_file_resets_nothing() -> None:
    log = Log(type_of("Root", field("Motto")))
    log.do(RaiseLevel(3))
    log.set(1, "Motto", 7)
    error = refused(log, Bootstrap([type_of("Root", field("Motto", Kind.String))], [], "hash"))
    assert error.data["reset"] == {"Root.Motto": 1}


# -- restoring a document ----------------------------------------------------------------------------------


def document(log: Log, *schemas: Any) -> Document:
    """What the state holds, with other types."""
    found = read_document(b"".join(export(log.state)))
    others = {schema.entity_type: schema for schema in schemas}
    found.schemas = [others.get(schema.entity_type, schema) for schema in found.schemas]
    return found


def test_a_restore_resets_what_its_types_have_no_place_for_only_if_told(log: Log) -> None:
    found = document(log, type_of("Thing", TEXT, MOOD, NOTE))
    for entity in found.entities:
        entity.fields.pop("Age", None)
    assert plan(log.state, found).reset == {"Thing.Age": 5}
    assert refused(log, Restore(found)).data["reset"] == {"Thing.Age": 5}
    log.do(Restore(found, reset=True))
    assert log.state.digest() == full_digest(log.state)


def test_what_a_restore_writes_anew_or_deletes_is_not_reset(log: Log) -> None:
    found = document(log, type_of("Thing", field("Age", Kind.String), TEXT, MOOD, NOTE))
    for entity in found.entities:
        if "Age" in entity.fields:
            entity.fields["Age"] = "old"
    assert plan(log.state, found).reset == {}
    tools = [entity for entity in found.entities if entity.type == "Tool"]
    found.entities = [entity for entity in found.entities if entity.type != "Tool"]
    assert len(tools) == 2
    assert plan(log.state, found).reset == {"Thing.Age": 2}
    assert plan(log.state, found, prune=True).reset == {}
    log.do(Restore(found, prune=True))
    assert log.value("/Root/Thing1", "Age") == "old"


def test_a_restore_takes_labels_away_only_if_told(log: Log) -> None:
    """Of entities that the document does not list; before, that was refused for good."""
    found = document(log, type_of("Thing", AGE, TEXT, field("Mood", Kind.Choice, choices=["Happy"]), NOTE))
    found.entities = [entity for entity in found.entities if entity.type == "Root"]
    assert refused(log, Restore(found)).data["reset"] == {"Thing.Mood": 2}
    log.do(Restore(found, reset=True))
    assert log.value("/Root/Thing1", "Mood") == "Happy"
    assert log.state.digest() == full_digest(log.state)
