"""CEL's library `math`: numbers of 64 bits and doubles, each function of the types that its authors give it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from qcore.store.cel.code import Function
from qcore.store.cel.operators import checked_int
from qcore.store.cel.values import NUMBERS, UINT_MAX, FilterError, Frame, UInt, charge, no_overload

__all__ = ["FUNCTIONS"]

_MANY = range(1, 1 << 16)
_MASK = UINT_MAX
_SIGN = 1 << 63


def _extreme(name: str, choose: Callable[[Any], Any]) -> Callable[..., Any]:
    def extreme(frame: Frame, *values: Any) -> Any:
        found = values[0] if len(values) == 1 and type(values[0]) in (list, tuple) else values
        charge(frame, len(found) >> 2)
        if not found:
            raise FilterError(f"{name} takes a number, given an empty list")
        for value in found:
            if type(value) not in NUMBERS:
                raise no_overload(name, value)
            if value != value and len(found) > 1:
                raise FilterError(f"{name}: NaN has no order")
        return choose(found)

    return extreme


def _of_double(name: str, compute: Callable[[float], Any]) -> Callable[..., Any]:
    def of_double(_frame: Frame, value: Any) -> Any:
        if type(value) is not float:
            raise no_overload(name, value)
        return compute(value)

    return of_double


def _whole(compute: Callable[[float], int]) -> Callable[[float], float]:
    """A function to whole numbers as one to doubles, zeros with their sign."""
    return lambda value: math.copysign(float(compute(value)), value) if math.isfinite(value) else value


def _rounded(value: float) -> int:
    """To the nearest whole number, a half away from zero."""
    whole = math.trunc(value)
    if abs(value - whole) < 0.5:
        return whole
    return whole + (1 if value > 0 else -1)


def _abs(_frame: Frame, value: Any) -> Any:
    if type(value) is float:
        return math.fabs(value)
    if type(value) is UInt:
        return value
    if type(value) is int:
        return checked_int(abs(value))
    raise no_overload("math.abs", value)


def _sign(_frame: Frame, value: Any) -> Any:
    if type(value) not in NUMBERS:
        raise no_overload("math.sign", value)
    if value != value:
        return value
    return type(value)((value > 0) - (value < 0))


def _sqrt(_frame: Frame, value: Any) -> float:
    if type(value) not in NUMBERS:
        raise no_overload("math.sqrt", value)
    return math.sqrt(value) if not value < 0 else math.nan


def _bits(name: str, compute: Callable[[int, int], int]) -> Callable[..., Any]:
    def bits(_frame: Frame, a: Any, b: Any) -> Any:
        if type(a) is not type(b) or type(a) not in (int, UInt):
            raise no_overload(name, a, b)
        return type(a)(compute(int(a), int(b)))

    return bits


def _not(_frame: Frame, value: Any) -> Any:
    if type(value) is UInt:
        return UInt(int(value) ^ _MASK)
    if type(value) is int:
        return ~value
    raise no_overload("math.bitNot", value)


def _shift(name: str, compute: Callable[[int, int], int]) -> Callable[..., Any]:
    def shift(_frame: Frame, value: Any, places: Any) -> Any:
        if type(value) not in (int, UInt) or type(places) is not int:
            raise no_overload(name, value, places)
        if places < 0:
            raise FilterError(f"{name}: shifts by 0 or more, given {places}")
        bits = compute(int(value), min(places, 64)) & _MASK
        return UInt(bits) if type(value) is UInt else (bits ^ _SIGN) - _SIGN

    return shift


def _calls(runs: dict[str, Callable[..., Any]], operands: Sequence[int], gives: str = "other") -> dict[str, Function]:
    return {name: Function(run, operands, True, False, gives) for name, run in runs.items()}


_DOUBLES: dict[str, Callable[[float], Any]] = {
    "math.ceil": _whole(math.ceil),
    "math.floor": _whole(math.floor),
    "math.round": _whole(_rounded),
    "math.trunc": _whole(math.trunc),
}
_TESTS: dict[str, Callable[[float], bool]] = {
    "math.isNaN": math.isnan,
    "math.isInf": math.isinf,
    "math.isFinite": math.isfinite,
}
_PAIRS: dict[str, Callable[[int, int], int]] = {
    "math.bitAnd": lambda a, b: a & b,
    "math.bitOr": lambda a, b: a | b,
    "math.bitXor": lambda a, b: a ^ b,
}
_SHIFTS: dict[str, Callable[[int, int], int]] = {
    "math.bitShiftLeft": lambda value, places: value << places,
    "math.bitShiftRight": lambda value, places: value >> places,
}

FUNCTIONS: dict[str, Function] = {
    **_calls({"math.greatest": _extreme("math.greatest", max), "math.least": _extreme("math.least", min)}, _MANY),
    **_calls({name: _of_double(name, run) for name, run in _DOUBLES.items()}, (1,)),
    **_calls({name: _of_double(name, run) for name, run in _TESTS.items()}, (1,), "bool"),
    **_calls({"math.abs": _abs, "math.sign": _sign, "math.sqrt": _sqrt, "math.bitNot": _not}, (1,)),
    **_calls({name: _bits(name, run) for name, run in _PAIRS.items()}, (2,)),
    **_calls({name: _shift(name, run) for name, run in _SHIFTS.items()}, (2,)),
}
"""By name, as `qcore.store.cel.functions` has its own."""
