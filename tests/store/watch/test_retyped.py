from __future__ import annotations

import pytest

from qcore.model.schema import EntitySchema, Types
from qcore.model.values import Kind
from qcore.model.work import run_whole
from qcore.store.watch.retyped import Retyped, retyped
from tests.store.samples import field, type_of

BASE = type_of("Base", field("Age"), field("Note", Kind.String), field("Mood", Kind.Choice, choices=["a", "b"]))
HEIR = type_of("Heir", field("Own"), inherits=["Base"])
OTHER = type_of("Other", field("Age"))
BEFORE = Types().with_schemas([BASE, HEIR, OTHER])
COUNTS = {"Base": 1, "Heir": 1, "Other": 1}


def change(*schemas: EntitySchema) -> Retyped:
    return run_whole(retyped(BEFORE, BEFORE.with_schemas(schemas), COUNTS))


def base(*fields: object) -> EntitySchema:
    return EntitySchema("Base", [], [*BASE.fields[1:], *fields])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "after",
    [base(), base(field("Age", Kind.String)), base(field("Age", default=1))],
    ids=["removed", "another kind", "another default"],
)
def test_a_field_that_goes_or_reads_otherwise_is_altered_in_heirs_too(after: EntitySchema) -> None:
    found = change(after)
    assert found
    assert found.hits_type("Base", "Age")
    assert found.hits_type("Object", "Age")
    assert found.hits_type("Base", None)
    assert found.hits_type("Heir", "Age")
    assert found.hits_entity("Heir", "Age")
    assert found.hits_anywhere(["Note", "Age"])
    assert not found.hits_type("Base", "Note")
    assert not found.hits_type("Other", "Age")
    assert not found.hits_entity("Object", None)
    assert not found.hits_anywhere(["Note"])


@pytest.mark.parametrize(
    "after",
    [
        BASE,
        EntitySchema("Base", [], [*BASE.fields, field("More")]),
        EntitySchema("Base", [], [*BASE.fields[:2], field("Mood", Kind.Choice, choices=["a", "b", "c"])]),
        EntitySchema("Base", [], [field("Age", rank=9), *BASE.fields[1:]]),
        type_of("New"),
    ],
    ids=["the same", "a new field", "a new label", "another rank", "a new type"],
)
def test_what_leaves_every_value_as_it_was_alters_nothing(after: EntitySchema) -> None:
    assert not change(after)


def test_a_type_with_entities_that_inherits_another_is_more_or_less_of_it() -> None:
    found = change(type_of("Other", field("Age"), inherits=["Base"]))
    assert found
    assert found.hits_type("Base", "Note")
    assert not found.hits_type("Heir", None)
    assert not run_whole(retyped(BEFORE, BEFORE.with_schemas([type_of("Other", field("Age"), inherits=["Base"])]), {}))


def test_a_deleted_type_is_gone() -> None:
    found = run_whole(retyped(BEFORE, BEFORE.without("Heir"), {"Base": 1}))
    assert found
    assert found.hits_type("Heir", None)
    assert not found.hits_type("Base", None)
