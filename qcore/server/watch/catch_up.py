"""A listener catches up: it is told initial values, then the past that the history has; then it becomes live.

It takes its steps in turn with the other catch-ups of its client, and waits while its client's outbox is half full. The
history drops old events meanwhile; a listener that has not been told of them then is lost, and so nothing is kept for
a client that does not read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from qcore.model.errors import BadFilter
from qcore.model.requests.events import LostReason
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import Work
from qcore.server.watch import event_text
from qcore.server.watch.dispatch import Dispatcher
from qcore.server.watch.listeners import Listener, Listeners
from qcore.server.watch.revision_messages import AnyEvent
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from qcore.store.watch.events import DELETED, RETYPED, Event, PathEvent
from qcore.store.watch.history import History
from qcore.store.watch.interest import Interest, read_path
from qcore.store.watch.past import Past
from qcore.store.watch.registry import tracker_key
from qcore.store.watch.tracker import Revision, Tracker

__all__ = ["CatchUp"]

log = logs.get("qcore.watch")


class _Lost(Exception):
    """The listener cannot go on: `reason`, and up to which `revision` it was told everything."""

    def __init__(self, reason: LostReason, revision: int) -> None:
        self.reason: LostReason = reason
        self.revision = revision


class CatchUp:
    """The catch-up of one listener; `initial` asks for the values there are before the events.

    It tells no revision before those that are live were told of it. `with_end`: a bookmark says when it has caught up.

    `max_outbox` is how many bytes an outbox may hold. A catch-up fills half of that, and goes on at a quarter.
    """

    def __init__(
        self,
        state: State,
        history: History,
        listeners: Listeners,
        dispatcher: Dispatcher,
        max_outbox: int,
        listener: Listener,
        initial: bool,
        with_end: bool = False,
    ) -> None:
        self._state = state
        self._history = history
        self._listeners = listeners
        self._dispatcher = dispatcher
        self._queue = listener.stream.catch_ups
        self._max_outbox = max_outbox
        self._listener = listener
        self._interest: Interest = listener.interest
        self._view = Past(state, history, listener.revision)
        self._tracker = Tracker(*tracker_key(listener.interest.wish)) if listener.interest.wish.indirect else None
        self._initial = initial
        self._with_end = with_end
        self._looks_back = initial or listener.interest.wish.looks_back
        self._retyped = listener.revision
        """The newest change of schemas that was looked at."""
        self._passed = 0
        """Entities and events passed over."""
        self._awaited: Literal["outbox", "dispatcher"] | None = None
        """What the work waits for in this pause: an outbox that is less than half full, a dispatcher that has moved."""
        self._work = self._run()
        self._ended = False
        listener.stop = self._end
        alone = self._tracker is not None and not listener.interest.wish.entity
        self._queue.enter(self._step, budgets.CATCH_UPS if alone else 1)

    def _step(self) -> bool:
        listener = self._listener
        if self._ended or listener.outbox.closed:
            self._end()
            return False
        if self._awaited == "outbox" and listener.outbox.size > self._max_outbox // 2:  # another may have been quicker
            listener.outbox.call_when_below(self._max_outbox // 4, self._resume)
            return False
        try:
            self._advance()
        except StopIteration:
            self._end()
            return False
        except _Lost as lost:
            self._lose(lost.reason, lost.revision)
            return False
        except BadFilter:
            self._lose("filter", listener.revision)
            return False
        except Exception as exc:
            log.error("events_failed", message="Telling of past changes failed: a listener is lost", exc_info=exc)
            self._lose("internal", listener.revision)
            return False
        if self._awaited == "dispatcher":
            self._dispatcher.call_when_moved(self._resume)
            return False
        return True

    def _advance(self) -> None:
        """Go on to the next pause; see `_check` for the errors."""
        self._awaited = None
        self._check()
        next(self._work)

    def _check(self) -> None:
        """See whether the listener can still be told the truth.

        Raises:
            _Lost: the state is another one, the history has dropped events that it was not told, or schemas are others
                than at the revision of the view, which no longer shows what was there then.
        """
        listener, history = self._listener, self._history
        if listener.outdated:
            raise _Lost("compacted", listener.revision)
        if listener.revision < history.gone:
            raise _Lost("slow", listener.revision)
        if self._looks_back and self._retyped < history.retyped:
            self._retyped = history.retyped
            for event in history.retypings(listener.revision):
                if self._interest.altered_by(event.value):
                    raise _Lost("schema", event.revision)

    def _resume(self) -> None:
        self._queue.resume(self._step)

    def _lose(self, reason: LostReason, revision: int) -> None:
        self._listeners.lose(self._listener, reason, revision)

    def _end(self) -> None:
        """End, wherever the work stands, and leave nothing behind."""
        if self._ended:
            return
        self._ended = True
        self._listener.stop = None
        self._listener.outbox.cancel_call(self._resume)
        self._work.close()
        if self._tracker is not None:
            self._listeners.free(self._tracker)
        self._queue.leave(self._step)

    def _pause_is_due(self) -> bool:
        self._passed += 1
        return self._looks_back or self._passed % budgets.CATCH_UP_STEP_ENTITIES == 0

    # -- the work ------------------------------------------------------------------------------------------

    def _run(self) -> Work[None]:
        if self._tracker is not None:
            yield from self._track(self._tracker)
        if self._initial:
            yield from self._tell_initial()
        yield from self._tell_past()
        self._listeners.join(self._listener, self._tracker)
        self._tracker = None
        if self._with_end:
            self._tell_bookmark()

    def _tell_past(self) -> Work[None]:
        """Tell what the history has, up to where those that are live are; ends when that is the head."""
        listener, history, dispatcher = self._listener, self._history, self._dispatcher
        while listener.revision < history.head or not dispatcher.idle:
            dispatcher.kick()
            if listener.revision >= dispatcher.position:
                if not dispatcher.idle:
                    self._awaited = "dispatcher"
                    yield
                continue
            events = history.following(listener.revision)
            if events and events[0].revision <= dispatcher.position:
                yield from self._tell(events)
                listener.revision = events[-1].revision
            else:
                listener.revision = dispatcher.position

    def _track(self, tracker: Tracker) -> Work[None]:
        """Find out where the path leads from each entity, at the revision where the listener begins."""
        yield from self._history.prepare(self._view.revision)
        for ids in self._members():
            for id in ids:
                tracker.add(self._view, id)
                if tracker.size > budgets.TRACKED_ENTITIES:
                    raise _Lost("too_large", self._view.revision)
                if self._pause_is_due():
                    yield
            yield

    def _members(self) -> Iterator[Sequence[int]]:
        """Ids in parts, a pause after each; among them are all of the target at the revision of the view."""
        wish = self._interest.wish
        if wish.entity:
            yield (wish.entity,)
            return
        state, revision = self._state, self._view.revision
        there = {name: state.ids(name) for name in state.types.descendants.get(wish.type, ())}
        counts = {name: len(ids) for name, ids in there.items()}  # what comes later is not of the view
        for name, ids in there.items():
            for start in range(0, counts[name], budgets.CATCH_UP_STEP_ENTITIES):
                yield ids[start : min(start + budgets.CATCH_UP_STEP_ENTITIES, counts[name])]
        for chunk in list(self._history.after(revision)):
            for start in range(0, len(chunk.events), budgets.CATCH_UP_STEP_DELETED):
                yield [
                    event.id
                    for event in chunk.events[start : start + budgets.CATCH_UP_STEP_DELETED]
                    if event.kind == DELETED
                    and event.revision > revision
                    and self._interest.wants(event)
                    and not _holds(there, event)
                ]

    def _tell_initial(self) -> Work[None]:
        for ids in self._members():
            for id in ids:
                entity = self._view.entities.get(id)
                if entity is None or not self._interest.covers(id, entity.schema):
                    pass
                elif self._interest.matches(entity, self._view):
                    context: bytes | None = None
                    for field in self._fields(entity):
                        self._awaited = "outbox"
                        yield
                        context = self._tell_one(id, field, context)
                if self._pause_is_due():
                    yield
            yield
        self._tell_bookmark()

    def _tell_bookmark(self) -> None:
        revision = self._listener.revision
        self._listener.tell(event_text.bookmark(revision, self._state.epochs.at(revision)))

    def _fields(self, entity: Entity) -> list[str]:
        field = self._interest.wish.field
        if field is None:
            return [each.name for each in entity.schema.fields]
        return [field] if "->" in field or field in entity.schema.by_name else []

    def _tell_one(self, id: int, field: str, context: bytes | None) -> bytes | None:
        """Tell the initial value of a field; returns the text of the context for the next field, if it is short."""
        view, interest = self._view, self._interest
        entity = view.entities.get(id)  # anew for each field: what a view gives does not outlive a pause
        assert entity is not None
        if context is None:
            context = event_text.context(interest.context_of(entity, view))
        members = event_text.initial(entity, field, read_path(view, entity, field), self._listener.revision, view)
        self._listener.tell(members + context)
        return context if len(context) <= budgets.KEPT_CONTEXT_BYTES else None

    def _tell(self, events: list[Event]) -> Work[None]:
        """Tell of one revision. An event is told once the next one is found, as the last one is told to be that."""
        number = self._view.revision = events[0].revision
        if events[0].kind == RETYPED and self._interest.altered_by(events[0].value):
            raise _Lost("schema", number)
        if self._looks_back:
            yield from self._history.prepare(number)
        last: AnyEvent | None = None
        for event in events:
            if self._interest.wants(event):
                last = yield from self._tell_one_more(event, last)
            elif self._pause_is_due():
                yield
        if self._tracker is not None:
            revision: Revision | None = None
            for id in (yield from self._tracker.touched(events)):
                if revision is None:
                    revision = yield from Revision.of(events)
                moved = self._tracker.refresh(self._view, id, revision)
                if moved is not None:
                    last = yield from self._tell_one_more(moved, last)
                elif self._pause_is_due():
                    yield
        if last is not None:
            self._awaited = "outbox"
            yield
            self._say(last, event_text.last(self._state.epochs.at(number)))

    def _tell_one_more(
        self, event: Event | PathEvent, last: Event | PathEvent | None
    ) -> Work[Event | PathEvent | None]:
        """Tell `last` if `event` passes, as it is not the last one then; returns which is the last so far."""
        if not self._interest.passes(event, self._view):
            if self._pause_is_due():
                yield
            return last
        if last is not None:
            self._awaited = "outbox"
            yield
            self._say(last, event_text.MORE)
        return event

    def _say(self, event: AnyEvent, end: bytes) -> None:
        context = b""
        if self._interest.wish.context:
            context = event_text.context(self._interest.context(event, self._view))
        listener = self._listener
        listener.outbox.append(listener.token, listener.head + event_text.common(event, self._view) + context + end)


def _holds(there: Mapping[str, Sequence[int]], event: Event) -> bool:
    """Whether a deleted entity is among the ids of its type, where the dead stay a while."""
    assert event.schema is not None
    ids = there.get(event.schema.type, ())
    place = bisect_left(ids, event.id)
    return place < len(ids) and ids[place] == event.id
