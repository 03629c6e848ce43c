"""Timestamps and durations of filters: text, range, and the parts of a date, all exact to the nanosecond."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from qcore.model.ids import is_digits
from qcore.model.times import NS, parse_time
from qcore.store.cel.values import INT_MAX, INT_MIN, Duration, FilterError, Timestamp

__all__ = [
    "DURATION_PARTS",
    "TIMESTAMP_PARTS",
    "as_duration",
    "as_timestamp",
    "format_duration",
    "known_zone",
    "parse_duration",
    "parse_timestamp",
    "zone",
]

_EPOCH = datetime(1970, 1, 1)
_FIRST = int((datetime(1, 1, 1) - _EPOCH).total_seconds()) * NS
_LAST = (int((datetime(9999, 12, 31, 23, 59, 59) - _EPOCH).total_seconds()) + 1) * NS - 1
_CYCLE = 146_097 * 86_400 * NS
"""400 years: after them the calendar repeats."""

_UNITS = {"h": 3600 * NS, "m": 60 * NS, "s": NS, "ms": 1_000_000, "us": 1_000, "µs": 1_000, "μs": 1_000, "ns": 1}


def as_timestamp(ns: int) -> Timestamp:
    """The instant; raises `FilterError` outside of the years 1 to 9999."""
    if not _FIRST <= ns <= _LAST:
        raise FilterError("the time is outside of the years 1 to 9999")
    return Timestamp(ns)


def as_duration(ns: int) -> Duration:
    """The duration; raises `FilterError` beyond signed 64-bit ns, some 292 years."""
    if not INT_MIN <= ns <= INT_MAX:
        raise FilterError("the duration is longer than 292 years (signed 64-bit nanoseconds)")
    return Duration(ns)


def parse_timestamp(text: str) -> Timestamp:
    """Read RFC 3339; raises `FilterError` where it is none."""
    year = text[:4]
    if is_digits(year) and len(year) == 4 and int(year) > 0:
        # the model's instants reach from 1677 to 2262 only: read the same day of another cycle
        near = 1800 + (int(year) - 1800) % 400
        ns = parse_time(f"{near:04d}{text[4:]}")
        if ns is not None:
            return as_timestamp(ns + (int(year) - near) // 400 * _CYCLE)
    raise FilterError(f"expected a time such as 2024-05-01T08:30:00Z (RFC 3339), given {text[:80]!r}")


def parse_duration(text: str) -> Duration:
    """Read ``1h30m``, ``-1.5s``, ``250ms``; units h m s ms us ns. Raises `FilterError` where it is none."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    total = 0 if rest == "0" else _sum_of_parts(rest)
    if total is None:
        raise FilterError(f"expected a duration such as 1h30m or 1.5s (units h, m, s, ms, us, ns), given {text[:80]!r}")
    return as_duration(-total if text[:1] == "-" else total)


def _sum_of_parts(rest: str) -> int | None:
    total = 0
    if not rest:
        return None
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("hmsunµμ"))]
        unit = next((unit[:size] for size in (2, 1) if unit[:size] in _UNITS and len(unit) >= size), "")
        whole, dot, fraction = number.partition(".")
        if not unit or not is_digits(whole + fraction) or len(number) > 40 or (dot and "." in fraction):
            return None
        total += int(whole + fraction) * _UNITS[unit] // 10 ** len(fraction)
        rest = rest[len(unit) :]
    return total


def format_duration(ns: int) -> str:
    """Seconds with up to nine digits: ``5400s``, ``-0.25s``."""
    seconds, rest = divmod(abs(ns), NS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if ns < 0 else ''}{seconds}{fraction}s"


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo | None:
    """A time zone by name (``Europe/Berlin``) or offset (``+02:00``, ``-08:30``, ``05:45``), None if unknown."""
    digits = name[1:] if name[:1] in ("+", "-") else name
    if len(digits) == 5 and digits[2] == ":" and is_digits(digits[:2] + digits[3:]):
        minutes = int(digits[:2]) * 60 + int(digits[3:])
        if int(digits[3:]) > 59 or minutes >= 24 * 60:
            return None
        return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))
    if name in ("UTC", ""):
        return UTC if name else None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, a folder of zones
        return None


def known_zone(name: str) -> tzinfo:
    """The time zone of that name; raises `FilterError` where there is none."""
    found = zone(name)
    if found is None:
        raise FilterError(f"unknown time zone {name[:80]!r}; expected Europe/Berlin or +02:00")
    return found


def _date(ns: int, zone_name: str | None) -> datetime:
    try:
        moment = _EPOCH + timedelta(seconds=ns // NS)
        if zone_name is None:
            return moment
        return moment.replace(tzinfo=UTC).astimezone(known_zone(zone_name))
    except OverflowError:
        raise FilterError(f"the time is outside of the years 1 to 9999 in zone {zone_name}") from None


Part = Callable[[datetime], int]

_DATE_PARTS: dict[str, Part] = {
    "getFullYear": lambda date: date.year,
    "getMonth": lambda date: date.month - 1,
    "getDate": lambda date: date.day,
    "getDayOfMonth": lambda date: date.day - 1,
    "getDayOfWeek": lambda date: date.isoweekday() % 7,
    "getDayOfYear": lambda date: date.toordinal() - datetime(date.year, 1, 1).toordinal(),
    "getHours": lambda date: date.hour,
    "getMinutes": lambda date: date.minute,
    "getSeconds": lambda date: date.second,
}


def _timestamp_part(part: Part) -> Callable[[int, str | None], int]:
    return lambda ns, zone_name: part(_date(ns, zone_name))


def _milliseconds(ns: int, zone_name: str | None) -> int:
    _date(ns, zone_name)  # an unknown zone is an error here too
    return ns % NS // 1_000_000


TIMESTAMP_PARTS: dict[str, Callable[[int, str | None], int]] = {
    **{name: _timestamp_part(part) for name, part in _DATE_PARTS.items()},
    "getMilliseconds": _milliseconds,
}
"""Parts of an instant, in UTC or a zone; months, days of the month, the week (Sunday) and the year count from 0."""


def _truncated(ns: int, unit: int) -> int:
    return ns // unit if ns >= 0 else -(-ns // unit)


DURATION_PARTS: dict[str, Callable[[int], int]] = {
    "getHours": lambda ns: _truncated(ns, 3600 * NS),
    "getMinutes": lambda ns: _truncated(ns, 60 * NS),
    "getSeconds": lambda ns: _truncated(ns, NS),
    "getMilliseconds": lambda ns: _truncated(ns, 1_000_000) - 1_000 * _truncated(ns, NS),
}
"""A duration in whole units; milliseconds are those left over from whole seconds."""
