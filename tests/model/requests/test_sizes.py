from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import TooLarge
from qcore.model.requests.commands import (
    Create,
    Delete,
    Expect,
    FieldChange,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SetFields,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.sizes import check_sizes
from qcore.model.schema import MAX_COMPLETE, MAX_FIELDS, EntitySchema, FieldSchema
from qcore.model.values import Kind

TEXT = "x" * 12_000_000
NAME = "x" * 256
LONG = "x" * 70_000
LIST = [1] * 101
MANY = [FieldSchema(f"F{number}", Kind.Int) for number in range(MAX_FIELDS + 1)]

REFUSED: list[Any] = [
    SetFields(1, "Text", TEXT),
    SetFields(1, "Parts", LIST, mode="subtract"),
    SetFields(1, "Parts", [LONG]),
    SetFields(1, fields={"Age": 1, "Boss->Parts": LIST}),
    SetFields(1, LONG, 1),
    SetFields(LONG, "Age", 1),
    SetFields(1, "Age", 1, expect=Expect(value=TEXT)),
    Create("Thing", NAME),
    Create(NAME, "a"),
    Create("Thing", "a", LONG),
    Create("Thing", "a", 1, {field.name: 1 for field in MANY}),
    Create("Thing", "a", 1, {"Parts": LIST}),
    Create("Thing", "a", 1, {NAME: 1}),
    Delete(LONG),
    SchemaSet(EntitySchema("T", [], MANY)),
    SchemaSet(schemas=[EntitySchema(NAME)]),
    SchemaSet(EntitySchema("T", [], [FieldSchema(NAME, Kind.Int)])),
    SchemaSet(EntitySchema("T", [], [FieldSchema("F", Kind.String, TEXT)])),
    SchemaSet(schemas=[EntitySchema(f"T{number}", [], MANY[:-1]) for number in range(MAX_COMPLETE // MAX_FIELDS + 1)]),
    SchemaSet(EntitySchema("T", ["A"] * (MAX_COMPLETE + 1))),
    FieldSet("T", "F", FieldChange(default=TEXT)),
    FieldSet(NAME, "F", FieldChange()),
    FieldSet("T", NAME, FieldChange()),
    SchemaDelete(NAME),
    Transaction([], [Condition(LONG, exists=True)]),
    Transaction([], [Condition(1, "Text", "==", TEXT)]),
    Transaction([], [Condition(1, LONG, "==", 1)]),
]


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: command.method)
def test_what_no_state_could_take_is_refused_in_few_words(command: Any) -> None:
    with pytest.raises(TooLarge, match="at most") as caught:
        check_sizes(command, 100, MAX_FIELDS)
    assert len(caught.value.message) <= 1000


@pytest.mark.parametrize("command", REFUSED[:-3], ids=lambda command: command.method)
def test_a_step_of_a_transaction_is_named_and_one_of_a_pipeline_left_to_apply(command: Any) -> None:
    with pytest.raises(TooLarge, match=r"command 2: .* at most"):
        check_sizes(Transaction([Create("Thing", "a"), command]), 100, MAX_FIELDS)
    check_sizes(Pipeline([command]), 100, MAX_FIELDS)


def test_what_some_state_could_take_passes() -> None:
    for command in (
        SetFields(1, "Boss->Children", LIST),
        SetFields(1, "Children", LIST),
        SetFields(1, "Parts", [1] * 100),
        SetFields(1, "Data", "x" * 11_000_000),
        SetFields(1, "Age", 1, expect=Expect(value=LIST)),
        SchemaSet(EntitySchema("T", [], MANY[:-1])),
        Create("x" * 255, "x" * 255, 1, {field.name: 1 for field in MANY[:-1]}),
    ):
        check_sizes(command, 100, MAX_FIELDS)
    check_sizes(SchemaSet(EntitySchema("T", [], MANY)), 100, MAX_COMPLETE)
