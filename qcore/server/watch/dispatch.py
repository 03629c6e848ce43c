"""From the history to the feeds of live listeners: each revision whole, in order, in slices behind apply.

Each event is judged once for an interest and written once for all. Nothing but references is kept while a revision is
judged, and one message at a time is written, so that what is kept does not grow with the number of listeners. A client
whose feed has grown over its bound loses its listeners; nobody waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from qcore.model.errors import BadFilter
from qcore.model.requests.events import LostReason
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import Schedule, Work
from qcore.server.watch import event_text
from qcore.server.watch.listeners import Listener, Listeners, WatchStream
from qcore.store.state.state import State
from qcore.store.watch.events import RETYPED, Event, PathEvent
from qcore.store.watch.history import History
from qcore.store.watch.interest import Interest
from qcore.store.watch.past import Past
from qcore.store.watch.retyped import Retyped
from qcore.store.watch.tracker import Revision

__all__ = ["Dispatcher"]

T = TypeVar("T")

log = logs.get("qcore.watch")


class _Round:
    """One revision on its way. `wanted`: what each interest is told next; `held`: what it may be told last."""

    def __init__(self) -> None:
        self.wanted: dict[Interest, list[Event | PathEvent]] = {}
        self.held: dict[Interest, Event | PathEvent] = {}
        self.count = 0
        """Events in `wanted`."""

    def add(self, interest: Interest, event: Event | PathEvent) -> None:
        self.wanted.setdefault(interest, []).append(event)
        self.count += 1

    def drop(self, interest: Interest) -> None:
        self.count -= len(self.wanted.pop(interest, ()))
        self.held.pop(interest, None)

    def next(self) -> Iterable[tuple[Interest, list[Event | PathEvent]]]:
        """What can be told now: all but the last event of each interest."""
        wanted, self.wanted, self.count = self.wanted, {}, 0
        for interest, events in wanted.items():
            if interest in self.held:
                events.insert(0, self.held[interest])
            self.held[interest] = events.pop()
            if events:
                yield interest, events


class _Texts:
    """The part of the messages of a revision that all share; forgotten where it takes more than `most` bytes."""

    def __init__(self, view: Past, most: int) -> None:
        self._view = view
        self._most = most
        self._size = 0
        self._kept: dict[int, tuple[Event | PathEvent, bytes]] = {}

    def of(self, event: Event | PathEvent) -> bytes:
        kept = self._kept.get(id(event))
        if kept is not None:
            return kept[1]
        text = event_text.common(event, self._view)
        self._size += len(text)
        if self._size > self._most:
            self._kept.clear()
            self._size = len(text)
        self._kept[id(event)] = event, text
        return text


class Dispatcher:
    """Serves live listeners; `position` is the revision up to which all of them were served.

    `most` is how many bytes a feed may hold.
    """

    def __init__(self, state: State, history: History, listeners: Listeners, schedule: Schedule, most: int) -> None:
        self.position = history.head
        self._history = history
        self._listeners = listeners
        self._schedule = schedule
        self._most = most
        self._view = Past(state, history, history.head)
        self._work: Work[None] | None = None
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
                self._schedule(self._step)
            else:
                self._moved(self._history.head)

    def call_when_moved(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when the position has moved."""
        self._waiting.append(callback)

    def reset(self) -> None:
        """Begin anew at the head of the history: another state has been adopted, and nobody is live."""
        if self._work is not None:
            self._work.close()
            self._work = None
        self._retyped = self._history.retyped
        self._view.revision = self._history.head
        self._moved(self._history.head)

    def _moved(self, position: int) -> None:
        self.position = position
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then()

    def _step(self) -> bool:
        if self._work is None:  # reset meanwhile
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
            return False
        except Exception as exc:
            log.error("events_failed", message="Telling of a change failed: all listeners are lost", exc_info=exc)
            self._work = self._lose_all("internal")
        return True

    def _run(self) -> Work[None]:
        history = self._history
        while not self.idle:
            self._view.revision = self.position
            yield from self._look_ahead()
            there = self.position >= history.gone
            events = history.following(self.position) if there else []
            for _ in self._serve(events) if events else ():
                yield
                yield from self._look_ahead()
                there = self._view.revision > history.gone  # it may overtake us in every pause
                if not there:
                    break
            if not there:
                yield from self._lose_all("slow")
                return
            self._moved(events[-1].revision if events else history.head)
            if self._is_time():
                yield

    def _serve(self, events: list[Event]) -> Work[None]:
        """Tell everyone of one revision."""
        number = self._view.revision = events[0].revision
        registry = self._listeners.registry
        if events[0].kind == RETYPED:
            yield from self._retype(events[0].value, number)
        if registry.looking_back:
            yield from self._history.prepare(number)
        texts, round = _Texts(self._view, self._most), _Round()
        for event in events:
            yield from self._judge(event, list(registry.wanting(event)), round, texts)
        yield from self._serve_paths(events, round, texts)
        yield from self._hand_out(round, texts)
        for interest, last in round.held.items():
            yield from self._tell(interest, last, texts, event_text.LAST)

    def _serve_paths(self, events: list[Event], round: _Round, texts: _Texts) -> Work[None]:
        registry = self._listeners.registry
        revision: Revision | None = None
        for tracker in list(registry.trackers.values()):
            touched = yield from tracker.touched(events)
            self._turns += len(events) // budgets.DISPATCH_UNIT_LOOKUPS
            if self._is_time():
                yield
            for id in touched:
                if revision is None:
                    revision = yield from Revision.of(events)
                found = tracker.refresh(self._view, id, revision)
                if found is not None:
                    yield from self._judge(found, list(registry.wanting_path(found, tracker)), round, texts)
                elif self._is_time():
                    yield

    def _is_time(self) -> bool:
        self._turns += 1
        if self._turns < budgets.DISPATCH_STEP_UNITS:
            return False
        self._turns = 0
        return True

    def _judge(self, event: Event | PathEvent, interests: list[Interest], round: _Round, texts: _Texts) -> Work[None]:
        """Note for whom of those who want it the event is."""
        for interest in interests:
            try:
                if self._passes(interest, event):
                    round.add(interest, event)
            except BadFilter:
                round.drop(interest)
                yield from self._lose_interest(interest, "filter", event.revision - 1)
            if self._is_time():
                yield
        if self._is_time():
            yield
        if round.count >= budgets.JUDGED_EVENTS:
            yield from self._hand_out(round, texts)

    def _passes(self, interest: Interest, event: Event | PathEvent) -> bool:
        """Whether the interest is told of an event.

        Raises:
            BadFilter: the filter takes too many steps, or too much time in all.
        """
        if interest.wish.filter is None:
            return interest.passes(event, self._view)
        begun = time.monotonic()
        passes = interest.passes(event, self._view)
        spent = time.monotonic() - begun
        interest.spent += spent
        self._turns += int(spent / budgets.DISPATCH_UNIT_SECONDS)
        if interest.spent > budgets.FILTER_SECONDS:
            raise BadFilter(f"the filter took more than {budgets.FILTER_SECONDS} s")
        return passes

    def _hand_out(self, round: _Round, texts: _Texts) -> Work[None]:
        for interest, events in round.next():
            for event in events:
                yield from self._tell(interest, event, texts, event_text.MORE)

    def _tell(self, interest: Interest, event: Event | PathEvent, texts: _Texts, end: bytes) -> Work[None]:
        """Tell all listeners of an interest of one event."""
        listeners = list(self._listeners.live.get(interest, {}).values())
        if not listeners:
            return
        body = texts.of(event)
        if interest.wish.context:
            body += event_text.context(interest.context(event, self._view))
            self._turns += len(interest.wish.context)
        body += end
        most, turns, is_last = self._most, 1 + len(body) // budgets.DISPATCH_UNIT_BYTES, end is event_text.LAST
        for listener in listeners:
            if listener.gone:
                continue
            outbox, message = listener.outbox, listener.head + body
            if outbox.size + len(message) > most:
                self._turns += len(listener.stream.listeners)
                self._overflow(listener.stream)
            else:
                outbox.append(listener.token, message)
                listener.told = True
                listener.within = not is_last
                if is_last:
                    listener.revision = event.revision
            self._turns += turns
            if self._turns >= budgets.DISPATCH_STEP_UNITS:
                self._turns = 0
                yield

    # -- ends ----------------------------------------------------------------------------------------------

    def _retype(self, change: Retyped, number: int) -> Work[None]:
        for interest in _taken(self._listeners.registry.interests):
            if interest.altered_by(change):
                yield from self._lose_interest(interest, "schema", number)
            if self._is_time():
                yield

    def _look_ahead(self) -> Work[None]:
        """Where schemas have changed meanwhile, whoever looks back from there no longer sees what was."""
        while self._retyped < self._history.retyped:
            seen, self._retyped = self._retyped, self._history.retyped
            for event in self._history.retypings(max(seen, self.position)):
                for interest in _taken(self._listeners.registry.interests):
                    if interest.wish.looks_back and interest.altered_by(event.value):
                        yield from self._lose_interest(interest, "schema", event.revision)
                    if self._is_time():
                        yield

    def _lose_interest(self, interest: Interest, reason: LostReason, revision: int) -> Work[None]:
        for listener in _taken(self._listeners.live.get(interest, {}).values()):
            if not listener.gone:
                self._listeners.lose(listener, reason, revision)
            if self._is_time():
                yield

    def _overflow(self, stream: WatchStream) -> None:
        """The client is behind: each of its listeners hears up to where it was told everything."""
        for listener in list(stream.listeners.values()):
            self._listeners.lose(listener, "slow", self.known(listener))

    def known(self, listener: Listener) -> int:
        """The revision up to which a listener was told everything."""
        return max(listener.revision, self.position) if listener.live else listener.revision

    def _lose_all(self, reason: LostReason) -> Work[None]:
        for live in _taken(self._listeners.live.values()):
            for listener in _taken(live.values()):
                if not listener.gone:
                    self._listeners.lose(listener, reason, self.known(listener))
                if self._is_time():
                    yield
        self._moved(self._history.head)


def _taken(things: Iterable[T]) -> Iterator[T]:
    """All that there are now, each kept no longer than its turn: freeing 20,000 filters at once takes 10 ms."""
    left = list(things)
    while left:
        yield left.pop()
