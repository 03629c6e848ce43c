"""The state as it was at a revision the history still reaches: what is now, taken back by the events since.

Nothing is kept for it but the history, so a view costs writers nothing and may be set to any revision. Two things
read as they do now: Children, and a field that a schema has taken away or changed since.
"""

from __future__ import annotations

from bisect import bisect_right

from qcore.model.values import Kind
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from qcore.store.state.view import Entities
from qcore.store.watch.events import Event, by_revision
from qcore.store.watch.history import History

__all__ = ["Past"]


class _Entities:
    """Entities by id as of the view's revision; what it gives must not outlive a pause."""

    def __init__(self, past: Past, state: State, history: History) -> None:
        self._past = past
        self._state = state
        self._history = history

    def __contains__(self, id: object) -> bool:
        revision, history = self._past.revision, self._history
        if history.births.get(id, 0) > revision:  # type: ignore[call-overload]
            return False
        death = history.deaths.get(id)  # type: ignore[call-overload]
        return (death is not None and death.revision > revision) or id in self._state.entities

    def get(self, id: int, /) -> Entity | None:
        revision, history = self._past.revision, self._history
        if history.births.get(id, 0) > revision:
            return None
        death = history.deaths.get(id)
        entity = self._state.entities.get(id) if death is None or death.revision <= revision else death.value
        if entity is None:
            return None
        since = self._since(id, revision)
        return _rewound(entity, since) if since else entity

    def _since(self, id: int, revision: int) -> dict[str, Event]:
        """The first change after a revision of each field of the entity."""
        found: dict[str, Event] = {}
        for chunk in self._history.after(revision):
            chunk.index_more(len(chunk.events))
            for name, events in chunk.index.get(id, {}).items():
                if name not in found:
                    place = bisect_right(events, revision, key=by_revision)
                    if place < len(events):
                        found[name] = events[place]
        return found


class Past:
    """A view at `revision`, from the history's oldest up to the head."""

    def __init__(self, state: State, history: History, revision: int) -> None:
        self.revision = revision
        self._state = state
        self._history = history
        self._entities = _Entities(self, state, history)

    @property
    def entities(self) -> Entities:
        """Entities by id, at the head those themselves; to be asked for anew behind each pause."""
        return self._state.entities if self.revision >= self._history.head else self._entities


def _rewound(entity: Entity, since: dict[str, Event]) -> Entity:
    twin = entity.twin()
    for name, event in since.items():
        field = twin.schema.by_name.get(name)
        if field is None or event.field is None or event.field.kind is not field.kind:
            continue
        value = event.old_value
        if field.kind is Kind.Choice and value is not None and value not in field.labels:
            value = None
        twin.rewind(field.slot, value, event.old_time, event.old_written)
    return twin
