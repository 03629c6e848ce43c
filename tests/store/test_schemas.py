from __future__ import annotations

import pytest

from qcore.model.errors import BadParams, BadSchema, Cycle, InUse, NotFound
from qcore.model.requests.commands import FieldChange, FieldSet, SchemaDelete, SchemaSet
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.queries import SchemaComplete, SchemaGet
from qcore.model.requests.results import SchemaDone, StepFailed
from qcore.model.schema import EntitySchema
from qcore.model.values import Kind
from qcore.model.work import run_whole
from qcore.store import read
from qcore.store.schemas import try_schemas
from tests.store.samples import Log, dump, field, full_digest, type_of

AGE = field("Age", default=7)
TEXT = field("Text", Kind.String, "t")
MOOD = field("Mood", Kind.Choice, choices=["Happy", "Sad"])


@pytest.fixture
def log() -> Log:
    return Log(type_of("Thing", AGE, TEXT, MOOD), type_of("Tool", field("Size"), inherits=["Thing"]))


def change(log: Log, *schemas: EntitySchema) -> None:
    log.do(SchemaSet(schemas=list(schemas)))
    assert log.state.digest() == full_digest(log.state)


def fields_of(log: Log, type_name: str) -> list[str]:
    return [f.name for f in read.schema_complete(log.state, SchemaComplete(type_name)).fields]


def test_schemas_are_set_together_in_any_order(log: Log) -> None:
    revision = log.state.revision + 1
    done = log.do(SchemaSet(schemas=[type_of("C", inherits=["B"]), type_of("B", inherits=["A"]), type_of("A")]))
    assert done == SchemaDone(revision, ["A", "B", "C"])
    assert log.do(SchemaSet(type_of("D", inherits=["C"]))).types == ["D"]


def test_one_bad_schema_refuses_all(log: Log) -> None:
    before = dump(log.state)
    for schemas, error in [
        ([type_of("A"), type_of("B", inherits=["Ghost"])], BadSchema),
        ([type_of("A", inherits=["B"]), type_of("B", inherits=["A"])], Cycle),
        ([type_of("A"), type_of("A")], BadSchema),
        ([type_of("A"), type_of("B", field("F", Kind.Int, "x"))], BadSchema),
        ([type_of("A"), type_of("Object")], BadSchema),
    ]:
        with pytest.raises(error):
            log.do(SchemaSet(schemas=schemas))
    after = dump(log.state)
    del before["counters"], after["counters"]
    assert after == before


def test_set_needs_a_schema_or_schemas(log: Log) -> None:
    for command in (SchemaSet(), SchemaSet(schemas=[]), SchemaSet(type_of("A"), [type_of("B")])):
        with pytest.raises(BadParams, match="schema or schemas"):
            log.do(command)


def test_values_stay_where_the_kind_stays(log: Log) -> None:
    thing = log.create("Thing", "x", 1, Age=1, Text="a", Mood="Sad")
    before = log.get(thing)
    change(log, type_of("Thing", field("Mood", Kind.Choice, choices=["Sad", "Calm"]), TEXT, field("New"), field("Age")))
    after = log.get(thing)
    assert after.pop("New") == {"value": 0, "time": None, "writer": None, "revision": 0}
    assert after == before


def test_an_unset_field_reads_as_the_new_default(log: Log) -> None:
    thing = log.create("Thing", "x")
    change(log, type_of("Thing", field("Age", default=8)))
    assert log.value(thing, "Age") == 8


def test_a_value_is_reset_only_where_its_kind_changes(log: Log) -> None:
    thing = log.create("Thing", "x", 1, Age=1, Text="a")
    change(log, type_of("Thing", field("Age", Kind.Float, 2.5), TEXT))
    assert log.get(thing, "Age")["Age"] == {"value": 2.5, "time": None, "writer": None, "revision": 0}
    assert log.value(thing, "Text") == "a"
    change(log, type_of("Thing", AGE, TEXT))
    assert log.value(thing, "Age") == 7


def test_a_removed_field_goes_and_does_not_come_back_with_its_value(log: Log) -> None:
    thing = log.create("Thing", "x", 1, Age=1)
    change(log, type_of("Thing"))
    with pytest.raises(NotFound, match="no field 'Age'"):
        log.set(thing, "Age", 2)
    change(log, type_of("Thing", AGE))
    assert log.value(thing, "Age") == 7


def test_a_change_reaches_the_descendants(log: Log) -> None:
    tool = log.create("Tool", "x", 1, Age=1, Size=2)
    change(log, type_of("Thing", TEXT, field("New", default=5)))
    assert (log.value(tool, "Size"), log.value(tool, "New")) == (2, 5)
    assert "Age" not in fields_of(log, "Tool")
    change(log, type_of("Tool", field("Size")))
    assert list(log.get(tool)) == ["Name", "Size", "Parent", "Children"]
    assert log.value(tool, "Size") == 2


def test_a_value_stays_where_another_ancestor_brings_the_field(log: Log) -> None:
    tool = log.create("Tool", "x", 1, Age=1)
    change(log, type_of("Aged", field("Age", default=9)), type_of("Tool", inherits=["Aged"]))
    assert log.value(tool, "Age") == 1
    assert log.ids("Aged") == [tool]
    assert log.ids("Thing") == []


def test_a_label_in_use_cannot_be_dropped(log: Log) -> None:
    tool = log.create("Tool", "x", 1, Mood="Sad")
    without = type_of("Thing", field("Mood", Kind.Choice, choices=["Happy", "Calm"]))
    with pytest.raises(InUse, match=f"label 'Sad' of Tool.Mood is in use by entity {tool}"):
        log.do(SchemaSet(without))
    assert log.value(tool, "Mood") == "Sad"
    log.set(tool, "Mood", "Happy")
    change(log, without)
    assert log.value(tool, "Mood") == "Happy"


def test_a_label_that_is_only_a_default_may_go(log: Log) -> None:
    tool = log.create("Tool", "x")
    change(log, type_of("Thing", field("Mood", Kind.Choice, choices=["Sad"])))
    assert log.value(tool, "Mood") == "Sad"


def test_the_tree_survives_a_change_of_every_type(log: Log) -> None:
    top = log.create("Thing", "top")
    below = [log.create("Tool", name, top) for name in "ab"]
    change(log, type_of("Root", field("Motto", Kind.String)), type_of("Thing"), type_of("Tool", AGE))
    log.set(1, "Motto", "x")
    assert log.children(top) == below
    assert log.value("/Root/top/b", "Parent") == top
    log.create("Tool", "c", top)
    log.set(below[0], "Parent", 1)
    assert log.delete(top) == 3
    assert log.state.digest() == full_digest(log.state)


def test_an_entity_keeps_its_name_when_the_type_shadows_the_field(log: Log) -> None:
    thing = log.create("Thing", "x")
    change(log, type_of("Thing", field("Name", Kind.String, "nobody", rank=9)))
    assert log.value(thing, "Name") == "x"
    assert list(log.get(thing)) == ["Parent", "Children", "Name"]
    with pytest.raises(BadSchema, match="built in as String"):
        log.do(SchemaSet(type_of("Thing", field("Name"))))


def test_a_type_is_deleted_when_nothing_needs_it(log: Log) -> None:
    with pytest.raises(NotFound):
        log.do(SchemaDelete("Ghost"))
    for name in ("Object", "Root"):
        with pytest.raises(InUse, match="built in"):
            log.do(SchemaDelete(name))
    with pytest.raises(InUse, match="inherited by Tool"):
        log.do(SchemaDelete("Thing"))
    tool = log.create("Tool", "x")
    with pytest.raises(InUse, match="type Tool has 1 entities"):
        log.do(SchemaDelete("Tool"))
    log.delete(tool)
    revision = log.state.revision + 1
    assert log.do(SchemaDelete("Tool")) == SchemaDone(revision, ["Tool"])
    log.do(SchemaDelete("Thing"))
    assert log.state.types.names() == ["Object", "Root"]
    assert log.state.digest() == full_digest(log.state)


def test_a_type_that_comes_back_begins_empty(log: Log) -> None:
    log.delete(log.create("Tool", "x"))
    log.do(SchemaDelete("Tool"))
    change(log, type_of("Tool", AGE))
    assert log.ids("Tool") == []
    assert log.ids("Tool") == [] != [log.create("Tool", "y")]


def test_fields_are_listed_by_rank_and_name(log: Log) -> None:
    change(
        log, type_of("Thing", field("B", rank=1), field("A", rank=1), field("First", rank=-5), field("Last", rank=9))
    )
    assert [f.name for f in read.schema_get(log.state, SchemaGet("Thing")).fields] == ["First", "A", "B", "Last"]
    assert fields_of(log, "Tool") == ["First", "Name", "Size", "A", "B", "Parent", "Children", "Last"]
    with pytest.raises(NotFound, match="unknown type 'Ghost'"):
        read.schema_get(log.state, SchemaGet("Ghost"))


# -- one field ---------------------------------------------------------------------------------------------


def test_a_new_field_comes_last_and_the_others_stay(log: Log) -> None:
    tool = log.create("Tool", "x", 1, Age=1)
    log.do(FieldSet("Thing", "Extra", FieldChange(Kind.Int, 5)))
    assert log.value(tool, "Extra") == 5
    assert log.value(tool, "Age") == 1
    own = read.schema_get(log.state, SchemaGet("Thing")).fields
    assert [(f.name, f.rank) for f in own] == [("Age", 0), ("Text", 1), ("Mood", 2), ("Extra", 3)]


def test_what_a_change_of_a_field_leaves_out_stays(log: Log) -> None:
    log.do(FieldSet("Thing", "Mood", FieldChange(default="Sad")))
    thing = log.create("Thing", "x")
    assert log.value(thing, "Mood") == "Sad"
    log.do(FieldSet("Thing", "Age", FieldChange(Kind.String)))
    assert log.value(thing, "Age") == ""
    with pytest.raises(BadParams, match="a new one needs a dataType"):
        log.do(FieldSet("Thing", "Size", FieldChange(default=3)))


# -- a dry run ---------------------------------------------------------------------------------------------


def test_a_dry_run_answers_the_same_and_changes_nothing(log: Log) -> None:
    thing = log.create("Thing", "x", 1, Age=1, Mood="Sad")
    before = dump(log.state)
    done = run_whole(try_schemas(log.state, SchemaSet(type_of("Thing", MOOD), dry_run=True)))
    assert done == SchemaDone(log.state.revision + 1, ["Thing"], {"Thing.Age": 1})
    dry = SchemaSet(type_of("Thing", field("Mood", Kind.Choice, choices=["Happy"])), dry_run=True)
    with pytest.raises(InUse):
        run_whole(try_schemas(log.state, dry))
    assert dump(log.state) == before
    assert log.value(thing, "Age") == 1


def test_a_dry_run_does_not_touch_what_it_looks_at(log: Log) -> None:
    log.create("Thing", "x", 1, Age=1, Mood="Sad")
    view = log.state.pin()
    run_whole(try_schemas(log.state, SchemaSet(type_of("Thing", MOOD), dry_run=True)))
    dry = SchemaSet(type_of("Thing", field("Mood", Kind.Choice, choices=["Happy"])), dry_run=True)
    with pytest.raises(InUse):
        run_whole(try_schemas(log.state, dry))
    assert not view._kept


def test_a_dry_run_among_other_commands_is_refused_and_not_applied(log: Log) -> None:
    dry = SchemaSet(type_of("New"), dry_run=True)
    with pytest.raises(BadParams, match="a dry run stands alone"):
        log.do(Transaction([dry]))
    (outcome,) = log.entry(Pipeline([dry]))
    assert isinstance(outcome.result[0], StepFailed)
    assert "New" not in log.state.types.names()
