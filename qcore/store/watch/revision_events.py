"""From the journal of a command to the events of its revision: at most one for each entity and field.

What happened to a field several times is one change from what it was before the revision to what it is after. What
came and went within the revision never was. Nothing here says who wants to know.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from qcore.model.schema import CompleteField, CompleteSchema
from qcore.store.state.entity import CHILDREN, PARENT, Entity
from qcore.store.state.journal import Added, Change, Linked, Put, Relaid, Removed
from qcore.store.watch.events import CHANGED, CREATED, DELETED, Event

__all__ = ["events_of"]

_Before = tuple[CompleteField, Any, int, int]
"""A field before the revision: what it was, its value, time and revision."""


def events_of(changes: list[Change], revision: int, retyped: bool = False) -> list[Event]:
    """The events of one command, in the order in which each entity and field was first touched.

    A deleted entity has no other event; a field that changes of schemas (`retyped`) took away has none.
    """
    if retyped:
        return _Reader(changes).events(revision)
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
            return _Reader(changes).events(revision)
    return list(events.values())


def _changed(entity: Entity, field: CompleteField, revision: int) -> Event:
    slot = field.slot
    value = None if slot == CHILDREN else entity.values[slot]
    stamps = entity.stamps
    return Event(CHANGED, revision, entity.id, entity.schema, field, value, stamps[2 * slot], stamps[2 * slot + 1])


class _Reader:
    """Reads a journal once, noting what was there before."""

    def __init__(self, changes: list[Change]) -> None:
        self._touched: list[tuple[int, Entity, str]] = []
        self._created: set[int] = set()
        self._removed: set[int] = set()
        self._parents: dict[int, Any] = {}
        """What Parent held before the first move."""
        self._before: defaultdict[int, dict[str, _Before]] = defaultdict(dict)
        self._schemas = _old_schemas(changes)
        for line in changes:
            self._note(line)

    def _note(self, line: Change) -> None:
        entity = line.entity
        if type(line) is Put:
            self._note_put(entity, line)
        elif type(line) is Removed:
            self._removed.add(entity.id)
            self._touched.append((DELETED, entity, ""))
        elif type(line) is Linked:
            self._parents.setdefault(entity.id, line.parent)
        elif type(line) is Added:
            self._created.add(entity.id)
            self._touched.append((CREATED, entity, ""))
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
            self._touched.append((CHANGED, entity, field.name))

    def events(self, revision: int) -> list[Event]:
        """What was touched, as it is now and was before."""
        created, removed = self._created, self._removed
        events = []
        for kind, entity, name in self._touched:
            id = entity.id
            if kind == CHANGED:
                event = None if id in removed else self._change(entity, name, revision)
                if event is not None:
                    events.append(event)
            elif kind == CREATED and id not in removed:
                events.append(Event(CREATED, revision, id, entity.schema))
            elif kind == DELETED and id not in created:
                events.append(Event(DELETED, revision, id, entity.schema, value=self._as_before(entity)))
        return events

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


def _old_schemas(changes: list[Change]) -> dict[int, deque[CompleteSchema]]:
    """For each entity that got another schema, those it had before, in order."""
    schemas: dict[int, deque[CompleteSchema]] = defaultdict(deque)
    for line in changes:
        if type(line) is Relaid:
            schemas[line.entity.id].append(line.schema)
    return schemas
