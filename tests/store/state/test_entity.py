from __future__ import annotations

from qcore.model.schema import Types
from qcore.model.values import Kind
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from tests.store.samples import Log, field, type_of


def thing() -> Entity:
    types = Types().with_schemas([type_of("Thing", field("Age", default=7), field("Text", Kind.String))])
    return Entity(9, types.of("Thing"))


def test_the_fields_the_store_keeps_come_first() -> None:
    slots = thing().schema.slots
    assert [slots[slot].name for slot in (NAME, PARENT, CHILDREN)] == ["Name", "Parent", "Children"]


def test_an_unset_field_reads_as_its_default_and_was_never_written() -> None:
    entity = thing()
    age = entity.schema.field("Age").slot
    assert entity.read(age) == 7
    assert entity.revision(age) == 0
    assert entity.parent == 0


def test_a_written_zero_is_no_unset_field() -> None:
    log = Log(type_of("Thing", field("Age", default=7)))
    thing = log.create("Thing", "x", 1, Age=0)
    entity = log.state.entities[thing]
    assert entity.read(entity.schema.field("Age").slot) == 0
    assert log.get(thing, "Age")["Age"]["value"] == 0


def test_times_and_revisions_keep_all_64_bits() -> None:
    entity = thing()
    entity.stamps[2], entity.stamps[3] = -(2**63), 2**63 - 1
    assert (entity.time(1), entity.revision(1)) == (-(2**63), 2**63 - 1)
    assert (entity.time(0), entity.revision(0)) == (0, 0)


def test_an_entity_has_no_dictionary() -> None:
    assert not hasattr(thing(), "__dict__")
