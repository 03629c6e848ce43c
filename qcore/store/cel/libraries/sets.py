"""CEL's library `sets`: lists compared as sets, equality being that of filters.

Elements that Python can hash are looked up; lists and maps are compared one by one, and each pair is counted.
"""

from __future__ import annotations

from typing import Any

from qcore.store.cel.code import Function
from qcore.store.cel.texts import charge_text
from qcore.store.cel.values import NUMBERS, Choice, Frame, Map, charge, equal, no_overload

__all__ = ["FUNCTIONS"]

_LISTS = frozenset({list, tuple})


class _Members:
    """The elements of a list, to ask for others among them."""

    def __init__(self, frame: Frame, items: Any) -> None:
        self._frame = frame
        self._known: set[Any] = set()
        self._compound: list[Any] = []
        charge(frame, 2 * len(items))
        for item in items:
            if type(item) in _LISTS or type(item) is Map:
                self._compound.append(item)
            elif item == item:
                self._known.update(self._keys(item))

    def have(self, value: Any) -> bool:
        """Whether an element equals the value."""
        charge(self._frame, 1)
        if type(value) in _LISTS or type(value) is Map:
            charge(self._frame, 4 * len(self._compound))
            return any(equal(item, value, self._frame) for item in self._compound)
        return value == value and any(key in self._known for key in self._asked(value))

    def _keys(self, item: Any) -> list[Any]:
        """What an element is known as; a Choice by its label, and by its index to numbers alone."""
        if type(item) is Choice:
            return [("text", str(item)), ("index", item.index)]
        return [self._key(item)]

    def _asked(self, value: Any) -> list[Any]:
        """What an element that equals the value may be known as."""
        if type(value) is Choice:
            return [("text", str(value)), ("number", value.index)]
        if type(value) in NUMBERS:
            return [("number", value), ("index", value)]
        return [self._key(value)]

    def _key(self, value: Any) -> Any:
        if type(value) in NUMBERS:
            return ("number", value)
        if type(value) is str:
            charge_text(self._frame, len(value))
            return ("text", value)
        if type(value) is bytes:
            charge_text(self._frame, len(value))
        return (type(value), value)


def _taken(name: str, one: Any, other: Any) -> None:
    if type(one) not in _LISTS or type(other) not in _LISTS:
        raise no_overload(name, one, other)


def _contains(frame: Frame, one: Any, other: Any) -> bool:
    _taken("sets.contains", one, other)
    members = _Members(frame, one)
    return all(members.have(value) for value in other)


def _equivalent(frame: Frame, one: Any, other: Any) -> bool:
    _taken("sets.equivalent", one, other)
    return _contains(frame, one, other) and _contains(frame, other, one)


def _intersects(frame: Frame, one: Any, other: Any) -> bool:
    _taken("sets.intersects", one, other)
    members = _Members(frame, one)
    return any(members.have(value) for value in other)


FUNCTIONS: dict[str, Function] = {
    "sets.contains": Function(_contains, (2,), True, False, "bool"),
    "sets.equivalent": Function(_equivalent, (2,), True, False, "bool"),
    "sets.intersects": Function(_intersects, (2,), True, False, "bool"),
}
"""By name, as `qcore.store.cel.functions` has its own."""
