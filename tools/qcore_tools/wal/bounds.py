"""Times and ranges as people give them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import click

from qcore.model.ids import is_digits
from qcore.model.times import NS, parse_time

__all__ = ["Range", "range_option", "read_range", "read_time", "time_option"]

_AGO = re.compile(r"-(\d{1,12})(s|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST = 20
"""Digits of the longest number."""

Range = tuple[int, int | None]
"""The first and the last number, both included; None: there is no last one."""


def read_time(text: str, now: int) -> int | None:
    """Nanoseconds since 1970 of RFC 3339, or of ``-10m``: so long before `now`; None where it is neither."""
    ago = _AGO.fullmatch(text)
    if ago is None:
        return parse_time(text)
    return now - int(ago[1]) * _SECONDS[ago[2]] * NS


def read_range(text: str) -> Range | None:
    """``5``, ``5..9``, ``5..`` or ``..9``; None where it is none of them."""
    first, dots, last = text.partition("..")
    if not all(each == "" or (is_digits(each) and len(each) <= _MOST) for each in (first, last)):
        return None
    if not dots:
        return (int(first), int(first)) if first else None
    if not (first or last):
        return None
    found = int(first or 0), int(last) if last else None
    return None if found[1] is not None and found[1] < found[0] else found


def time_option(flag: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for a time; the tool gets nanoseconds since 1970."""

    def read(_ctx: click.Context, _param: click.Parameter, given: str | None) -> int | None:
        if given is None:
            return None
        found = read_time(given, time.time_ns())
        if found is None:
            raise click.BadParameter("expected RFC 3339 as 2026-11-28T09:00:00Z, or how long ago: -90s, -10m, -2h, -3d")
        return found

    return click.option(flag, metavar="TIME", callback=read, help=help)


def range_option(flag: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for numbers; the tool gets a `Range`."""

    def read(_ctx: click.Context, _param: click.Parameter, given: str | None) -> Range | None:
        if given is None:
            return None
        found = read_range(given)
        if found is None:
            raise click.BadParameter("expected a number or a range: 5, 5..9, 5.. or ..9")
        return found

    return click.option(flag, metavar="A..B", callback=read, help=help)
