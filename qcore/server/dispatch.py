"""From the history to the feeds of live listeners: each revision whole, in order, in slices behind apply.

Each event is judged once for an interest and written once for all. A client whose feed has grown over its bound loses
its listeners; nobody waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from qcore.model.errors import BadFilter
from qcore.model.events import LostReason
from qcore.server import event_text, logs
from qcore.server.feeds import Feed
from qcore.server.listeners import Later, Listener, Listeners
from qcore.store.state import State
from qcore.store.watch.events import RETYPED, Event, PathEvent
from qcore.store.watch.history import History
from qcore.store.watch.interest import Interest
from qcore.store.watch.past import Past
from qcore.store.watch.retyped import Retyped
from qcore.store.watch.tracker import Revision

__all__ = ["FILTER_TIME", "Dispatcher"]

FILTER_TIME = 0.5
"""Seconds a filter may take between two ticks of the watching."""

_SLICE = 50
"""Judgements and messages between two pauses; a filter counts as one more for each `_TURN` seconds it takes."""

_TURN = 20e-6

log = logs.get("qcore.watch")


class _Chosen:
    """What one interest is told of a revision: shared and own parts of its messages. `over`: more than a feed takes."""

    __slots__ = ("own", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[tuple[bytes, bytes]] = []
        self.size = 0
        self.own = 0

    def add(self, text: bytes, context: bytes) -> None:
        self.parts.append((text, context))
        self.size += len(text) + len(context)
        self.own += len(context) + 16

    def bodies(self) -> list[bytes]:
        """The messages without their heads."""
        *more, (text, context) = self.parts
        return [b"%b%b}}" % part for part in more] + [text + context + event_text.LAST]


class Dispatcher:
    """Serves live listeners; `position` is the revision up to which all of them were served.

    `most` is how many bytes a feed may hold.
    """

    def __init__(self, state: State, history: History, listeners: Listeners, later: Later, most: int) -> None:
        self.position = history.head
        self._history = history
        self._listeners = listeners
        self._later = later
        self._most = most
        self._view = Past(state, history, history.head)
        self._work: Generator[None, None, None] | None = None
        self._turns = 0
        self._retyped = 0
        """The last change of schemas that was looked at."""
        self._waiting: list[Callable[[], None]] = []

    @property
    def idle(self) -> bool:
        """Whether live listeners were told everything."""
        return self.position == self._history.head

    def kick(self) -> None:
        """Something may have been applied: serve it soon."""
        if self._work is None and not self.idle:
            if self._listeners.live:
                self._work = self._run()
                self._later(self._step)
            else:
                self._moved(self._history.head)

    def wait(self, then: Callable[[], None]) -> None:
        """Call `then` when the position has moved."""
        self._waiting.append(then)

    def _moved(self, position: int) -> None:
        self.position = position
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then()

    def _step(self) -> bool:
        assert self._work is not None
        try:
            if self._history.retyped > self._retyped:
                self._retype_ahead()
            next(self._work)
        except StopIteration:
            self._work = None
            return False
        except Exception as exc:
            log.error("events_failed", message="Telling of a change failed: all listeners are lost", exc_info=exc)
            self._work = None
            self._lose_all("internal")
            return False
        return True

    def _run(self) -> Generator[None, None, None]:
        history = self._history
        while not self.idle:
            if self.position < history.gone:
                self._lose_all("slow")
                return
            events = history.following(self.position)
            if events:
                yield from self._serve(events)
            self._moved(events[-1].revision if events else history.head)

    def _serve(self, events: list[Event]) -> Generator[None, None, None]:
        """Tell everyone of one revision."""
        number = self._view.revision = events[0].revision
        if events[0].kind == RETYPED:
            self._retype(events[0].value, number)
        if self._listeners.registry.looking_back:
            for _ in self._history.prepare(number):
                yield
        chosen: dict[Interest, _Chosen] = {}
        for event in events:
            text = b""
            for interest in list(self._listeners.registry.wanting(event)):
                text = self._judge(interest, event, text, chosen)
                if self._is_time():
                    yield
        yield from self._serve_paths(events, chosen)
        for interest, found in chosen.items():
            yield from self._deliver(interest, found, number)

    def _serve_paths(self, events: list[Event], chosen: dict[Interest, _Chosen]) -> Generator[None, None, None]:
        registry = self._listeners.registry
        revision: Revision | None = None
        for tracker in list(registry.trackers.values()):
            touched: dict[int, None] = {}
            for start in range(0, len(events), _SLICE):
                touched.update(dict.fromkeys(tracker.touched(events[start : start + _SLICE])))
                if self._is_time():
                    yield
            for id in touched:
                revision = revision or Revision(events)
                event = tracker.refresh(self._view, id, revision)
                text = b""
                for interest in list(registry.wanting_path(event, tracker)) if event is not None else ():
                    assert event is not None
                    text = self._judge(interest, event, text, chosen)
                if self._is_time():
                    yield

    def _is_time(self) -> bool:
        self._turns += 1
        if self._turns < _SLICE:
            return False
        self._turns = 0
        return True

    def _judge(
        self, interest: Interest, event: Event | PathEvent, text: bytes, chosen: dict[Interest, _Chosen]
    ) -> bytes:
        """Note the event if the interest is told of it; returns its text, written by now if anybody is."""
        if not self._passes(interest, event):
            return text
        text = text or event_text.common(event, self._view)
        found = chosen.get(interest)
        if found is None:
            found = chosen[interest] = _Chosen()
        if found.size <= self._most:
            values = interest.context(event, self._view) if interest.wish.context else {}
            self._turns += len(values)
            found.add(text, event_text.context(values))
        return text

    def _passes(self, interest: Interest, event: Event | PathEvent) -> bool:
        if interest.wish.filter is None:
            return interest.passes(event, self._view)
        begun = time.monotonic()
        try:
            passes = interest.passes(event, self._view)
        except BadFilter:
            self._lose_interest(interest, "filter", event.revision - 1)
            return False
        spent = time.monotonic() - begun
        interest.spent += spent
        self._turns += int(spent / _TURN)
        if interest.spent > FILTER_TIME:
            self._lose_interest(interest, "filter", event.revision - 1)
            return False
        return passes

    def _deliver(self, interest: Interest, found: _Chosen, number: int) -> Generator[None, None, None]:
        bodies = found.bodies()
        for listener in list(self._listeners.live.get(interest, {}).values()):
            if listener.gone:
                continue
            if listener.feed.size + found.size > self._most:
                self._overflow(listener.feed)
                continue
            listener.told = True
            for body in bodies:
                listener.feed.put(listener.token, listener.head + body)
                if self._is_time():
                    yield
                    if listener.token not in self._listeners.all:
                        break
            listener.revision = number

    # -- ends ----------------------------------------------------------------------------------------------

    def _retype(self, change: Retyped, number: int) -> None:
        for interest in list(self._listeners.registry.interests):
            if interest.altered_by(change):
                self._lose_interest(interest, "schema", number)

    def _retype_ahead(self) -> None:
        """Schemas have changed: whoever looks back from there no longer sees what was."""
        self._retyped = self._history.retyped
        for event in self._history.retypings(self.position):
            for interest in list(self._listeners.registry.interests):
                if interest.wish.looks_back and interest.altered_by(event.value):
                    self._lose_interest(interest, "schema", event.revision)

    def _lose_interest(self, interest: Interest, reason: LostReason, revision: int) -> None:
        for listener in list(self._listeners.live.get(interest, {}).values()):
            self._listeners.lose(listener, reason, revision)

    def _overflow(self, feed: Feed) -> None:
        """The client is behind: each of its listeners hears up to where it was told everything."""
        for listener in list(feed.listeners.values()):
            self._listeners.lose(listener, "slow", self.known(listener))

    def known(self, listener: Listener) -> int:
        """The revision up to which a listener was told everything."""
        return max(listener.revision, self.position) if listener.live else listener.revision

    def _lose_all(self, reason: LostReason) -> None:
        for live in list(self._listeners.live.values()):
            for listener in list(live.values()):
                self._listeners.lose(listener, reason, self.known(listener))
        self._moved(self._history.head)
