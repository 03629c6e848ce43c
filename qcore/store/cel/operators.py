"""Arithmetic of filters: operands of one type, 64 bits or an error, doubles as IEEE has them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from qcore.store.cel.times import as_duration, as_timestamp
from qcore.store.cel.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    Choice,
    Duration,
    FilterError,
    Frame,
    Timestamp,
    UInt,
    charge,
    no_overload,
)

__all__ = ["OPERATORS", "Operator", "checked_int", "checked_uint", "negated"]

Operator = Callable[[Frame, Any, Any], Any]


def checked_int(value: int) -> int:
    """The value; raises `FilterError` where 64 bits do not hold it."""
    if not INT_MIN <= value <= INT_MAX:
        raise FilterError("the result is no int: more than 64 bits")
    return value


def checked_uint(value: int) -> UInt:
    """The value as uint; raises `FilterError` where it is none."""
    if not 0 <= value <= UINT_MAX:
        raise FilterError("the result is no uint: below 0 or more than 64 bits")
    return UInt(value)


def _joined(frame: Frame, a: Any, b: Any) -> Any:
    charge(frame, (len(a) + len(b)) >> 6)
    return a + b


def _chained(frame: Frame, a: Any, b: Any) -> Any:
    charge(frame, (len(a) + len(b)) >> 2)
    return (*a, *b)


def _moved(_frame: Frame, a: Any, b: Any) -> Any:
    return as_timestamp(int(a) + int(b))


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise FilterError("division by zero")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: int, b: int) -> int:
    checked_int(_quotient(a, b))
    return a - b * _quotient(a, b)


def _unsigned_remainder(_frame: Frame, a: Any, b: Any) -> UInt:
    return UInt(int(a) - int(b) * _quotient(int(a), int(b)))


def _double_quotient(_frame: Frame, a: float, b: float) -> float:
    if b != 0.0:
        return a / b
    if a == 0.0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


_TEXTS = [(str, str), (str, Choice), (Choice, str), (Choice, Choice), (bytes, bytes)]
_LISTS = [(list, list), (list, tuple), (tuple, list), (tuple, tuple)]

_TABLES: dict[str, dict[tuple[type, type], Operator]] = {
    "+": {
        (int, int): lambda _frame, a, b: checked_int(a + b),
        (UInt, UInt): lambda _frame, a, b: checked_uint(int(a) + int(b)),
        (float, float): lambda _frame, a, b: a + b,
        (Duration, Duration): lambda _frame, a, b: as_duration(int(a) + int(b)),
        (Timestamp, Duration): _moved,
        (Duration, Timestamp): _moved,
        **dict.fromkeys(_TEXTS, _joined),
        **dict.fromkeys(_LISTS, _chained),
    },
    "-": {
        (int, int): lambda _frame, a, b: checked_int(a - b),
        (UInt, UInt): lambda _frame, a, b: checked_uint(int(a) - int(b)),
        (float, float): lambda _frame, a, b: a - b,
        (Duration, Duration): lambda _frame, a, b: as_duration(int(a) - int(b)),
        (Timestamp, Timestamp): lambda _frame, a, b: as_duration(int(a) - int(b)),
        (Timestamp, Duration): lambda _frame, a, b: as_timestamp(int(a) - int(b)),
    },
    "*": {
        (int, int): lambda _frame, a, b: checked_int(a * b),
        (UInt, UInt): lambda _frame, a, b: checked_uint(int(a) * int(b)),
        (float, float): lambda _frame, a, b: a * b,
    },
    "/": {
        (int, int): lambda _frame, a, b: checked_int(_quotient(a, b)),
        (UInt, UInt): lambda _frame, a, b: UInt(_quotient(int(a), int(b))),
        (float, float): _double_quotient,
    },
    "%": {
        (int, int): lambda _frame, a, b: _remainder(a, b),
        (UInt, UInt): _unsigned_remainder,
    },
}


def _by_types(sign: str) -> Operator:
    table = _TABLES[sign]
    quick = {"+": operator.add, "-": operator.sub, "*": operator.mul}.get(sign)

    def operate(frame: Frame, a: Any, b: Any) -> Any:
        if quick is not None and type(a) is int and type(b) is int:
            value = quick(a, b)
            if INT_MIN <= value <= INT_MAX:
                return value
        run = table.get((type(a), type(b)))
        if run is None:
            raise no_overload(sign, a, b)
        return run(frame, a, b)

    return operate


OPERATORS: dict[str, Operator] = {sign: _by_types(sign) for sign in _TABLES}
"""By sign; each raises `FilterError` for operands it does not take and results that do not fit."""


def negated(value: Any) -> Any:
    """``-value``, of an int or a double."""
    if type(value) is int:
        return checked_int(-value)
    if type(value) is float:
        return -value
    raise no_overload("-", value)
