"""Events in stored form, as the history keeps them: small, and independent of what happens later.

An `Event` is what a revision did to one entity or one field. A `PathEvent` is what it did to an indirect field; it is
made for listeners of that path, never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from qcore.model.requests.events import Written
from qcore.model.requests.results import FieldError
from qcore.model.schema import CompleteField, CompleteSchema
from qcore.model.times import format_time
from qcore.model.values import Kind, value_to_json
from qcore.model.wire import text_size
from qcore.store.resolve import Place
from qcore.store.state.entity import CHILDREN, Entity

__all__ = [
    "CHANGED",
    "CREATED",
    "DELETED",
    "KINDS",
    "RETYPED",
    "Event",
    "PathEvent",
    "Reading",
    "by_revision",
    "reading_at",
    "size_of",
]

CREATED, CHANGED, DELETED, RETYPED = range(4)

KINDS = ("created", "changed", "deleted")
"""Their words on the wire; RETYPED has none."""

by_revision = attrgetter("revision")
"""Sorts events, and finds a place among them."""

_FIXED = 400
"""Bytes of an event without its values, more or less."""


class Reading(NamedTuple):
    """What a field holds, its default included; `revision` 0: it was never written."""

    kind: Kind
    value: Any
    time: int
    revision: int

    def written(self, exists: Callable[[int], bool]) -> Written:
        """Its form on the wire; `exists` tells missing references apart."""
        value = msgspec.UNSET if self.value is None else value_to_json(self.kind, self.value, exists)
        return Written(value=value, time=format_time(self.time) if self.revision else None, revision=self.revision)


def reading_at(place: Place) -> Reading:
    """What stands where a path ends; Children has no value in an event."""
    entity, field, item = place
    time, revision = entity.time(field.slot), entity.revision(field.slot)
    if item is not None:
        return Reading(Kind.EntityReference, item, time, revision)
    return Reading(field.kind, None if field.slot == CHILDREN else entity.read(field.slot), time, revision)


class Event(msgspec.Struct, gc=False):
    """One thing a revision did; `schema` is the entity's.

    CREATED: nothing else. CHANGED: `field`, its value, time and revision after and before (None: unset; `fresh`: there
    was no such entity before). DELETED: `value` is the entity as it was before. RETYPED: `value` is a `Retyped`.
    """

    kind: int
    revision: int
    id: int
    schema: CompleteSchema | None
    field: CompleteField | None = None
    value: Any = None
    time: int = 0
    written: int = 0
    old_value: Any = None
    old_time: int = 0
    old_written: int = 0
    fresh: bool = False

    @property
    def name(self) -> str:
        """The field's name, empty for a whole entity."""
        return "" if self.field is None else self.field.name

    @property
    def current(self) -> Reading | None:
        field = self.field
        return None if field is None else Reading(field.kind, _read(field, self.value), self.time, self.written)

    @property
    def previous(self) -> Reading | None:
        field = self.field
        if field is None or self.fresh:
            return None
        return Reading(field.kind, _read(field, self.old_value), self.old_time, self.old_written)

    @property
    def error(self) -> FieldError | None:
        return None

    @property
    def differs(self) -> bool:
        """Whether anything is another than before; Children always counts as such."""
        field = self.field
        if field is None or self.fresh or field.slot == CHILDREN:
            return True
        return bool(_read(field, self.value) != _read(field, self.old_value))

    @property
    def weight(self) -> int:
        """Bytes it takes in memory, more or less."""
        if self.kind == CHANGED:
            value, old = self.value, self.old_value
            return _FIXED + (0 if value is None else size_of(value)) + (0 if old is None else size_of(old))
        if isinstance(self.value, Entity):
            return 2 * _FIXED + sum(size_of(value) + 24 for value in self.value.values)
        return _FIXED


class PathEvent(msgspec.Struct):
    """An indirect field of an entity has another end, or its end was written."""

    revision: int
    id: int
    schema: CompleteSchema
    name: str
    current: Reading | None
    previous: Reading | None
    error: FieldError | None = None
    kind: int = CHANGED

    @property
    def differs(self) -> bool:
        """Whether anything is another than before; Children always counts as such."""
        now, before = self.current, self.previous
        if now is None or before is None or now.value is None:
            return True
        return now.kind is not before.kind or bool(now.value != before.value)


def _read(field: CompleteField, value: Any) -> Any:
    if field.slot == CHILDREN:
        return None
    return field.default if value is None else value


def size_of(value: Any) -> int:
    """Bytes that a stored value takes beyond what every value takes, more or less."""
    kind = type(value)
    if kind is str:
        return text_size(value)
    if kind is bytes:
        return len(value)
    return 8 * len(value) if kind is tuple or kind is list else 0
