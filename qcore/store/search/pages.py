"""Pages of an answer: how much one may ask for, and the cursors between them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from qcore.model.errors import BadParams, Compacted, TooLarge
from qcore.model.ids import MAX_NAME
from qcore.model.requests.queries import MAX_PATHS
from qcore.model.requests.results import FailedField
from qcore.model.wire import decode_json, encode_json, text_size
from qcore.store.state.epochs import Epochs

__all__ = [
    "MAX_BYTES",
    "MAX_VALUES",
    "check_limit",
    "check_paths",
    "epoch_of_cursor",
    "no_cursor",
    "read_cursor",
    "weight",
    "write_cursor",
]

MAX_VALUES = 500_000
"""Values on one page: its limit times the fields."""

MAX_BYTES = 8 << 20
"""About how long the fields of one answer may be together, beyond the first of them."""

_MAX_CURSOR = 200_000
"""Characters; the longest we make hold 16 texts of 1,000 characters, up to 8 for each."""

_EPOCH = b"e"
"""What the bytes of a cursor with an epoch begin with; eight more are the epoch, then comes what is in others."""
_EPOCH_BYTES = 9


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


def write_cursor(parts: Sequence[Any], epochs: Epochs) -> str:
    """A token that begins with ``c.``, so that no number is one; it holds the current epoch where there is one."""
    head = b"" if epochs.current is None else _EPOCH + bytes.fromhex(epochs.current)
    return "c." + base64.urlsafe_b64encode(head + encode_json(parts)).decode("ascii").rstrip("=")


def read_cursor(token: str, epochs: Epochs, *kinds: type[Any]) -> list[Any]:
    """The parts of a cursor; `kinds` are their types, where it is known how many there are.

    Raises:
        BadParams: it is none, or one of something else.
        Compacted: it was made in an epoch that is not of this history, as far as this node has applied the log.
    """
    epoch, body = _split(token)
    if epoch is not None and epoch not in epochs:
        raise Compacted("this cursor is of another history: begin with the first page")
    try:
        parts = decode_json(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise no_cursor(token) from None
    if type(parts) is not list or (kinds and [type(part) for part in parts] != list(kinds)):
        raise no_cursor(token)
    return parts


def epoch_of_cursor(token: str) -> str | None:
    """The epoch in which a cursor was made, None where it does not say.

    Raises:
        BadParams: it is no cursor.
    """
    return _split(token)[0]


def _split(token: str) -> tuple[str | None, bytes]:
    """The epoch of a cursor and the JSON of its parts."""
    try:
        text = token.removeprefix("c.")
        if text == token or len(token) > _MAX_CURSOR:
            raise ValueError(token)
        body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, TypeError):
        raise no_cursor(token) from None
    if not body.startswith(_EPOCH):
        return None, body
    if len(body) <= _EPOCH_BYTES:
        raise no_cursor(token)
    return body[1:_EPOCH_BYTES].hex(), body[_EPOCH_BYTES:]


def no_cursor(token: str) -> BadParams:
    """The error for a token that is no cursor, or not of this page."""
    return BadParams(f"{token[:60]!r} is no cursor of such a page")
