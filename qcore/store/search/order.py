"""The order of a search by fields: a key for each entity, the least keys of many, cursors that hold a key.

A key has a rank and a value for each field, and the id. Rank 0 is first whatever the direction: null, a path that
leads nowhere, and what has no order. The other ranks keep kinds apart that cannot be compared; Int and Float can.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import Any

from qcore.model.errors import BadParams, NotFound, TooLarge, WrongKind
from qcore.model.ids import is_digits
from qcore.model.path import split_field_path
from qcore.model.quoting import quoted
from qcore.model.schema import CompleteField
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore.store.resolve import reach
from qcore.store.search.pages import check_paths, no_cursor, read_cursor, write_cursor
from qcore.store.state.entity import Entity
from qcore.store.state.epochs import Epochs
from qcore.store.state.view import View

__all__ = ["MAX_FIELDS", "MAX_TEXT", "Key", "Least", "Order"]

MAX_FIELDS = 16
"""Fields that a search is ordered by."""

MAX_TEXT = 1_000
"""Characters of a String, bytes of a Blob that count; more would make cursors without bound."""

Key = tuple[Any, ...]

_BATCH = 1_000

_BLOB, _BOOL, _CHOICE, _LIST, _REFERENCE, _STRING = (
    Kind.Blob,
    Kind.Bool,
    Kind.Choice,
    Kind.EntityList,
    Kind.EntityReference,
    Kind.String,
)
_RANKS = {
    Kind.Blob: 1,
    Kind.Bool: 2,
    Kind.Choice: 3,
    Kind.EntityReference: 4,
    Kind.Float: 5,
    Kind.Int: 5,
    Kind.String: 6,
    Kind.Timestamp: 7,
}
_TURNED = 8
"""A descending rank is this minus the rank."""
_NONE = (0, 0)
_TYPES = ((int,), (bytes,), (int,), (int,), (int,), (int, float), (str,), (int,))
"""What a key holds, by rank; descending texts are bytes."""
_TEXTS = (1, 6)
_MIRROR = bytes(max(0xFE - byte, 0) for byte in range(256))
"""UTF-8 and hexadecimal digits have no byte above F4."""


class _Field:
    """One field path of an order, for entities of some types."""

    def __init__(self, view: View, types: list[str], text: str) -> None:
        path, colon, direction = text.partition(":")
        if colon and direction != "desc":
            raise BadParams(
                f"order_by {quoted(text)}: after a field stands :desc or nothing, given {quoted(direction)}"
            )
        self.hops = split_field_path(path)
        self._descending = bool(colon)
        self._view = view
        self._labels: dict[CompleteField, dict[str, int]] = {}
        self._check(text, types)

    def _check(self, text: str, types: list[str]) -> None:
        """Refuse a path that can lead nowhere, or to lists alone."""
        complete, hops = self._view.types.complete, self.hops
        kinds = {field.kind for name in types if (field := complete[name].by_name.get(hops[0])) is not None}
        if not kinds:
            raise NotFound(f"order_by {quoted(text)}: unknown field {quoted(hops[0])}; no type asked has it")
        place = 1
        while place < len(hops):
            if is_digits(hops[place]) and _LIST in kinds:
                kinds = {_REFERENCE}
            elif _REFERENCE in kinds:
                kinds = self._view.types.kinds.get(hops[place], set())
            else:
                raise WrongKind(f"order_by {quoted(text)}: {hops[place - 1]} is {_words(kinds)}, no reference")
            if not kinds:
                raise NotFound(f"order_by {quoted(text)}: unknown field {quoted(hops[place])}; no type has it")
            place += 1
        if kinds == {_LIST}:
            raise WrongKind(f"order_by {quoted(text)}: {hops[-1]} is an EntityList, which has no order")

    def part(self, entity: Entity) -> tuple[int, Any]:
        """Rank and value."""
        if len(self.hops) == 1:
            field = entity.schema.by_name.get(self.hops[0])
            return _NONE if field is None else self._part(field, entity.read(field.slot))
        place = reach(self._view, entity, self.hops)
        if place is None:
            return _NONE
        owner, field, item = place
        if item is not None:
            return self._turned(_RANKS[_REFERENCE], item) if item in self._view.entities else _NONE
        return self._part(field, owner.read(field.slot))

    def _part(self, field: CompleteField, stored: Any) -> tuple[int, Any]:
        kind = field.kind
        if kind is _LIST or (kind is _REFERENCE and stored not in self._view.entities):
            return _NONE
        if kind is _STRING or kind is _BLOB:
            stored = stored if len(stored) <= MAX_TEXT else stored[:MAX_TEXT]
        elif kind is _CHOICE:
            stored = self._index(field, stored)
        elif kind is _BOOL:
            stored = int(stored)
        return self._turned(_RANKS[kind], stored)

    def _turned(self, rank: int, value: Any) -> tuple[int, Any]:
        if not self._descending:
            return rank, value
        return _TURNED - rank, _downwards(value) if type(value) in (str, bytes) else -value

    def _index(self, field: CompleteField, label: str) -> int:
        labels = self._labels.get(field)
        if labels is None:
            labels = self._labels[field] = {label: place for place, label in enumerate(field.labels)}
        return labels[label]

    def read(self, rank: Any, value: Any) -> Any:
        """The value of a key, out of a cursor.

        Raises:
            ValueError: it cannot be.
        """
        if type(rank) is not int or not 0 <= rank < _TURNED:
            raise ValueError(rank)
        kind = _TURNED - rank if rank and self._descending else rank
        wanted = (bytes,) if kind in _TEXTS and self._descending else _TYPES[kind]
        if wanted == (bytes,) and type(value) is str:
            return base64.b64decode(value, validate=True)
        if type(value) not in wanted:
            raise ValueError(value)
        return value


def _downwards(text: str | bytes) -> bytes:
    """What is less where a text is greater: its bytes mirrored, and an end that is greater than any of them."""
    upwards = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text.hex().encode()
    return upwards.translate(_MIRROR) + b"\xff"


def _words(kinds: set[Kind]) -> str:
    return " or ".join(sorted(kinds))


class Order:
    """The order of a search for `type`, whose candidates are `types`, by the field paths `texts`."""

    def __init__(self, view: View, type: str, types: list[str], texts: list[str]) -> None:
        """
        Raises:
            TooLarge: more than `MAX_FIELDS`, a path too long.
            BadParams: a field with anything but ``:desc`` after it.
            NotFound: a field that no type has.
            WrongKind: a list, a hop that is no reference.
        """
        if len(texts) > MAX_FIELDS:
            raise TooLarge(f"a search is ordered by at most {MAX_FIELDS} fields, {len(texts)} given")
        self.hops = check_paths(texts)
        """Hops of all fields together: what a key costs."""
        self._fields = [_Field(view, types, text) for text in texts]
        self._mark = blake2b(encode_json([type, texts]), digest_size=6).hexdigest()

    def key(self, entity: Entity) -> Key:
        """Where an entity stands."""
        parts: list[Any] = []
        for field in self._fields:
            parts += field.part(entity)
        parts.append(entity.id)
        return tuple(parts)

    def cursor(self, key: Key, epochs: Epochs) -> str:
        """A token for what comes after a key, in this order and no other."""
        return write_cursor([self._mark, *key], epochs)

    def position(self, token: str, epochs: Epochs) -> Key:
        """The key that a token holds.

        Raises:
            BadParams: it is no cursor of this order.
            Compacted: it is of another history.
        """
        mark, *parts = read_cursor(token, epochs) or [None]
        try:
            if mark != self._mark or len(parts) != 2 * len(self._fields) + 1 or type(parts[-1]) is not int:
                raise ValueError(mark)
            for place, field in enumerate(self._fields):
                parts[2 * place + 1] = field.read(*parts[2 * place : 2 * place + 2])
        except (ValueError, binascii.Error):
            raise no_cursor(token) from None
        return tuple(parts)


class Least:
    """The least keys of all that are added, `most` of them; a few more are held than that."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: list[Key] = []
        self._sorted = 0
        self._bound: Key | None = None

    def add(self, key: Key) -> None:
        if self._bound is not None and not key < self._bound:
            return
        self._keys.append(key)
        if len(self._keys) - self._sorted >= _BATCH:
            self._sort()

    def keys(self) -> list[Key]:
        """Ascending."""
        self._sort()
        return self._keys

    def _sort(self) -> None:
        """Put in what came since the last time, and drop what is too much."""
        self._keys.sort()
        del self._keys[self._most :]
        self._sorted = len(self._keys)
        if self._sorted == self._most:
            self._bound = self._keys[-1]
