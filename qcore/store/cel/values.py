"""The values a filter computes with, and what equal and less mean among them.

==========================  =====================================================
type                        in Python
==========================  =====================================================
null_type, bool, int        None, bool, int
uint                        `UInt`
double, string, bytes       float, str, bytes
string (a Choice)           `Choice`: the label, with its index
list, map                   list or tuple, `Map`
google.protobuf.Timestamp   `Timestamp`, ns since 1970
google.protobuf.Duration    `Duration`, ns
type                        `TypeName`
==========================  =====================================================

Several are subclasses of int and str: what decides is always the exact type, and bool is never a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qcore.model.values import INT_MAX, INT_MIN

__all__ = [
    "INT_MAX",
    "INT_MIN",
    "NUMBERS",
    "TYPE_NAMES",
    "UINT_MAX",
    "Choice",
    "Duration",
    "Exhausted",
    "FilterError",
    "Frame",
    "Map",
    "Timestamp",
    "TypeName",
    "UInt",
    "Unresolved",
    "charge",
    "comparable",
    "contains",
    "equal",
    "no_overload",
    "type_name",
]

UINT_MAX = 2**64 - 1

Frame = list[Any]
"""What an evaluation carries: all entities by id, the steps left, then the variables of macros."""


class FilterError(Exception):
    """A filter has no answer for one entity; `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unresolved(FilterError):
    """A field or a hop that is not there: what `has()` asks for."""


class Exhausted(Exception):
    """The steps given for one entity are used up."""


def charge(frame: Frame, steps: int) -> None:
    """Take steps; raises `Exhausted` when there are none left."""
    frame[1] -= steps
    if frame[1] < 0:
        raise Exhausted


class UInt(int):
    """An unsigned 64-bit number."""

    __slots__ = ()


class Timestamp(int):
    """Nanoseconds since 1970, UTC; of the years 1 to 9999."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds, signed 64-bit: some 292 years either way."""

    __slots__ = ()


class Choice(str):
    """The label of a Choice field, and its index among the labels."""

    __slots__ = ("index",)
    index: int  # type: ignore[assignment]

    def __new__(cls, label: str, index: int) -> Choice:
        made = super().__new__(cls, label)
        made.index = index
        return made


class TypeName:
    """A type as a value; there is one object for each."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Map:
    """Keys are int, uint, bool or string; numbers are found by value, so 1, 1u and 1.0 are one key."""

    __slots__ = ("_items",)

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Raises `FilterError` for a key that cannot be one or stands there twice."""
        self._items: dict[Any, Any] = {}
        for key, value in pairs:
            if type(key) not in _KEYS:
                raise FilterError(f"a key of a map is int, uint, bool or string, not {type_name(key)}")
            inner = _inner(key)
            if inner in self._items:
                raise FilterError("a map has the same key twice")
            self._items[inner] = value

    def __len__(self) -> int:
        return len(self._items)

    def keys(self) -> list[Any]:
        return [key[0] if type(key) is tuple else key for key in self._items]

    def items(self) -> list[tuple[Any, Any]]:
        return list(zip(self.keys(), self._items.values(), strict=True))

    def has(self, key: Any) -> bool:
        return type(key) in _LOOKUPS and _inner(key) in self._items

    def get(self, key: Any) -> Any:
        """The value of a key; raises `Unresolved` without one."""
        if not self.has(key):
            raise Unresolved("the map has no such key")
        return self._items[_inner(key)]


def _inner(key: Any) -> Any:
    """True and 1 are the same key to Python, so a bool goes into a tuple."""
    return (key,) if type(key) is bool else key


NUMBERS = frozenset({int, UInt, float})
_KEYS = frozenset({int, UInt, bool, str, Choice})
_LOOKUPS = _KEYS | {float}
_ORDERED = frozenset({bool, str, bytes, Timestamp, Duration})
_LISTS = frozenset({list, tuple})

_NAMES: dict[type, str] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    Choice: "string",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    Map: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    TypeName: "type",
}

TYPE_NAMES = {name: TypeName(name) for name in dict.fromkeys(_NAMES.values())}
"""Every type a filter can name."""


def type_name(value: Any) -> str:
    """The name of a value's type."""
    return _NAMES[type(value)]


def no_overload(operator: str, *values: Any) -> FilterError:
    """The error for operands that an operator or function does not take."""
    return FilterError(f"{operator} does not take {', '.join(map(type_name, values))}")


def equal(a: Any, b: Any, frame: Frame) -> bool:
    """Equality across all types: numbers by exact value, a Choice by label or index, other types never."""
    one, other = type(a), type(b)
    if one in _LISTS or one is Map:
        return _equal_inside(a, b, frame)
    if one in NUMBERS and other in NUMBERS:
        return a == b  # type: ignore[no-any-return]
    if one is other:
        if (one is str or one is bytes) and len(a) > 4096:
            charge(frame, len(a) >> 6)
        return a == b  # type: ignore[no-any-return]
    if one is Choice:
        return a == b if other is str else other in NUMBERS and a.index == b
    if other is Choice:
        return equal(b, a, frame)
    return False


def _equal_inside(a: Any, b: Any, frame: Frame) -> bool:
    """Equality of lists and maps, without recursion: macros nest lists deeper than Python's stack."""
    waiting = [(a, b)]
    while waiting:
        one, other = waiting.pop()
        if type(one) in _LISTS and type(other) in _LISTS:
            charge(frame, len(one))
            if len(one) != len(other):
                return False
            waiting.extend(zip(reversed(one), reversed(other), strict=True))
        elif type(one) is Map and type(other) is Map:
            charge(frame, len(one))
            keys = one.keys()
            if len(keys) != len(other) or not all(map(other.has, keys)):
                return False
            waiting.extend((one.get(key), other.get(key)) for key in keys)
        elif type(one) in _LISTS or type(one) is Map or not equal(one, other, frame):
            return False
    return True


def comparable(operator: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two values that Python orders as a filter does, for ``< <= > >=``.

    Raises:
        FilterError: they have no order.
    """
    one, other = type(a), type(b)
    if (one in NUMBERS and other in NUMBERS) or (one is other and one in _ORDERED):
        return a, b
    if one is Choice:
        if other is str:
            return a, b
        if other is Choice:
            return a.index, b.index
        if other in NUMBERS:
            return a.index, b
    elif other is Choice:
        right, left = comparable(operator, b, a)
        return left, right
    raise no_overload(operator, a, b)


def contains(container: Any, value: Any, frame: Frame) -> bool:
    """Whether a list has a value, or a map a key."""
    kind = type(container)
    if kind is Map:
        return container.has(value)  # type: ignore[no-any-return]
    if kind not in _LISTS:
        raise no_overload("in", value, container)
    charge(frame, len(container))
    return any(equal(item, value, frame) for item in container)
