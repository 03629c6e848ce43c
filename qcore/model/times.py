"""Instants: nanoseconds since 1970-01-01T00:00:00Z as signed 64-bit integers, and RFC 3339 text.

The range is that of the integer: 1677-09-21 to 2262-04-11. No clock here; `qcore.server` reads one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from qcore.model.ids import is_digits

__all__ = ["NS", "format_time", "parse_time"]

NS = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(ns: int) -> str:
    """RFC 3339 in UTC with `Z`, up to nine digits of a second without trailing zeros."""
    seconds, rest = divmod(ns, NS)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"


def parse_time(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 text, None where it is none or out of range."""
    if (
        len(text) < 20
        or text[4] != "-"
        or text[7] != "-"
        or text[10] not in "Tt "
        or text[13] != ":"
        or text[16] != ":"
    ):
        return None
    if not is_digits(text[0:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19]):
        return None
    date = int(text[0:4]), int(text[5:7]), int(text[8:10])
    clock = int(text[11:13]), int(text[14:16]), int(text[17:19])
    rest, offset = _split_offset(text[19:])
    if offset is None or (rest and not (rest[0] == "." and is_digits(rest[1:]) and len(rest) <= 10)):
        return None
    try:
        span = datetime(*date, *clock, tzinfo=UTC) - _EPOCH
    except ValueError:
        return None
    seconds = span.days * 86_400 + span.seconds - offset
    ns = seconds * NS + int(rest[1:].ljust(9, "0"))
    return ns if -(2**63) <= ns < 2**63 else None


def _split_offset(text: str) -> tuple[str, int | None]:
    """Split ``.5+02:00`` into the fraction and the offset in seconds, None where there is no valid one."""
    if text[-1:] in ("Z", "z"):
        return text[:-1], 0
    zone = text[-6:]
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":" or not (is_digits(zone[1:3]) and is_digits(zone[4:])):
        return text, None
    hours, minutes = int(zone[1:3]), int(zone[4:])
    if hours > 23 or minutes > 59:
        return text, None
    return text[:-6], (hours * 60 + minutes) * (60 if zone[0] == "+" else -60)
