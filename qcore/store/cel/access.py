"""From a value to what is in it: the hops of a path, the keys of a map, the elements of a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.store.cel.code import read_kind
from qcore.store.cel.values import NUMBERS, FilterError, Frame, Map, Unresolved, no_overload, type_name

__all__ = ["Step", "element", "following", "selecting"]

Step = Callable[[Any, Frame], Any]
"""From a value to what a hop or a key leads to."""


def following(hop: str | int) -> Step:
    """One hop of a path."""
    return _field(hop) if isinstance(hop, str) else _place(hop)


def selecting(name: str) -> Step:
    """``.name`` of a map."""

    def select(value: Any, _frame: Frame) -> Any:
        if type(value) is not Map:
            raise FilterError(f".{name} is of a map, given {type_name(value)}; a reference is followed with ->")
        return value.get(name)

    return select


def _field(hop: str) -> Step:
    """From an id to a field of the entity."""

    def field_of(value: Any, frame: Frame) -> Any:
        target = frame[0].get(value) if type(value) is int else None
        if target is None:
            raise _no_entity(value, hop)
        field = target.schema.by_name.get(hop)
        if field is not None:
            return read_kind(field, target.values[field.slot], frame)
        if hop in ("EntityId", "EntityType"):
            return target.id if hop == "EntityId" else target.type
        raise Unresolved(f"->{hop}: entity {value} of type {target.type} has no field {hop!r}")

    return field_of


def _no_entity(value: Any, hop: str) -> FilterError:
    if value is None:
        return Unresolved(f"->{hop}: the reference before it is null")
    if type(value) is int:
        return Unresolved(f"->{hop}: there is no entity {value}")
    return no_overload(f"->{hop}", value)


def _place(hop: int) -> Step:
    """From a list to an element, an id of an entity that is missing as null."""

    def element_of(value: Any, frame: Frame) -> Any:
        if type(value) is not list and type(value) is not tuple:
            raise no_overload(f"->{hop}", value)
        if hop >= len(value):
            raise Unresolved(f"the list has {len(value)} elements, none at {hop}")
        item = value[hop]
        return None if type(item) is int and item not in frame[0] else item

    return element_of


def element(container: Any, index: Any) -> Any:
    """``container[index]``."""
    if type(container) is Map:
        return container.get(index)
    if type(container) not in (list, tuple) or type(index) not in NUMBERS:
        raise no_overload("[]", container, index)
    if not 0 <= index < len(container):
        raise FilterError(f"the list has {len(container)} elements, none at {index}")
    if index != int(index):
        raise FilterError(f"an index is a whole number, given {index}")
    return container[int(index)]
