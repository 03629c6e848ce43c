"""``'...'.format([...])``: clauses of a text filled with values, without any locale."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from qcore.model.times import format_time
from qcore.store.cel.texts import TEXT, charge_text, decoded
from qcore.store.cel.times import format_duration
from qcore.store.cel.values import (
    Duration,
    FilterError,
    Frame,
    Map,
    Timestamp,
    TypeName,
    UInt,
    charge,
    no_overload,
)

__all__ = ["clauses", "formatted"]

_DIGITS = 6
"""Behind the point, where a clause says nothing."""

_MAX_DIGITS = 1_000

_LETTERS = frozenset("sdfebxXo")


def formatted(frame: Frame, text: Any, items: Any) -> str:
    """The text with its clauses filled in, one value after the other; values left over are ignored.

    Raises:
        FilterError: a clause that is none, a value it does not take, or too few of them.
    """
    if type(text) not in TEXT or type(items) not in (list, tuple):
        raise no_overload("format", text, items)
    charge_text(frame, len(text))
    written: list[str] = []
    used, at = 0, 0
    while (sign := text.find("%", at)) >= 0:
        written.append(text[at:sign])
        letter, digits, at = _clause(text, sign + 1)
        charge(frame, 1)
        if letter == "%":
            written.append("%")
            continue
        if used == len(items):
            raise FilterError(f"format: no value for clause {used + 1}, {used} given")
        written.append(_filled(frame, letter, digits, items[used]))
        used += 1
    written.append(text[at:])
    return "".join(written)


def clauses(text: str) -> int:
    """How many values a text takes; raises `FilterError` for a clause that is none."""
    count, at = 0, 0
    while (sign := text.find("%", at)) >= 0:
        letter, _, at = _clause(text, sign + 1)
        count += letter != "%"
    return count


def _clause(text: str, at: int) -> tuple[str, int, int]:
    """The letter of a clause, its digits behind the point, and where it ends; `at` is behind the ``%``."""
    if text[at : at + 1] == "%":
        return "%", 0, at + 1
    digits = ""
    pointed = text[at : at + 1] == "."
    if pointed:
        at += 1
        while at < len(text) and text[at] in "0123456789" and len(digits) < 5:
            digits += text[at]
            at += 1
    letter = text[at : at + 1]
    if letter not in _LETTERS or not letter or (pointed and not digits):
        raise FilterError(f"format: expected one of %s %d %f %e %b %x %X %o %%, given {('%' + letter)!r}")
    if digits and int(digits) > _MAX_DIGITS:
        raise FilterError(f"format: at most {_MAX_DIGITS} digits behind the point, given {digits}")
    return letter, int(digits) if digits else _DIGITS, at + 1


def _filled(frame: Frame, letter: str, digits: int, value: Any) -> str:
    if letter == "s":
        return _written(frame, value)
    if letter in "fe":
        text = _double(value, f".{digits}{letter}")
    elif letter in "xX":
        text = _hexadecimal(frame, value, letter)
    else:
        text = _WHOLE[letter](value)
    if text is None:
        raise no_overload(f"format: %{letter}", value)
    charge_text(frame, len(text))
    return text


def _double(value: Any, form: str) -> str | None:
    if type(value) not in (float, int, UInt):
        return None
    number = float(value)
    return format(number, form) if math.isfinite(number) else _endless(number)


def _endless(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _hexadecimal(frame: Frame, value: Any, letter: str) -> str | None:
    if type(value) in (int, UInt):
        return format(int(value), letter)
    if type(value) is not bytes and type(value) not in TEXT:
        return None
    charge_text(frame, 2 * len(value))
    text: str = (value if type(value) is bytes else value.encode()).hex()
    return text if letter == "x" else text.upper()


def _decimal(value: Any) -> str | None:
    if type(value) in (int, UInt):
        return str(int(value))
    return _shortest(value) if type(value) is float else None


def _binary(value: Any) -> str | None:
    return format(int(value), "b") if type(value) in (int, UInt, bool) else None


def _octal(value: Any) -> str | None:
    return format(int(value), "o") if type(value) in (int, UInt) else None


_WHOLE: dict[str, Callable[[Any], str | None]] = {"d": _decimal, "b": _binary, "o": _octal}


def _shortest(value: float) -> str:
    """The shortest digits that read as the double again, without an exponent."""
    if not math.isfinite(value):
        return _endless(value)
    mantissa, _, exponent = repr(value).removesuffix(".0").partition("e")
    if not exponent:
        return mantissa
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    sign = "-" if value < 0 else ""
    places = int(exponent)
    if places < 0:
        return f"{sign}0.{'0' * (-places - 1)}{whole}{fraction}"
    return f"{sign}{whole}{fraction.ljust(places, '0')}"


class _Sign(str):
    """What stands between values, which is no value itself."""

    __slots__ = ()


def _written(frame: Frame, value: Any) -> str:
    """A value of any type, without recursion: macros nest lists deeper than Python's stack."""
    written: list[str] = []
    waiting = [value]
    while waiting:
        charge(frame, 1)
        one = waiting.pop()
        if type(one) is list or type(one) is tuple or type(one) is Map:
            charge(frame, 2 * len(one))
            waiting.extend(reversed(_of_map(frame, one) if type(one) is Map else _of_list(one)))
        else:
            written.append(one if type(one) is _Sign else _plain(frame, one))
    return "".join(written)


def _of_list(items: Any) -> list[Any]:
    parts: list[Any] = [_Sign("[")]
    for place, item in enumerate(items):
        parts += [_Sign(", "), item] if place else [item]
    return [*parts, _Sign("]")]


def _of_map(frame: Frame, items: Map) -> list[Any]:
    """In the order of the keys as they are written."""
    parts: list[Any] = [_Sign("{")]
    written = sorted(((_plain(frame, key), value) for key, value in items.items()), key=itemgetter(0))
    for place, (key, value) in enumerate(written):
        parts += [_Sign(", ")] if place else []
        parts += [key, _Sign(": "), value]
    return [*parts, _Sign("}")]


def _plain(frame: Frame, value: Any) -> str:
    kind = type(value)
    if kind in TEXT or kind is bytes:
        charge_text(frame, len(value))
        return decoded(frame, value) if kind is bytes else str(value)
    if kind is bool or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if kind is Timestamp:
        return format_time(int(value))
    if kind is Duration:
        return format_duration(value)
    if kind is TypeName:
        return value.name  # type: ignore[no-any-return]
    return _decimal(value) or ""
