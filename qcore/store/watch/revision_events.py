"""From the journal of a command to the events of its revision: at most one for each entity and field.

What happened to a field several times is one change from what it was before the revision to what it is after. What
came and went within the revision never was. Nothing here says who wants to know.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from qcore.model.schema import CompleteField, CompleteSchema
from qcore.model.work import Pace, Work, emptying
from qcore.store.state.entity import CHILDREN, PARENT, Entity
from qcore.store.state.journal import Added, Change, Linked, Put, Relaid, Removed
from qcore.store.watch.events import CHANGED, CREATED, DELETED, Event

__all__ = ["events_of", "reading_events"]

_Before = tuple[CompleteField, Any, int, int]
"""A field before the revision: what it was, its value, time and revision."""


def events_of(changes: list[Change], revision: int, retyped: bool = False) -> list[Event]:
    """The events of one command, in the order in which each entity and field was first touched.

    A deleted entity has no other event; a field that changes of schemas (`retyped`) took away has none.
    """
    if retyped:
        return _read(changes, revision)
    events: dict[Any, Event] = {}
    parents: dict[Entity, Any] = {}
    for line in changes:  # most commands are as simple as this
        entity = line.entity
        if type(line) is Put:
            slot = line.slot
            if (entity, slot) not in events:
                event = events[entity, slot] = _changed(entity, entity.schema.slots[slot], revision)
                if entity in events:
                    event.fresh = True
                else:
                    event.old_time, event.old_written = line.time, line.revision
                    if slot == PARENT:
                        event.old_value = parents.get(entity, line.value)
                    elif slot != CHILDREN:  # whose list is the entity's own, and no value of an event
                        event.old_value = line.value
        elif type(line) is Added:
            events[entity] = Event(CREATED, revision, entity.id, entity.schema)
        elif type(line) is Linked:
            parents.setdefault(entity, line.parent)
        elif type(line) is Removed:
            return _read(changes, revision)
    return list(events.values())


def _read(changes: list[Change], revision: int) -> list[Event]:
    """The events of any command."""
    reader = _Reader()
    for line in changes:
        reader.note_schema(line)
    for line in changes:
        reader.note(line)
    return [event for one in reader.touched if (event := reader.event(one, revision)) is not None]


def reading_events(changes: list[Change], revision: int) -> Work[list[Event]]:
    """The same in slices."""
    reader, pace = _Reader(), Pace()
    for note in (reader.note_schema, reader.note):
        for line in changes:
            note(line)
            if pace.is_due():
                yield
    events = []
    for one in reader.touched:
        event = reader.event(one, revision)
        if event is not None:
            events.append(event)
        if pace.is_due():
            yield
    yield from reader.free()
    return events


def _changed(entity: Entity, field: CompleteField, revision: int) -> Event:
    slot = field.slot
    value = None if slot == CHILDREN else entity.values[slot]
    stamps = entity.stamps
    return Event(CHANGED, revision, entity.id, entity.schema, field, value, stamps[2 * slot], stamps[2 * slot + 1])


class _Reader:
    """Reads a journal once, noting what was there before."""

    def __init__(self) -> None:
        self.touched: list[tuple[int, Entity, str]] = []
        self._created: set[int] = set()
        self._removed: set[int] = set()
        self._parents: dict[int, Any] = {}
        """What Parent held before the first move."""
        self._before: defaultdict[int, dict[str, _Before]] = defaultdict(dict)
        self._schemas: dict[int, deque[CompleteSchema]] = {}
        """For each entity that gets another schema, those it has before, in order."""

    def free(self) -> Work[None]:
        """Forget everything."""
        return emptying(self._before, self.touched, self._created, self._removed, self._parents, self._schemas)

    def note_schema(self, line: Change) -> None:
        """Note what schema an entity had; to be done for all lines before the rest."""
        if type(line) is Relaid:
            self._schemas.setdefault(line.entity.id, deque()).append(line.schema)

    def note(self, line: Change) -> None:
        """Note what a line did."""
        entity = line.entity
        if type(line) is Put:
            self._note_put(entity, line)
        elif type(line) is Removed:
            self._removed.add(entity.id)
            self.touched.append((DELETED, entity, ""))
        elif type(line) is Linked:
            self._parents.setdefault(entity.id, line.parent)
        elif type(line) is Added:
            self._created.add(entity.id)
            self.touched.append((CREATED, entity, ""))
        elif type(line) is Relaid:
            self._schemas[entity.id].popleft()

    def _note_put(self, entity: Entity, line: Put) -> None:
        waiting = self._schemas.get(entity.id)
        schema: CompleteSchema = waiting[0] if waiting else entity.schema
        field = schema.slots[line.slot]
        fields = self._before[entity.id]
        if field.name not in fields:
            old = None if line.slot == CHILDREN else line.value
            if line.slot == PARENT:
                old = self._parents.get(entity.id, old)
            fields[field.name] = field, old, line.time, line.revision
            self.touched.append((CHANGED, entity, field.name))

    def event(self, touched: tuple[int, Entity, str], revision: int) -> Event | None:
        """What was touched, as it is now and was before; None if that is nothing to anybody."""
        kind, entity, name = touched
        id = entity.id
        if kind == CHANGED:
            return None if id in self._removed else self._change(entity, name, revision)
        if kind == CREATED:
            return None if id in self._removed else Event(CREATED, revision, id, entity.schema)
        return (
            None if id in self._created else Event(DELETED, revision, id, entity.schema, value=self._as_before(entity))
        )

    def _change(self, entity: Entity, name: str, revision: int) -> Event | None:
        then, old, time, written = self._before[entity.id][name]
        field = entity.schema.by_name.get(name)
        if field is None or field.kind is not then.kind:
            return None
        event = _changed(entity, field, revision)
        if entity.id in self._created:
            event.fresh = True
        else:
            event.old_value, event.old_time, event.old_written = old, time, written
        return event

    def _as_before(self, entity: Entity) -> Entity:
        """A deleted entity as it was before the revision, which may have written to it first."""
        fields = self._before.get(entity.id)
        if fields is None:
            return entity
        twin = entity.twin()
        for name, (then, old, time, written) in fields.items():
            field = twin.schema.by_name.get(name)
            if field is not None and field.kind is then.kind:
                twin.rewind(field.slot, old, time, written)
        return twin
