"""Pages of an answer: how much one may ask for, and the cursors between them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from qcore.model.errors import BadParams, TooLarge
from qcore.model.ids import MAX_NAME
from qcore.model.requests.results import FailedField
from qcore.model.wire import decode_json, encode_json, text_size

__all__ = [
    "MAX_BYTES",
    "MAX_PATHS",
    "MAX_VALUES",
    "check_limit",
    "check_paths",
    "no_cursor",
    "read_cursor",
    "weight",
    "write_cursor",
]

MAX_PATHS = 10_000
"""Fields that one request may ask for; each hop of a path counts."""

MAX_VALUES = 500_000
"""Values on one page: its limit times the fields."""

MAX_BYTES = 8 << 20
"""About how long the fields of one answer may be together, beyond the first of them."""

_MAX_CURSOR = 200_000
"""Characters; the longest we make hold 16 texts of 1,000 characters, up to 8 for each."""


def check_limit(limit: int, most: int) -> None:
    """Raise `BadParams` for a limit below 1, `TooLarge` for one over `most`."""
    if limit < 1:
        raise BadParams(f"limit is at least 1, {limit} given")
    if limit > most:
        raise TooLarge(f"a page has at most {most} items, {limit} asked")


def check_paths(paths: Sequence[str], items: int = 1) -> int:
    """The hops of all paths together: what reading them for one entity costs.

    Raises:
        TooLarge: more than `MAX_PATHS`; for so many `items` more than `MAX_VALUES`; a name longer than any field's.
    """
    hops = 0
    for path in paths:
        steps = path.count("->") + 1
        if len(path) > steps * (MAX_NAME + 2):
            raise TooLarge(f"a field's name has at most {MAX_NAME} characters, {len(path)} in path {path[:60]!r}...")
        hops += steps
    if hops > MAX_PATHS:
        raise TooLarge(f"a request asks for at most {MAX_PATHS} fields, {hops} given; each hop of a path counts")
    if hops * items > MAX_VALUES:
        raise TooLarge(f"a page has at most {MAX_VALUES} values, {items} items of {hops} fields asked")
    return hops


def weight(value: Any) -> int:
    """About how many bytes a value, or the error in its place, has as JSON."""
    kind = type(value)
    if kind is str:
        return text_size(value)
    if kind is FailedField:
        return text_size(value.error.message)
    return 8 * len(value) if kind is list else 8


def write_cursor(parts: Sequence[Any]) -> str:
    """A token that begins with ``c.``, so that no number is one."""
    return "c." + base64.urlsafe_b64encode(encode_json(parts)).decode("ascii").rstrip("=")


def read_cursor(token: str, *kinds: type[Any]) -> list[Any]:
    """The parts of a cursor; `kinds` are their types, where it is known how many there are.

    Raises:
        BadParams: it is none, or one of something else.
    """
    try:
        body = token.removeprefix("c.")
        if body == token or len(token) > _MAX_CURSOR:
            raise ValueError(token)
        parts = decode_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, TypeError, msgspec.DecodeError, RecursionError):
        raise no_cursor(token) from None
    if type(parts) is not list or (kinds and [type(part) for part in parts] != list(kinds)):
        raise no_cursor(token)
    return parts


def no_cursor(token: str) -> BadParams:
    """The error for a token that is no cursor, or not of this page."""
    return BadParams(f"{token[:60]!r} is no cursor of such a page")
