"""The watch API: what `listen` and `unlisten` do, and what happens to listeners as time goes by."""

from __future__ import annotations

from collections.abc import Mapping

from qcore.model.errors import BadParams, Busy, Compacted, NotFound, TooLarge
from qcore.model.ids import is_digits
from qcore.model.requests.events import LostReason
from qcore.model.requests.queries import Listen, Unlisten
from qcore.model.requests.results import Listening, Unlistened
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.config.settings import Settings
from qcore.server.reads.filters import Filters
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import Schedule, Work, step_of
from qcore.server.runtime.timers import Periodic
from qcore.server.watch import event_text
from qcore.server.watch.catch_up import CatchUp
from qcore.server.watch.dispatch import Dispatcher
from qcore.server.watch.listeners import Listener, Listeners, WatchStream
from qcore.store.resolve import entity_at
from qcore.store.search.filter import Filter, bind
from qcore.store.state.state import State
from qcore.store.watch.history import History
from qcore.store.watch.interest import STEPS, Wish, check_wish
from qcore.store.watch.registry import tracker_key
from qcore.store.watch.tracker import Tracker

__all__ = ["WatchApi"]

log = logs.get("qcore.watch")


class WatchApi:
    """Begins and ends the listeners of a node.

    `live` runs the dispatcher, which tells those that are up to date; `schedule` runs everything else.
    """

    def __init__(
        self, settings: Settings, state: State, history: History, live: Schedule, schedule: Schedule, filters: Filters
    ) -> None:
        self._state = state
        self._history = history
        self._schedule = schedule
        self._filters = filters
        self._max_listeners = settings.max_subscriptions
        self._max_outbox = settings.watch_queue_mb * budgets.MEGABYTE
        self._listeners = Listeners(schedule, lambda revision: state.epochs.at(revision))
        self._dispatcher = Dispatcher(state, history, self._listeners, live, self._max_outbox)
        self._streams: dict[Client, WatchStream] = {}
        self._ticks = Periodic(budgets.WATCH_TICK_SECONDS, self._tick)

    def __len__(self) -> int:
        return len(self._listeners.all)

    @property
    def lost(self) -> Mapping[LostReason, int]:
        """Listeners that were lost since the start, by reason."""
        return self._listeners.lost

    def listeners_of(self, client: Client) -> int:
        """How many listeners a client has."""
        stream = self._streams.get(client)
        return 0 if stream is None else len(stream.listeners)

    def applied(self) -> None:
        """Tell listeners of what was applied."""
        self._dispatcher.kick()

    def state_replaced(self) -> None:
        """Lose all listeners, in slices, and begin the history anew: another state has been adopted."""
        outdated = self._listeners.outdate(self._dispatcher.known)
        self._schedule(step_of(self._history.reset()))
        self._dispatcher.reset()
        self._schedule(step_of(self._lose(outdated, "compacted")))

    def _lose(self, listeners: list[Listener], reason: LostReason) -> Work[None]:
        for listener in listeners:
            if not listener.gone:
                self._listeners.lose(listener, reason, listener.revision)
            yield

    def _tell_end_of_past(self, listener: Listener) -> Work[None]:
        """Tell a listener that there was nothing to catch up with, behind the answer."""
        if not listener.gone:
            self._tell_bookmark(listener)
        yield

    def _tell_bookmark(self, listener: Listener) -> None:
        known = self._dispatcher.known(listener)
        listener.tell(event_text.bookmark(known, self._state.epochs.at(known)))

    def stop(self) -> None:
        """Send no bookmarks any more."""
        self._ticks.stop()

    # -- the API -------------------------------------------------------------------------------------------

    def run(self, call: Call) -> Listening | Unlistened:
        """Carry out `listen` or `unlisten`; see there for the errors."""
        return self.listen(call) if isinstance(call.params, Listen) else self.unlisten(call)

    def listen(self, call: Call) -> Listening:
        """Begin a listener. Its first event comes after this answer.

        Raises:
            NotFound, WrongKind, BadParams, TooLarge: the target or a path cannot be, or there are too many listeners.
            BadFilter: the filter cannot be.
            Compacted: the history does not reach back to `since`.

        Where `since` is of another history the listener is lost at once.
        """
        query: Listen = call.params
        stream = self._stream(call)
        wish = self._wish(query)
        check_wish(wish, self._state.types)
        foreign = self._is_of_another_history(query)
        since = self._history.head if foreign else self._since(query)
        if len(stream.listeners) >= self._max_listeners:
            raise TooLarge(f"a connection has at most {self._max_listeners} listeners (max_subscriptions)")
        listener = self._listeners.add(wish, self._bound(wish), stream, since)
        if foreign:
            self._schedule(step_of(self._lose([listener], "other_history")))
        elif query.initial or not self._join_at_once(listener):
            parts = (self._state, self._history, self._listeners, self._dispatcher)
            CatchUp(*parts, self._max_outbox, listener, query.initial, with_end=query.since is not None)
        elif query.since is not None:
            self._schedule(step_of(self._tell_end_of_past(listener)))
        self._ticks.start()
        return Listening(listener.token, listener.revision, self._state.epochs.at(listener.revision))

    def unlisten(self, call: Call) -> Unlistened:
        """End a listener. Nothing of it comes after this answer.

        Raises:
            NotFound: the connection has no such token.
        """
        query: Unlisten = call.params
        stream = self._stream(call)
        listener = stream.listeners.get(query.token)
        if listener is None:
            raise NotFound(f"this connection has no listener {query.token}")
        stream.outbox.discard(query.token)
        self._listeners.remove(listener)
        return Unlistened(query.token)

    def disconnected(self, client: Client) -> None:
        """Free the listeners of a client that is gone, in slices."""
        stream = self._streams.pop(client, None)
        if stream is not None:
            self._schedule(step_of(self._free(stream)))

    def _free(self, stream: WatchStream) -> Work[None]:
        for listener in list(stream.listeners.values()):
            if not listener.gone:
                self._listeners.remove(listener)
            yield

    def _stream(self, call: Call) -> WatchStream:
        if call.client is None or call.id is None:
            raise BadParams(f"{call.method} needs an id, as its answer names the token")
        if call.client.closed:
            raise Busy("the connection is closed")
        stream = self._streams.get(call.client)
        if stream is None:
            stream = self._streams[call.client] = WatchStream(call.client.outbox, self._schedule)
        return stream

    def _wish(self, query: Listen) -> Wish:
        rest = (query.field, query.change, tuple(dict.fromkeys(query.context)), query.filter)
        target = query.target
        if isinstance(target, int) or is_digits(target) or target[:1] in ("@", "/") or "$" in target:
            entity = entity_at(self._state, target)
            return Wish(entity.id, entity.type, *rest)
        return Wish(0, self._state.types.of(target).type, *rest)

    def _bound(self, wish: Wish) -> Filter | None:
        if wish.filter is None:
            return None
        types = self._state.types
        names = [wish.type] if wish.entity else types.descendants[wish.type]
        return bind(self._filters.parsed(wish.filter), [types.of(name) for name in names], steps=STEPS)

    def _is_of_another_history(self, query: Listen) -> bool:
        """Whether `since` is a revision of another history than this; the read has waited until that can be known."""
        if query.epoch is None:
            return False
        if query.since is None:
            raise BadParams("epoch goes with since: it is the one that was current at that revision")
        return self._state.epochs.judge(query.epoch, query.since) != "known"

    def _since(self, query: Listen) -> int:
        """The revision after which events are told."""
        if query.since is None:
            return self._history.head
        if query.initial:
            raise BadParams("initial begins with what is there now, so it has no since")
        if query.since < 0:
            raise BadParams(f"since {query.since}: a revision is at least 0")
        if query.since < self._history.gone:
            oldest = self._history.oldest
            raise Compacted(
                f"the history begins with revision {oldest}: events since {query.since} are not all there any more",
                oldest=oldest,
            )
        return query.since

    def _join_at_once(self, listener: Listener) -> bool:
        """Make a listener live at once if it has nothing to catch up with; whether it has not."""
        if not (self._dispatcher.idle and listener.revision == self._history.head):
            return False
        wish, tracker = listener.interest.wish, None
        if wish.indirect:
            tracker = Tracker(*tracker_key(wish))
            if wish.entity:
                tracker.add(self._state, wish.entity)
            elif tracker_key(wish) not in self._listeners.registry.trackers:
                return False
        self._listeners.join(listener, tracker)
        return True

    # -- time ----------------------------------------------------------------------------------------------

    def _tick(self) -> bool:
        if self._listeners.all:
            self._schedule(step_of(self._look_after()))
        return bool(self._listeners.all)

    def _look_after(self) -> Work[None]:
        """Send bookmarks to those that were told nothing, and end those that the history has overtaken in a wait."""
        catching_up = False
        for listener in list(self._listeners.all.values()):
            if listener.gone:
                continue
            if not listener.live:
                catching_up = True
                if listener.revision < self._history.gone:
                    self._listeners.lose(listener, "slow", listener.revision)
            elif listener.told or listener.mid_revision or listener.outbox.size:
                listener.told = False
            else:
                self._tell_bookmark(listener)
            yield
        if not catching_up:
            self._history.forget_indexes()
        for interest in list(self._listeners.registry.interests):
            interest.spent = 0.0
            if interest.errors:
                log.info(
                    "filter_errors",
                    message=f"A listener's filter had no answer for {interest.errors} events",
                    filter=interest.wish.filter,
                )
                interest.errors = 0
            yield
