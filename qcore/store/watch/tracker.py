"""Where an indirect field leads from each entity listened to, and from whom a given entity is passed.

A tracker stands at one revision and is moved on event by event, so that what it says was true at that revision.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from itertools import islice

from qcore.model.errors import RequestError
from qcore.model.ids import is_digits
from qcore.model.requests.results import FieldError
from qcore.model.values import Kind
from qcore.store.resolve import Place, walk
from qcore.store.state.entity import Entity
from qcore.store.state.view import Holder
from qcore.store.watch.events import CHANGED, CREATED, DELETED, Event, PathEvent, Reading, reading_at
from qcore.store.watch.interest import field_names

__all__ = ["Revision", "Tracker"]

_NOWHERE = 0
"""Stands at the end of a route that fails."""

_SLICE = 500
"""Events between two pauses."""

_RUN = 10_000
"""Ids that are sorted at a time."""


class Revision:
    """The events of one revision, found by entity and field."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._found: dict[tuple[int, str], Event] = {}

    @classmethod
    def of(cls, events: list[Event]) -> Generator[None, None, Revision]:
        """All events of a revision, pausing."""
        revision = cls(events[0].revision)
        for start in range(0, len(events), _SLICE):
            if start:
                yield
            revision._found.update(((event.id, event.name), event) for event in events[start : start + _SLICE])
        return revision

    def change(self, id: int, field: str) -> Event | None:
        """What happened to a field of an entity."""
        return self._found.get((id, field))

    def deletion(self, id: int) -> Event | None:
        event = self._found.get((id, ""))
        return event if event is not None and event.kind == DELETED else None


class Tracker:
    """The routes of `path` from the entities of a type with its descendants, or from single ones (no type).

    A route is the ids passed, the first one being where it begins and the last one where the end stands.
    """

    def __init__(self, path: str, type: str | None) -> None:
        self.path = path
        self.type = type
        self.names = field_names(path)
        self.size = 0
        """Ids in all routes."""
        end = path.rpartition("->")[2]
        self._index = int(end) if is_digits(end) else None
        self._routes: dict[int, tuple[int, ...]] = {}
        self.single: set[int] = set()
        """Without a type: the entities followed, there or not."""
        self._passing: dict[int, set[int]] = {}
        """Entity -> where routes that pass it begin, its own left out."""

    def __contains__(self, id: int) -> bool:
        return id in self._routes

    def add(self, view: Holder, id: int) -> None:
        """Follow an entity from now on, if it is there."""
        if self.type is None:
            self.single.add(id)
        entity = view.entities.get(id)
        if entity is not None:
            self._lay(id, self._follow(view, entity)[0])

    def drop(self, id: int) -> None:
        """Forget the route of an entity, for now or for good."""
        route = self._routes.pop(id, ())
        self.size -= len(route)
        for passed in route[1:]:
            starts = self._passing.get(passed)
            if starts is not None:
                starts.discard(id)
                if not starts:
                    del self._passing[passed]

    def adopt(self, other: Tracker) -> None:
        """Follow what another tracker of the same path, at the same revision, follows for single entities."""
        self.single |= other.single
        for id, route in other._routes.items() if self.type is None else ():
            if id not in self._routes:
                self._lay(id, route)

    def shrink(self, most: int) -> bool:
        """Drop so many entities, as freeing all at once may take long; whether there are more."""
        for id in list(islice(self._routes, most)):
            self.drop(id)
        return bool(self._routes)

    def touched(self, events: Sequence[Event]) -> Generator[None, None, Iterator[int]]:
        """The entities that events may concern, ascending, pausing; each has to be refreshed."""
        found: set[int] = set()
        for place, event in enumerate(events, 1):
            if place % _SLICE == 0:
                yield
            if event.kind == CHANGED and event.name not in self.names:
                continue
            if event.id in self._routes or (event.kind == CREATED and self._adopts(event)):
                found.add(event.id)
            starts = self._passing.get(event.id)
            if starts:
                found |= starts
                if len(starts) > _SLICE:
                    yield
        return (yield from _ascending(found))

    def refresh(self, view: Holder, id: int, revision: Revision) -> PathEvent | None:
        """Follow an entity's path anew; what there is to tell. `view` is the state right behind the revision."""
        before = self._routes.get(id, ())
        entity = view.entities.get(id)
        if entity is None or (self.type is None and id not in self.single):
            self.drop(id)
            return None
        route, place, error = self._follow(view, entity)
        if route != before:
            self.drop(id)
            self._lay(id, route)
        written = place is not None and revision.change(place.entity.id, place.field.name) is not None
        elsewhere = route[-1] != before[-1] if before else place is not None
        if not (written or elsewhere):
            return None
        current = None if place is None else reading_at(place)
        previous = self._reading_before(view, before[-1], revision) if before else None
        return PathEvent(revision.number, id, entity.schema, self.path, current, previous, error)

    def _adopts(self, event: Event) -> bool:
        if self.type is None:
            return event.id in self.single
        return event.schema is not None and self.type in event.schema.ancestors

    def _lay(self, id: int, route: tuple[int, ...]) -> None:
        self._routes[id] = route
        self.size += len(route)
        for passed in route[1:]:
            if passed not in (id, _NOWHERE):
                self._passing.setdefault(passed, set()).add(id)

    def _follow(self, view: Holder, entity: Entity) -> tuple[tuple[int, ...], Place | None, FieldError | None]:
        route = [entity.id]
        try:
            place = walk(view, entity, self.path, route)
        except RequestError as exc:
            return (*route, _NOWHERE), None, FieldError(exc.kind, exc.message)
        return tuple(route), place, None

    def _reading_before(self, view: Holder, owner: int, revision: Revision) -> Reading | None:
        """What stood at the end of a route before the revision."""
        name = self.names[-1]
        change, deletion = revision.change(owner, name), revision.deletion(owner)
        if change is not None:
            found = change.previous
        else:
            entity: Entity | None = deletion.value if deletion is not None else view.entities.get(owner)
            field = None if entity is None else entity.schema.by_name.get(name)
            if entity is None or field is None:
                return None
            found = reading_at(Place(entity, field))
        if self._index is None or found is None:
            return found
        items = found.value
        if found.kind is not Kind.EntityList or items is None or self._index >= len(items):
            return None
        return Reading(Kind.EntityReference, items[self._index], found.time, found.revision)


def _ascending(ids: set[int]) -> Generator[None, None, Iterator[int]]:
    """The ids in order: found out in pieces, between which there are pauses."""
    left, runs = iter(ids), []
    while run := sorted(islice(left, _RUN)):
        runs.append(run)
        if len(run) == _RUN:
            yield
    return heapq.merge(*runs)
