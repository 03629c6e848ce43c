from __future__ import annotations

import msgspec
import pytest

from qcore.client.results import Entity, Event, read_result
from qcore.model.api import METHODS
from qcore.model.errors import WrongKind
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind


def test_an_answer_of_get_holds_values_and_errors() -> None:
    text = b"""{"id": 3, "type": "User", "fields": {
        "Age": {"value": 30, "time": "2024-01-01T00:00:00Z", "writer": null, "revision": 7},
        "Boss": {"value": {"missing": 9}, "time": null, "writer": null, "revision": 0},
        "Name->X": {"error": {"kind": "wrong_kind", "message": "Name is no reference"}}}}"""
    entity = msgspec.json.decode(text, type=Entity)
    assert entity["Age"] == 30
    assert entity.fields["Age"].revision == 7
    assert entity["Boss"] == {"missing": 9}
    with pytest.raises(WrongKind, match="Name is no reference"):
        entity["Name->X"]
    with pytest.raises(KeyError):
        entity["Email"]


READ_ANEW = ("get", "pipeline", "transaction")
"""Methods whose answers have records of their own here."""

FIELD = b'{"name": "Age", "dataType": "Int", "default": 7, "rank": 3, "unit": "years"}'


def test_what_a_later_version_adds_to_schemas_is_left_out() -> None:
    field = FieldSchema("Age", Kind.Int, 7, 3)
    assert read_result(FIELD, FieldSchema) == field
    text = b'{"entityType": "User", "inheritsFrom": ["Object"], "fields": [%b], "abstract": true}' % FIELD
    assert read_result(text, EntitySchema) == EntitySchema("User", ["Object"], [field])


def test_no_answer_refuses_what_a_later_version_adds() -> None:
    strict = {
        found
        for result in (Entity, Event, *(method.result for method in METHODS.values() if method.name not in READ_ANEW))
        for found in structs_of(msgspec.inspect.type_info(result))
        if found.__struct_config__.forbid_unknown_fields
    }
    assert strict == {EntitySchema, FieldSchema}


def structs_of(info: msgspec.inspect.Type) -> set[type[msgspec.Struct]]:
    """The structs that a type is made of."""
    if isinstance(info, msgspec.inspect.StructType):
        return {info.cls}.union(*(structs_of(field.type) for field in info.fields))
    if isinstance(info, msgspec.inspect.UnionType):
        return set[type[msgspec.Struct]]().union(*map(structs_of, info.types))
    if isinstance(info, msgspec.inspect.CollectionType):
        return structs_of(info.item_type)
    return structs_of(info.value_type) if isinstance(info, msgspec.inspect.DictType) else set()
