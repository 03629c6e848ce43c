from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadSchema, TooLarge
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
from qcore.model.requests.queries import Count, Find, Get
from qcore.model.requests.sizes import check_sizes
from qcore.model.schema import MAX_COMPLETE, MAX_FIELDS, MAX_LABELS, EntitySchema, FieldSchema
from qcore.model.values import Kind
from qcore.model.wire import encode_json

TEXT = "x" * 12_000_000
NAME = "x" * 256
LONG = "x" * 70_000
LIST = [1] * 101
LABELS = [f"l{number}" for number in range(MAX_LABELS + 1)]
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
    SchemaSet(EntitySchema("T", [LONG])),
    SchemaSet(EntitySchema("T", [], [FieldSchema("F", Kind.EntityList, LIST)])),
    SchemaSet(EntitySchema("T", [], [FieldSchema("F", Kind.Choice, choices=LABELS)])),
    SchemaSet(EntitySchema("T", [], [FieldSchema("F", Kind.Choice, choices=[TEXT])])),
    FieldSet("T", "F", FieldChange(choices=LABELS)),
    FieldSet("T", "F", FieldChange(default=LIST)),
    SetFields(1, "Age", 1, time=LONG),
    SetFields(1, "Age", 1, expect=Expect(value=[LONG])),
    SetFields(1, "Age", 1, expect=Expect(revision=1, epoch=LONG)),
    FieldSet("T", "F", FieldChange(default=TEXT)),
    FieldSet(NAME, "F", FieldChange()),
    FieldSet("T", NAME, FieldChange()),
    SchemaDelete(NAME),
    Transaction([], [Condition(1, "Age", revision=1, epoch=LONG)]),
    Transaction([], [Condition(LONG, exists=True)]),
    Transaction([], [Condition(1, "Text", "==", TEXT)]),
    Transaction([], [Condition(1, LONG, "==", 1)]),
]


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: command.method)
def test_what_no_state_could_take_is_refused_in_few_words(command: Any) -> None:
    with pytest.raises(TooLarge, match="at most") as caught:
        check_sizes(command, 100, MAX_FIELDS)
    assert len(caught.value.message) <= 1000


STEPS = [command for command in REFUSED if not isinstance(command, Transaction)]
READS = [
    Get(1, ["A"] * 10_001),
    Get(1, [LONG]),
    Find("T" * 300_000),
    Find("T", filter="x" * 300_000),
    Count("T" * 300_000),
]


@pytest.mark.parametrize("step", STEPS + READS, ids=lambda step: type(step).__name__)
def test_a_step_is_named(step: Any) -> None:
    with pytest.raises(TooLarge, match=r"command 2: .* at most"):
        check_sizes(Transaction([Create("Thing", "a"), step]), 100, MAX_FIELDS)


@pytest.mark.parametrize("step", STEPS + READS, ids=lambda step: type(step).__name__)
def test_a_pipeline_is_refused_for_a_long_step_alone(step: Any) -> None:
    pipeline = Pipeline([Create("Thing", "a"), step])
    if len(encode_json(step)) > 65_536:
        with pytest.raises(TooLarge, match=r"command 2: .* at most"):
            check_sizes(pipeline, 100, MAX_FIELDS)
    else:
        check_sizes(pipeline, 100, MAX_FIELDS)


@pytest.mark.parametrize(
    ("field", "match"),
    [
        (FieldSchema("F", Kind.Int, choices=["a"]), "only a Choice has labels"),
        (FieldSchema("F", Kind.Choice, choices=["a", "a"]), "labels are different"),
        (FieldSchema("F", Kind.Choice, choices=["a", ""]), "labels are different and not empty"),
    ],
)
def test_labels_that_cannot_be_are_refused(field: FieldSchema, match: str) -> None:
    with pytest.raises(BadSchema, match=match):
        check_sizes(SchemaSet(EntitySchema("T", [], [field])), 100, MAX_FIELDS)
    with pytest.raises(BadSchema, match=match):
        check_sizes(FieldSet("T", "F", FieldChange(field.data_type, choices=field.choices)), 100, MAX_FIELDS)


def test_what_some_state_could_take_passes() -> None:
    for command in (
        SetFields(1, "Boss->Children", LIST),
        SetFields(1, "Children", LIST),
        SetFields(1, "Parts", [1] * 100),
        SetFields(1, "Data", "x" * 11_000_000),
        SetFields(1, "Age", 1, expect=Expect(value=LIST), time="2026-11-28T00:00:00.123456789+02:00"),
        SchemaSet(EntitySchema("T", [], [FieldSchema("F", Kind.Choice, choices=LABELS[1:])])),
        FieldSet("T", "F", FieldChange(choices=LABELS[1:], default="l1")),
        Pipeline([Get(1, ["A"] * 10_000), Find("T", cursor="x" * 200_000)]),
        SchemaSet(EntitySchema("T", [], MANY[:-1])),
        Create("x" * 255, "x" * 255, 1, {field.name: 1 for field in MANY[:-1]}),
    ):
        check_sizes(command, 100, MAX_FIELDS)
    check_sizes(SchemaSet(EntitySchema("T", [], MANY)), 100, MAX_COMPLETE)
