"""The events of several listeners of one connection as one stream."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qcore.client.listening import Events
from qcore.client.results import Event
from qcore.model.wire import encode_json

__all__ = ["MergedEvents"]


class MergedEvents:
    """What several listeners tell, in the order of revisions, and once where they tell the same; they have begun.

    Of those that are up to date a server tells all of one revision before the next, so that of what has come the lowest
    revision is the next one. While one catches up, the others wait for it.
    """

    def __init__(self, listeners: Iterable[Events]) -> None:
        self._listeners = list(listeners)
        self._revision = 0
        self._given: dict[bytes, Events] = {}
        """What was given of `_revision`, in JSON, and whose it was."""

    def pop(self) -> Event | None:
        """The next event that has come, None if there is none."""
        while (events := self._first()) is not None:
            event = events.take()
            if event is not None and self._is_new(event, events):
                return event
        return None

    async def next(self) -> Event | None:
        """The next event; None once all listeners were closed.

        Raises:
            RequestError: the server ended one of them, and why.
        """
        while True:
            event = self.pop()
            if event is not None:
                return event
            waiting = [events for events in self._listeners if not events.closed]
            if not waiting:
                return None
            await next((events for events in waiting if events.ended), waiting[0]).news()

    def _first(self) -> Events | None:
        """Whose event is next."""
        fronts = [(place, events.front) for place, events in enumerate(self._listeners)]
        ready = [(front.revision, place) for place, front in fronts if front is not None]
        if not ready:
            return None
        revision, place = min(ready)
        if any(self._may_tell_before(events, revision) for events in self._listeners):
            return None
        return self._listeners[place]

    def _may_tell_before(self, events: Events, revision: int) -> bool:
        """Whether a listener that has nothing to give now may have something of an earlier revision yet."""
        if events.front is not None or events.ended or events.closed:
            return False
        return events.catches_up and (events.revision or 0) < revision

    def _is_new(self, event: Event, events: Events) -> bool:
        """Whether no other listener has told the same."""
        if len(self._listeners) == 1:
            return True
        if event.revision != self._revision:
            self._revision, self._given = event.revision, {}
        told = encode_json(msgspec.structs.replace(event, last=False, epoch=None))
        return self._given.setdefault(told, events) is events
