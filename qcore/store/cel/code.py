"""What compiled filters are made of: closures over an entity and a frame, and how fields become values.

A `Code` also carries what is known before any entity is seen, so that the common comparisons (`Age > 25`,
`Name == 'x'`, `Status in ['a', 'b']`) become one closure over one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qcore.model.schema import CompleteField
from qcore.model.values import Kind
from qcore.store.cel.values import Choice, FilterError, Frame, Timestamp, type_name
from qcore.store.state.entity import Entity

__all__ = ["NOTHING", "Code", "Function", "Run", "constant", "field_code", "read_kind", "truth"]

Run = Callable[[Entity, Frame], Any]

NOTHING = object()
"""Stands for no constant: None is one."""


class Code:
    """`boolean`: gives a bool or an error. `value`: what it always gives. `field`: the own field it reads."""

    __slots__ = ("boolean", "field", "run", "value")

    def __init__(
        self, run: Run, boolean: bool = False, value: Any = NOTHING, field: CompleteField | None = None
    ) -> None:
        self.run = run
        self.boolean = boolean
        self.value = value
        self.field = field


class Function(NamedTuple):
    """`operands` counts the target too; `plain` is ``f(x)``, `method` is ``x.f()``; `gives` is bool, other or any."""

    run: Callable[..., Any]
    operands: Sequence[int]
    plain: bool
    method: bool
    gives: str


def constant(value: Any) -> Code:
    """Code that always gives `value`."""
    return Code(lambda _entity, _frame: value, type(value) is bool, value)


def truth(code: Code, sign: str) -> Run:
    """The closure of an operand that has to be a bool."""
    if code.boolean:
        return code.run
    run = code.run

    def checked(entity: Entity, frame: Frame) -> Any:
        value = run(entity, frame)
        if type(value) is not bool:
            raise FilterError(f"{sign} takes a bool, given {type_name(value)}")
        return value

    return checked


# an attribute of an Enum class costs more than all the rest of a read
_REFERENCE, _TIMESTAMP, _CHOICE = Kind.EntityReference, Kind.Timestamp, Kind.Choice


def read_kind(field: CompleteField, stored: Any, frame: Frame) -> Any:
    """The value of what is stored in a field, unset included; a missing reference is null."""
    if stored is None:
        stored = field.default
    kind = field.kind
    if kind is _REFERENCE:
        return stored if stored in frame[0] else None
    if kind is _TIMESTAMP:
        return Timestamp(stored)
    if kind is _CHOICE:
        return Choice(stored, field.labels.index(stored))
    return stored


def field_code(field: CompleteField) -> Code:
    """Code that reads an own field."""
    slot = field.slot
    default: Any = field.default

    def plain(entity: Entity, _frame: Frame) -> Any:
        value = entity.values[slot]
        return default if value is None else value

    def reference(entity: Entity, frame: Frame) -> Any:
        value = entity.values[slot]
        return value if value in frame[0] else None

    def timestamp(entity: Entity, _frame: Frame) -> Any:
        value = entity.values[slot]
        return Timestamp(default if value is None else value)

    choices = {label: Choice(label, index) for index, label in enumerate(field.labels)}

    def choice(entity: Entity, _frame: Frame) -> Any:
        return choices[entity.values[slot] or default]

    runs = {Kind.EntityReference: reference, Kind.Timestamp: timestamp, Kind.Choice: choice}
    return Code(runs.get(field.kind, plain), field.kind is Kind.Bool, field=field)
