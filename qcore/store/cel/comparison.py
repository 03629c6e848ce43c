"""Comparisons: one closure over one slot where a field meets a constant, the general rules for everything else."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from qcore.model.schema import CompleteField
from qcore.model.values import Kind
from qcore.store.cel.code import NOTHING, Code, Run
from qcore.store.cel.values import NUMBERS, FilterError, Frame, Timestamp, charge, comparable, contains, equal
from qcore.store.state.entity import Entity

__all__ = ["compare", "element_form", "stored_form"]

_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TURNED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_SAME_ORDER: dict[Kind, frozenset[type]] = {
    Kind.Int: NUMBERS,
    Kind.Float: NUMBERS,
    Kind.String: frozenset({str}),
    Kind.Blob: frozenset({bytes}),
    Kind.Bool: frozenset({bool}),
    Kind.Timestamp: frozenset({Timestamp}),
}
"""Constants that Python compares with what is stored as a filter compares them with the value."""

_PLAIN = {Timestamp: int}
"""Types of constants that are quicker to compare as what they extend."""


def compare(op: str, left: Code, right: Code) -> Code:
    """Code of ``left op right``; `op` is one of ``== != < <= > >= in``."""
    run = None
    if left.field is not None and right.value is not NOTHING:
        run = _among(left.field, right.value) if op == "in" else _with_constant(op, left.field, right.value)
    elif right.field is not None and left.value is not NOTHING and op != "in":
        run = _with_constant(_TURNED[op], right.field, left.value)
    elif op == "in" and right.field is not None:
        run = _in_field(left.run, right.field)
    if run is None and right.value is not NOTHING:
        run = _against(op, left.run, right.value)
    run = run or _general(op, left.run, right.run)
    code = Code(run, boolean=True)
    if left.value is not NOTHING and right.value is not NOTHING:
        code.value = _known(run)
    return code


def _known(run: Run) -> Any:
    """What two constants give, if they give anything."""
    nobody: Any = None
    try:
        return run(nobody, [{}, 1_000_000])
    except FilterError:
        return NOTHING


def _general(op: str, left: Run, right: Run) -> Run:
    if op == "==":
        return lambda entity, frame: equal(left(entity, frame), right(entity, frame), frame)
    if op == "!=":
        return lambda entity, frame: not equal(left(entity, frame), right(entity, frame), frame)
    if op == "in":

        def among(entity: Entity, frame: Frame) -> bool:
            value = left(entity, frame)
            return contains(right(entity, frame), value, frame)

        return among
    order = _ORDER[op]

    def ordered(entity: Entity, frame: Frame) -> Any:
        a, b = comparable(op, left(entity, frame), right(entity, frame))
        return order(a, b)

    return ordered


def _against(op: str, left: Run, value: Any) -> Run | None:
    """Anything against a constant: mostly of its type, and then Python's own comparison is the filter's."""
    kind = type(value)
    if kind not in (int, float, str):
        return None
    if op in ("==", "!="):
        wanted = op == "=="

        def same(entity: Entity, frame: Frame) -> bool:
            found = left(entity, frame)
            return (found == value if type(found) is kind else equal(found, value, frame)) is wanted

        return same
    order = _ORDER.get(op)
    if order is None:
        return None

    def ordered(entity: Entity, frame: Frame) -> Any:
        found = left(entity, frame)
        if type(found) is kind:
            return order(found, value)
        a, b = comparable(op, found, value)
        return order(a, b)

    return ordered


def _with_constant(op: str, field: CompleteField, value: Any) -> Run | None:
    """A field against a constant, None where the general rules have to decide."""
    if type(value) in _SAME_ORDER.get(field.kind, ()):
        return _slot(op, field, _PLAIN.get(type(value), type(value))(value) if type(value) in _PLAIN else value)
    if op not in ("==", "!="):
        return None
    if field.kind is Kind.Choice and (type(value) is str or type(value) in NUMBERS):
        label = value if type(value) is str else stored_form(field, value)
        return _slot(op, field, label)
    if field.kind is Kind.EntityReference and (value is None or type(value) is int):
        return _reference(op, field.slot, value)
    return None


def _slot(op: str, field: CompleteField, value: Any) -> Run:
    slot, default = field.slot, field.default
    if op == "==":
        return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) == value
    if op == "!=":
        return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) != value
    if op == "<":
        return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) < value
    if op == "<=":
        return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) <= value
    if op == ">":
        return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) > value
    return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) >= value


def _reference(op: str, slot: int, value: int | None) -> Run:
    """A reference that is empty or missing equals null, and so no id."""
    if value is None:
        if op == "==":
            return lambda entity, frame: entity.values[slot] not in frame[0]
        return lambda entity, frame: entity.values[slot] in frame[0]
    if op == "==":
        return lambda entity, frame: entity.values[slot] == value and value in frame[0]
    return lambda entity, frame: entity.values[slot] != value or value not in frame[0]


def _among(field: CompleteField, values: Any) -> Run | None:
    """``Field in [constants]``, by hash; None where the general rules have to decide."""
    if type(values) is not tuple or not values:
        return None
    if field.kind is Kind.Choice and all(type(v) is str or type(v) in NUMBERS for v in values):
        values = [v if type(v) is str else stored_form(field, v) for v in values]
    elif not all(type(v) in _SAME_ORDER.get(field.kind, ()) for v in values):
        return None
    found = frozenset(int(v) if type(v) is Timestamp else v for v in values)
    slot, default = field.slot, field.default
    return lambda entity, _frame: (default if (v := entity.values[slot]) is None else v) in found


def _in_field(left: Run, field: CompleteField) -> Run | None:
    """``id in List``: Python's own search, as a list holds nothing but ids."""
    if field.kind is not Kind.EntityList:
        return None
    slot = field.slot
    default: Any = field.default

    def among(entity: Entity, frame: Frame) -> bool:
        value = left(entity, frame)
        if type(value) not in NUMBERS:
            return False
        items = entity.values[slot]
        items = default if items is None else items
        charge(frame, len(items) >> 2)
        return value in items

    return among


def stored_form(field: CompleteField, value: Any) -> Any:
    """What a field has stored whenever it equals a constant, None where nothing stored does or no one form."""
    kind = type(value)
    if field.kind is Kind.Choice:
        if kind in NUMBERS:
            index = next((i for i in range(len(field.labels)) if i == value), None)
            return None if index is None else field.labels[index]
        return value if kind is str and value in field.labels else None
    if field.kind is Kind.EntityReference:
        return value if kind is int and value > 0 else None
    if kind not in _SAME_ORDER.get(field.kind, ()):
        return None
    if field.kind is Kind.Int:
        return int(value) if value == value // 1 else None
    if field.kind is Kind.Float:
        return float(value) if float(value) == value else None
    return int(value) if kind is Timestamp else value


def element_form(field: CompleteField, value: Any) -> Any:
    """What a field's list contains whenever a constant is in it, None where it never is or the field is no list."""
    if field.kind is not Kind.EntityList or type(value) not in NUMBERS:
        return None
    return int(value) if value == value // 1 and value > 0 else None
