"""Functions of filters, by the CEL specification. Each takes the frame and its operands."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from qcore.model.ids import is_digits
from qcore.model.times import NS, format_time
from qcore.store.cel.code import Function
from qcore.store.cel.libraries import mathematics, sets, strings
from qcore.store.cel.operators import checked_int, checked_uint
from qcore.store.cel.texts import TEXT, charge_search, charge_text, decoded
from qcore.store.cel.times import (
    DURATION_PARTS,
    TIMESTAMP_PARTS,
    as_timestamp,
    format_duration,
    parse_duration,
    parse_timestamp,
)
from qcore.store.cel.values import (
    TYPE_NAMES,
    Choice,
    Duration,
    FilterError,
    Frame,
    Map,
    Timestamp,
    UInt,
    charge,
    no_overload,
    type_name,
)

__all__ = ["COMPILE_STEPS", "FUNCTIONS", "MAX_REGEXES", "compiled_regex", "searched"]

_LISTS = frozenset({list, tuple})


def _size(_frame: Frame, value: Any) -> int:
    if type(value) in TEXT or type(value) in _LISTS or type(value) in (bytes, Map):
        return len(value)
    raise no_overload("size", value)


def _contains(frame: Frame, text: Any, part: Any) -> bool:
    if type(text) not in TEXT or type(part) not in TEXT:
        raise no_overload("contains", text, part)
    charge_search(frame, text, part)
    return part in text


def _starts_with(frame: Frame, text: Any, part: Any) -> bool:
    if type(text) not in TEXT or type(part) not in TEXT:
        raise no_overload("startsWith", text, part)
    charge_text(frame, len(part))
    return text.startswith(part)  # type: ignore[no-any-return]


def _ends_with(frame: Frame, text: Any, part: Any) -> bool:
    if type(text) not in TEXT or type(part) not in TEXT:
        raise no_overload("endsWith", text, part)
    charge_text(frame, len(part))
    return text.endswith(part)  # type: ignore[no-any-return]


_REGEX = re2.Options()
_REGEX.log_errors = False
_REGEX.never_capture = True
_REGEX.max_mem = 256 << 10  # compiling takes a millisecond at most, with 1 MiB it is ten

MAX_REGEXES = 16
"""Constant regular expressions in one filter: each is kept with it, and has memory of its own."""


@lru_cache(maxsize=2 * MAX_REGEXES)
def compiled_regex(pattern: str) -> Any:
    """A regular expression in RE2's syntax; its time is linear in the text.

    Raises:
        FilterError: the pattern is none; names what RE2 says.
    """
    try:
        return re2.compile(pattern.encode(), _REGEX)
    except re2.error as exc:
        said = exc.args[0].decode(errors="replace") if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise FilterError(f"not a regular expression ({said}): {pattern[:80]!r}") from None


COMPILE_STEPS = 3_000
"""What compiling a pattern costs that is read from a field, so may be a new one each time."""


def _matches(frame: Frame, text: Any, pattern: Any) -> bool:
    if type(text) not in TEXT or type(pattern) not in TEXT:
        raise no_overload("matches", text, pattern)
    charge_text(frame, len(text))
    charge(frame, COMPILE_STEPS + len(pattern))
    regex = compiled_regex(str(pattern))
    return searched(frame, regex.search, regex.programsize, text)


def searched(frame: Frame, search: Any, size: int, text: str) -> bool:
    """Whether a regular expression of `size` instructions is found in a text.

    RE2 mostly looks once at each byte, but some patterns make it take every instruction for every byte, some 3 ns.
    """
    charge(frame, len(text) * size >> 8)
    return search(text.encode()) is not None


def _to_int(_frame: Frame, value: Any) -> int:
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is UInt:
        return checked_int(int(value))
    if kind is float:
        # the bounds themselves are refused: as doubles they stand for more than one int
        if not -(2.0**63) < value < 2.0**63:
            raise FilterError("the double is no int: not a number, or more than 64 bits")
        return int(value)
    if kind is Choice:
        return value.index  # type: ignore[no-any-return]
    if kind is str:
        return checked_int(_integer(value, "int", signed=True))
    if kind is Timestamp:
        return int(value) // NS
    raise no_overload("int", value)


def _integer(text: str, wanted: str, signed: bool) -> int:
    digits = text[1:] if signed and text[:1] in ("-", "+") else text
    if not is_digits(digits) or len(digits) > 40:
        raise FilterError(f"expected the digits of an {wanted}, given {text[:80]!r}")
    return int(text)


def _to_uint(_frame: Frame, value: Any) -> UInt:
    kind = type(value)
    if kind in (int, UInt):
        return checked_uint(int(value))
    if kind is float:
        if not 0.0 <= value < 2.0**64:
            raise FilterError("the double is no uint: not a number, below 0, or more than 64 bits")
        return UInt(value)
    if kind is str:
        return checked_uint(_integer(value, "uint", signed=False))
    raise no_overload("uint", value)


_DOUBLE_CHARS = frozenset("0123456789+-.eE")
_DOUBLE_WORDS = frozenset({"nan", "inf", "infinity"})


def _to_double(_frame: Frame, value: Any) -> float:
    kind = type(value)
    if kind in (float, int, UInt):
        return float(value)
    if kind in TEXT:
        word = value[1:] if value[:1] in ("-", "+") else value
        if (word.isascii() and word.lower() in _DOUBLE_WORDS) or _DOUBLE_CHARS.issuperset(value):
            try:
                return float(value)
            except ValueError:
                pass
        raise FilterError(f"expected the digits of a double, given {value[:80]!r}")
    raise no_overload("double", value)


def _to_string(frame: Frame, value: Any) -> str:
    match type(value):
        case kind if kind in TEXT:
            return str(value)
        case kind if kind is bool:
            return "true" if value else "false"
        case kind if kind is int or kind is UInt:
            return str(int(value))
        case kind if kind is float:
            return repr(value)
        case kind if kind is bytes:
            return decoded(frame, value)
        case kind if kind is Timestamp:
            return format_time(int(value))
        case kind if kind is Duration:
            return format_duration(value)
    raise no_overload("string", value)


def _to_bytes(frame: Frame, value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) in TEXT:
        charge_text(frame, len(value))
        return value.encode()  # type: ignore[no-any-return]
    raise no_overload("bytes", value)


_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _to_bool(_frame: Frame, value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) in TEXT:
        if value in _BOOLS:
            return _BOOLS[value]
        raise FilterError(f"expected true or false, given {value[:80]!r}")
    raise no_overload("bool", value)


def _to_timestamp(_frame: Frame, value: Any) -> Timestamp:
    if type(value) is Timestamp:
        return value
    if type(value) in TEXT:
        return parse_timestamp(value)
    if type(value) is int:
        return as_timestamp(value * NS)
    raise no_overload("timestamp", value)


def _to_duration(_frame: Frame, value: Any) -> Duration:
    if type(value) is Duration:
        return value
    if type(value) in TEXT:
        return parse_duration(value)
    raise no_overload("duration", value)


def _part(name: str) -> Callable[..., int]:
    of_timestamp, of_duration = TIMESTAMP_PARTS[name], DURATION_PARTS.get(name)

    def part(_frame: Frame, value: Any, zone: Any = None) -> int:
        if type(value) is Timestamp and (zone is None or type(zone) in TEXT):
            return of_timestamp(int(value), zone)
        if type(value) is Duration and zone is None and of_duration is not None:
            return of_duration(int(value))
        raise no_overload(name, value) if zone is None else no_overload(name, value, zone)

    return part


FUNCTIONS: dict[str, Function] = {
    "size": Function(_size, (1,), True, True, "other"),
    "contains": Function(_contains, (2,), False, True, "bool"),
    "startsWith": Function(_starts_with, (2,), False, True, "bool"),
    "endsWith": Function(_ends_with, (2,), False, True, "bool"),
    "matches": Function(_matches, (2,), True, True, "bool"),
    "int": Function(_to_int, (1,), True, False, "other"),
    "uint": Function(_to_uint, (1,), True, False, "other"),
    "double": Function(_to_double, (1,), True, False, "other"),
    "string": Function(_to_string, (1,), True, False, "other"),
    "bytes": Function(_to_bytes, (1,), True, False, "other"),
    "bool": Function(_to_bool, (1,), True, False, "bool"),
    "timestamp": Function(_to_timestamp, (1,), True, False, "other"),
    "duration": Function(_to_duration, (1,), True, False, "other"),
    "type": Function(lambda _frame, value: TYPE_NAMES[type_name(value)], (1,), True, False, "other"),
    "dyn": Function(lambda _frame, value: value, (1,), True, False, "any"),
    **{name: Function(_part(name), (1, 2), False, True, "other") for name in TIMESTAMP_PARTS},
    **strings.FUNCTIONS,
    **mathematics.FUNCTIONS,
    **sets.FUNCTIONS,
}
"""Every function of filters by name, macros aside."""
