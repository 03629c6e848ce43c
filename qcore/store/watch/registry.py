"""The interests of all listeners that are up to date, found by what an event is about."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.store.watch.events import CHANGED, Event, PathEvent
from qcore.store.watch.interest import Interest, Wish
from qcore.store.watch.tracker import Tracker

__all__ = ["Registry", "tracker_key"]


class _Target:
    """The interests in one entity or one type, by field; None: in every field."""

    __slots__ = ("all", "by_field")

    def __init__(self) -> None:
        self.all: dict[Interest, None] = {}
        self.by_field: dict[str | None, dict[Interest, None]] = {}


class Registry:
    """Interests by target and field, and the trackers of those in indirect fields."""

    def __init__(self) -> None:
        self.interests: dict[Interest, None] = {}
        self.looking_back = 0
        """Interests for which more of the store is read than the event."""
        self.trackers: dict[tuple[str, str | None], Tracker] = {}
        """By path and type; one for all the entities that are listened to by the same path."""
        self._entities: dict[int, _Target] = {}
        self._types: dict[str, _Target] = {}

    def add(self, interest: Interest) -> None:
        """Let an interest hear of what comes; an indirect one needs its tracker there."""
        wish = interest.wish
        target = self._entities.setdefault(wish.entity, _Target()) if wish.entity else self._type(wish.type)
        self.interests[interest] = None
        self.looking_back += wish.looks_back
        target.all[interest] = None
        target.by_field.setdefault(wish.field, {})[interest] = None

    def _type(self, name: str) -> _Target:
        return self._types.setdefault(name, _Target())

    def bring(self, wish: Wish, tracker: Tracker) -> Tracker | None:
        """Take the tracker of an indirect wish, or what is new in it; returns it if it is not needed itself."""
        present = self.trackers.setdefault(tracker_key(wish), tracker)
        if present is tracker:
            return None
        present.adopt(tracker)
        return tracker

    def remove(self, interest: Interest) -> Tracker | None:
        """Forget an interest; returns the tracker that nobody needs any more, if there is one."""
        wish = interest.wish
        del self.interests[interest]
        self.looking_back -= wish.looks_back
        target = self._entities[wish.entity] if wish.entity else self._types[wish.type]
        del target.all[interest]
        del target.by_field[wish.field][interest]
        if not target.all:
            if wish.entity:
                del self._entities[wish.entity]
            else:
                del self._types[wish.type]
        if target.by_field[wish.field]:
            return None
        del target.by_field[wish.field]
        return self._untrack(wish) if wish.indirect else None

    def _untrack(self, wish: Wish) -> Tracker | None:
        """Nobody listens to this path of this target any more."""
        key = tracker_key(wish)
        tracker = self.trackers.get(key)
        if tracker is None:
            return None
        if wish.entity:
            tracker.drop(wish.entity)
            tracker.single.discard(wish.entity)
            if tracker.single:
                return None
        return self.trackers.pop(key)

    def wanting(self, event: Event) -> Iterator[Interest]:
        """Who wants an event of an entity or a direct field."""
        for target in self._targets(event):
            if event.kind == CHANGED:
                yield from target.by_field.get(None, ())
                yield from target.by_field.get(event.name, ())
            else:
                yield from target.all

    def wanting_path(self, event: PathEvent, tracker: Tracker) -> Iterator[Interest]:
        """Who wants an event that a tracker made."""
        target = self._entities.get(event.id) if tracker.type is None else self._types.get(tracker.type)
        if target is not None:
            yield from target.by_field.get(event.name, ())

    def _targets(self, event: Event) -> Iterator[_Target]:
        target = self._entities.get(event.id)
        if target is not None:
            yield target
        if self._types and event.schema is not None:
            for name in event.schema.ancestors:
                if name in self._types:
                    yield self._types[name]


def tracker_key(wish: Wish) -> tuple[str, str | None]:
    """Path and type of the tracker that an indirect wish needs; no type: that of entities."""
    return str(wish.field), None if wish.entity else wish.type
