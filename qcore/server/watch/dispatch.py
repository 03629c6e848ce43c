"""Tells live listeners of each revision: whole, in order, in slices that follow apply.

All live listeners have this one reader of the history in common. It judges each event once for all who want the same,
and writes what they share once. While it judges a revision it keeps references only, and it writes one message at a
time, so that the memory it needs does not grow with the number of listeners. It waits for nobody: a client whose outbox
grows over its limit loses its listeners.
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
from qcore.server.watch.revision_messages import AnyEvent, JudgedEvents, SharedTexts
from qcore.store.state.state import State
from qcore.store.watch.events import RETYPED, Event
from qcore.store.watch.history import History
from qcore.store.watch.interest import Interest
from qcore.store.watch.past import Past
from qcore.store.watch.retyped import Retyped
from qcore.store.watch.tracker import Revision

__all__ = ["Dispatcher"]

T = TypeVar("T")

log = logs.get("qcore.watch")


class Dispatcher:
    """Tells live listeners what happens; `position` is the revision up to which all of them were told everything.

    `max_outbox` is how many bytes a client's outbox may hold.
    """

    def __init__(
        self, state: State, history: History, listeners: Listeners, schedule: Schedule, max_outbox: int
    ) -> None:
        self.position = history.head
        self._state = state
        self._history = history
        self._listeners = listeners
        self._schedule = schedule
        self._max_outbox = max_outbox
        self._view = Past(state, history, history.head)
        self._work: Work[None] | None = None
        self._units = 0
        """Units of work since the last pause, see `budgets.DISPATCH_STEP_UNITS`."""
        self._retyped = 0
        """The newest change of schemas that was looked at."""
        self._waiting: list[Callable[[], None]] = []

    @property
    def idle(self) -> bool:
        """Whether live listeners were told everything that is applied."""
        return self.position == self._history.head

    def kick(self) -> None:
        """Tell soon what may have been applied."""
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
            for callback in waiting:
                callback()

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
        """Tell one revision after the other; lose all listeners where the history has dropped the next one."""
        history = self._history
        while not self.idle:
            self._view.revision = self.position
            yield from self._look_ahead()
            kept = self.position >= history.gone
            events = history.following(self.position) if kept else []
            for _ in self._serve(events) if events else ():
                yield
                yield from self._look_ahead()
                kept = self._view.revision > history.gone  # it may have dropped this revision in the pause
                if not kept:
                    break
            if not kept:
                yield from self._lose_all("slow")
                return
            self._moved(events[-1].revision if events else history.head)
            if self._pause_is_due():
                yield

    def _serve(self, events: list[Event]) -> Work[None]:
        """Tell everyone of one revision."""
        number = self._view.revision = events[0].revision
        registry = self._listeners.registry
        if events[0].kind == RETYPED:
            yield from self._retype(events[0].value, number)
        if registry.looking_back:
            yield from self._history.prepare(number)
        texts, judged = SharedTexts(self._view, self._max_outbox), JudgedEvents()
        for event in events:
            yield from self._judge(event, list(registry.wanting(event)), judged, texts)
        yield from self._serve_paths(events, judged, texts)
        yield from self._hand_out(judged, texts)
        end = event_text.last(self._state.epochs.at(number))
        for interest, last in judged.last.items():
            yield from self._tell(interest, last, texts, end)

    def _serve_paths(self, events: list[Event], judged: JudgedEvents, texts: SharedTexts) -> Work[None]:
        registry = self._listeners.registry
        revision: Revision | None = None
        for tracker in list(registry.trackers.values()):
            touched = yield from tracker.touched(events)
            self._units += len(events) // budgets.DISPATCH_UNIT_LOOKUPS
            if self._pause_is_due():
                yield
            for id in touched:
                if revision is None:
                    revision = yield from Revision.of(events)
                found = tracker.refresh(self._view, id, revision)
                if found is not None:
                    yield from self._judge(found, list(registry.wanting_path(found, tracker)), judged, texts)
                elif self._pause_is_due():
                    yield

    def _pause_is_due(self) -> bool:
        self._units += 1
        if self._units < budgets.DISPATCH_STEP_UNITS:
            return False
        self._units = 0
        return True

    def _judge(
        self, event: AnyEvent, interests: list[Interest], judged: JudgedEvents, texts: SharedTexts
    ) -> Work[None]:
        """Note the event for those of `interests` whose filter and `change` it passes."""
        for interest in interests:
            try:
                if self._passes(interest, event):
                    judged.note(interest, event)
            except BadFilter:
                judged.forget(interest)
                yield from self._lose_interest(interest, "filter", event.revision - 1)
            if self._pause_is_due():
                yield
        if self._pause_is_due():
            yield
        if judged.count >= budgets.JUDGED_EVENTS:
            yield from self._hand_out(judged, texts)

    def _passes(self, interest: Interest, event: AnyEvent) -> bool:
        """Whether an event passes what the interest asks of it.

        Raises:
            BadFilter: the filter takes too many steps, or too much time in all.
        """
        if interest.wish.filter is None:
            return interest.passes(event, self._view)
        begun = time.monotonic()
        passes = interest.passes(event, self._view)
        spent = time.monotonic() - begun
        interest.spent += spent
        self._units += int(spent / budgets.DISPATCH_UNIT_SECONDS)
        if interest.spent > budgets.FILTER_SECONDS:
            raise BadFilter(f"the filter took more than {budgets.FILTER_SECONDS} s")
        return passes

    def _hand_out(self, judged: JudgedEvents, texts: SharedTexts) -> Work[None]:
        for interest, events in judged.tellable():
            for event in events:
                yield from self._tell(interest, event, texts, event_text.MORE)

    def _tell(self, interest: Interest, event: AnyEvent, texts: SharedTexts, end: bytes) -> Work[None]:
        """Tell all listeners of an interest of one event."""
        listeners = list(self._listeners.live.get(interest, {}).values())
        if not listeners:
            return
        body = texts.of(event)
        if interest.wish.context:
            body += event_text.context(interest.context(event, self._view))
            self._units += len(interest.wish.context)
        body += end
        units, is_last = 1 + len(body) // budgets.DISPATCH_UNIT_BYTES, end is not event_text.MORE
        max_outbox, step_units = self._max_outbox, budgets.DISPATCH_STEP_UNITS  # this is the innermost loop of events
        for listener in listeners:
            if listener.gone:
                continue
            outbox, message = listener.outbox, listener.head + body
            if outbox.size + len(message) > max_outbox:
                self._units += len(listener.stream.listeners)
                self._overflow(listener.stream)
            else:
                outbox.append(listener.token, message)
                listener.told = True
                listener.mid_revision = not is_last
                if is_last:
                    listener.revision = event.revision
            self._units += units
            if self._units >= step_units:
                self._units = 0
                yield

    # -- listeners that are lost ---------------------------------------------------------------------------

    def _retype(self, change: Retyped, number: int) -> Work[None]:
        """Lose those whose types or paths a change of schemas alters."""
        for interest in _released(self._listeners.registry.interests):
            if interest.altered_by(change):
                yield from self._lose_interest(interest, "schema", number)
            if self._pause_is_due():
                yield

    def _look_ahead(self) -> Work[None]:
        """Lose those who look back over a change of schemas that was applied meanwhile: they no longer see what was."""
        while self._retyped < self._history.retyped:
            seen, self._retyped = self._retyped, self._history.retyped
            for event in self._history.retypings(max(seen, self.position)):
                for interest in _released(self._listeners.registry.interests):
                    if interest.wish.looks_back and interest.altered_by(event.value):
                        yield from self._lose_interest(interest, "schema", event.revision)
                    if self._pause_is_due():
                        yield

    def _lose_interest(self, interest: Interest, reason: LostReason, revision: int) -> Work[None]:
        for listener in _released(self._listeners.live.get(interest, {}).values()):
            if not listener.gone:
                self._listeners.lose(listener, reason, revision)
            if self._pause_is_due():
                yield

    def _overflow(self, stream: WatchStream) -> None:
        """Lose the listeners of a client that does not read; each is told up to where it knows everything."""
        for listener in list(stream.listeners.values()):
            self._listeners.lose(listener, "slow", self.known(listener))

    def known(self, listener: Listener) -> int:
        """The revision up to which a listener was told everything."""
        return max(listener.revision, self.position) if listener.live else listener.revision

    def _lose_all(self, reason: LostReason) -> Work[None]:
        for live in _released(self._listeners.live.values()):
            for listener in _released(live.values()):
                if not listener.gone:
                    self._listeners.lose(listener, reason, self.known(listener))
                if self._pause_is_due():
                    yield
        self._moved(self._history.head)


def _released(things: Iterable[T]) -> Iterator[T]:
    """All there are now, each referred to until the next one: to free 20,000 filters at once takes 10 ms."""
    left = list(things)
    while left:
        yield left.pop()
