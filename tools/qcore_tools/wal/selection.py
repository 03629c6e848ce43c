"""Which lines are wanted. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcore.model.errors import BadParams
from qcore.model.ids import parse_id, split_typed_id
from qcore.model.path import join_path, split_path
from qcore.store.state.entity import CHILDREN
from qcore.store.watch.events import Event
from qcore_tools.console import UsageError
from qcore_tools.wal.bounds import Range
from qcore_tools.wal.changes import Change, TypeChange, changed_types
from qcore_tools.wal.replay import Batch
from qcore_tools.wal.values import Names

__all__ = ["Selection", "Target", "read_target"]


@dataclass(frozen=True)
class Target:
    """An entity that is meant: by id, perhaps of a type, or by path."""

    id: int | None = None
    type: str = ""
    path: str = ""


def read_target(text: str) -> Target:
    """``12``, ``@12``, ``Type$12`` or ``/Root/Name``.

    Raises:
        UsageError: it is none of them.
    """
    try:
        if text.startswith("/"):
            return Target(path=join_path(split_path(text)))
        id = parse_id(text)
        if id is not None:
            return Target(id)
        kind, number = split_typed_id(text)
        return Target(number, kind)
    except BadParams as error:
        raise UsageError(error.message) from None


@dataclass(frozen=True)
class Selection:
    """What a line has to be: within all ranges, of one of the kinds, about what is named.

    Times are in ns since 1970, both included. `types` mean descendants, too.
    """

    index: Range = (0, None)
    term: Range | None = None
    start: int | None = None
    end: int | None = None
    kinds: Sequence[str] = ()
    types: Sequence[str] = ()
    targets: Sequence[Target] = ()
    fields: Sequence[str] = ()

    @property
    def about_content(self) -> bool:
        """Whether it matters what a command was about."""
        return bool(self.types or self.targets or self.fields)

    @property
    def whole(self) -> bool:
        """Whether every line of every entry is wanted, from the first index on."""
        return not (self.about_content or self.kinds or self.term or self.start is not None or self.end is not None)

    def has_ended(self, index: int, term: int, time: int | None) -> bool:
        """Whether nothing from this entry on can be wanted: indexes, terms and times only grow."""
        return (
            _above(index, self.index)
            or (self.term is not None and _above(term, self.term))
            or (self.end is not None and time is not None and time > self.end)
        )

    def wants_entry(self, index: int, term: int, time: int | None) -> bool:
        """Whether lines of an entry may be wanted; `time` is None before the first time that is known."""
        return (
            _within(index, self.index)
            and (self.term is None or _within(term, self.term))
            and (self.start is None or (time is not None and time >= self.start))
            and (self.end is None or time is None or time <= self.end)
        )

    def wants_kind(self, *kinds: str) -> bool:
        """Whether a command of these kinds is: what it is, and within what."""
        return not self.kinds or any(kind in self.kinds for kind in kinds)

    def events_in(self, batch: Batch, names: Names) -> list[Event]:
        """The events that are wanted."""
        if not self.about_content:
            return batch.events
        return [event for event in batch.events if self._wants_event(event, batch, names)]

    def wants_batch(self, batch: Batch, names: Names) -> bool:
        """Whether anything of what was changed is wanted."""
        if not self.about_content or any(self._wants_event(event, batch, names) for event in batch.events):
            return True
        return any(self.wants_change(change) for change in changed_types(batch.before, batch.after))

    def wants_change(self, change: Change | TypeChange) -> bool:
        """The same for what is known of a command that was not applied, and for types."""
        if isinstance(change, TypeChange):
            return not self.targets and (not self.types or change.type in self.types) and self._has_field(change)
        return (
            (not self.types or change.type in self.types)
            and (not self.targets or any(_is(each, change.id, change.type, change.path) for each in self.targets))
            and (not self.fields or any(each.name in self.fields for each in change.fields))
        )

    def _has_field(self, change: TypeChange) -> bool:
        if not self.fields:
            return True
        both = [{each.name: each for each in schema.fields} if schema else {} for schema in (change.old, change.new)]
        return any(both[0].get(name) != both[1].get(name) for name in self.fields)

    def _wants_event(self, event: Event, batch: Batch, names: Names) -> bool:
        schema = event.schema
        if self.types and (schema is None or schema.ancestors.isdisjoint(self.types)):
            return False
        if self.fields and event.name not in self.fields:
            return False
        if event.field is not None and event.field.slot == CHILDREN and not self.fields and not batch.only_orders:
            return False  # it follows what is told of the children themselves
        return not self.targets or any(self._is_about(target, event, batch, names) for target in self.targets)

    def _is_about(self, target: Target, event: Event, batch: Batch, names: Names) -> bool:
        kind = "" if event.schema is None else event.schema.type
        if not target.path:
            return _is(target, event.id, kind, "")
        gone = batch.deleted.get(event.id)
        return target.path == (names.path(event.id) if gone is None else names.path_of(gone, batch.deleted))


def _is(target: Target, id: int | None, kind: str, path: str) -> bool:
    if target.path:
        return path == target.path
    return id == target.id and target.type in ("", kind)


def _within(number: int, given: Range) -> bool:
    return given[0] <= number and (given[1] is None or number <= given[1])


def _above(number: int, given: Range) -> bool:
    return given[1] is not None and number > given[1]
