"""What is told of one revision: which event each interest is told next, and the part of a message that all share."""

from __future__ import annotations

from collections.abc import Iterable

from qcore.server.watch import event_text
from qcore.store.watch.events import Event, PathEvent
from qcore.store.watch.interest import Interest
from qcore.store.watch.past import Past

__all__ = ["AnyEvent", "JudgedEvents", "SharedTexts"]

AnyEvent = Event | PathEvent


class JudgedEvents:
    """The events of one revision that were found to be for an interest, until they are told.

    The newest of an interest is kept back as long as the revision is judged: if it is the last, its message says so.
    """

    def __init__(self) -> None:
        self.last: dict[Interest, AnyEvent] = {}
        """Interest -> the event kept back."""
        self.count = 0
        """Events noted since `tellable` was asked."""
        self._noted: dict[Interest, list[AnyEvent]] = {}

    def note(self, interest: Interest, event: AnyEvent) -> None:
        """`event` is for `interest`."""
        self._noted.setdefault(interest, []).append(event)
        self.count += 1

    def forget(self, interest: Interest) -> None:
        """Tell an interest nothing of this revision any more."""
        self.count -= len(self._noted.pop(interest, ()))
        self.last.pop(interest, None)

    def tellable(self) -> Iterable[tuple[Interest, list[AnyEvent]]]:
        """Take out what can be told now: for each interest all that was noted, but for the event kept back."""
        noted, self._noted, self.count = self._noted, {}, 0
        for interest, events in noted.items():
            if interest in self.last:
                events.insert(0, self.last[interest])
            self.last[interest] = events.pop()
            if events:
                yield interest, events


class SharedTexts:
    """What all listeners of an event share, written once, as long as all of it takes at most `max_bytes`."""

    def __init__(self, view: Past, max_bytes: int) -> None:
        self._view = view
        self._max_bytes = max_bytes
        self._size = 0
        self._kept: dict[int, tuple[AnyEvent, bytes]] = {}

    def of(self, event: AnyEvent) -> bytes:
        """The members of `event`, as `event_text.common` writes them."""
        kept = self._kept.get(id(event))
        if kept is not None:
            return kept[1]
        text = event_text.common(event, self._view)
        self._size += len(text)
        if self._size > self._max_bytes:
            self._kept.clear()
            self._size = len(text)
        self._kept[id(event)] = event, text
        return text
