from __future__ import annotations

import pytest

from qcore.client.commands import AnyCommand, as_calls, read_pipeline, read_transaction, steps_of
from qcore.client.results import Entity
from qcore.model.errors import BadParams, Conflict
from qcore.model.requests.commands import Create, FieldChange, FieldSet, SchemaSet, SetFields
from qcore.model.requests.queries import Get
from qcore.model.requests.results import Created
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (Create("User", "ann"), ("create", {"type": "User", "name": "ann"})),
        (SetFields("$1", "Boss", None), ("set", {"id": "$1", "field": "Boss", "value": None})),
        (SetFields(12, fields={"A": b"\x00\xff"}), ("set", {"id": 12, "fields": {"A": b"\x00\xff"}})),
        (Get("$1", ["Age"]), ("get", {"id": "$1", "fields": ["Age"]})),
        (
            FieldSet("User", "Age", FieldChange(rank=3, default=None)),
            ("field.set", {"type": "User", "field": "Age", "schema": {"rank": 3, "default": None}}),
        ),
        (("ping", {}), ("ping", {})),
    ],
)
def test_a_record_is_a_method_and_the_params_that_were_given(command: AnyCommand, call: tuple[str, object]) -> None:
    assert as_calls([command]) == [call]


def test_schemas_keep_their_names_on_the_wire() -> None:
    ((_, params),) = as_calls([SchemaSet(EntitySchema("T", [], [FieldSchema("A", Kind.Int)]))])
    assert params["schema"]["entityType"] == "T"
    assert params["schema"]["fields"][0]["dataType"] == "Int"


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(BadParams, match="SetFields cannot be written as JSON"):
        as_calls([SetFields(12, "Age", object())])


def test_steps_are_methods_with_their_params() -> None:
    assert steps_of(as_calls([Get(12)])) == [{"method": "get", "params": {"id": 12}}]


CALLS = as_calls([Create("User", "ann"), Get("$1"), ("later.method", {})])
TEXT = b"""[{"result": {"id": 12, "revision": 3}},
    {"error": {"code": -32000, "message": "no", "data": {"kind": "conflict"}}}, {"result": {"a": [1]}}]"""


def test_outcomes_are_results_of_their_method_or_errors() -> None:
    created, failed, other = read_pipeline(CALLS, TEXT)
    assert created == Created(12, 3)
    assert isinstance(failed, Conflict)
    assert other == {"a": [1]}


def test_a_transaction_has_a_revision_too() -> None:
    done = read_transaction(CALLS, b'{"revision": 3, "results": %b}' % TEXT)
    assert done.revision == 3
    assert done.results[0] == Created(12, 3)


def test_a_schema_among_outcomes_may_have_more_than_is_known_here() -> None:
    text = b'[{"result": {"name": "Age", "dataType": "Int", "unit": "years"}, "more": 1}]'
    assert read_pipeline([("field.get", {})], text) == [FieldSchema("Age", Kind.Int)]


def test_an_entity_is_one_that_gives_values() -> None:
    text = b'[{"result": {"id": 12, "type": "User", "fields": {"Age": {"value": 3}}}}]'
    (entity,) = read_pipeline([("get", {"id": 12})], text)
    assert isinstance(entity, Entity)
    assert entity["Age"] == 3
