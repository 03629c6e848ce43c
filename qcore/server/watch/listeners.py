"""Who listens: every listener from `listen` to its end, and the interests and trackers that they share."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from qcore.model.requests.events import LostReason
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Schedule
from qcore.server.watch import event_text
from qcore.server.watch.catch_up_queue import CatchUpQueue
from qcore.store.search.filter import Filter
from qcore.store.watch.interest import Interest, Wish
from qcore.store.watch.registry import Registry
from qcore.store.watch.tracker import Tracker

__all__ = ["Listener", "Listeners", "WatchStream"]


class WatchStream:
    """What is kept of one client that listens: its listeners by token, and the queue of those that catch up."""

    __slots__ = ("catch_ups", "listeners", "outbox")

    def __init__(self, outbox: Outbox, schedule: Schedule) -> None:
        self.outbox = outbox
        self.listeners: dict[int, Listener] = {}
        self.catch_ups = CatchUpQueue(schedule)


class Listener:
    """One token. `live`: the dispatcher serves it; before, it catches up by itself, until that is told to `stop`.

    `revision`: everything up to it was put into the feed, if it is not live or was told of it; `told` since the last
    bookmark. `within`: of the revision that is served it was told a part. `gone`: it has ended, whoever still holds it.
    """

    __slots__ = (
        "gone",
        "head",
        "interest",
        "live",
        "outbox",
        "outdated",
        "revision",
        "stop",
        "stream",
        "token",
        "told",
        "within",
    )

    def __init__(self, token: int, interest: Interest, stream: WatchStream, revision: int) -> None:
        self.token = token
        self.interest = interest
        self.stream = stream
        self.outbox = stream.outbox
        self.revision = revision
        self.head = event_text.head(token)
        self.live = False
        self.gone = False
        self.outdated = False
        """Whether another state has taken the place of the one it was told of, so that it is about to be lost."""
        self.told = True
        self.within = False
        self.stop: Callable[[], None] | None = None

    def tell(self, members: bytes) -> None:
        """Send a message that stands alone."""
        self.outbox.append(self.token, self.head + members + event_text.MORE)


class Listeners:
    """All of them, by token, and for each interest those that are live. `schedule` runs long work."""

    def __init__(self, schedule: Schedule) -> None:
        self.registry = Registry()
        self.all: dict[int, Listener] = {}
        self.live: dict[Interest, dict[int, Listener]] = {}
        self._schedule = schedule
        self._tokens = itertools.count(1)
        self._shared: dict[Wish, Interest] = {}
        self._users: dict[Interest, int] = {}

    def add(self, wish: Wish, filter: Filter | None, stream: WatchStream, revision: int) -> Listener:
        """A new listener, which is not live yet."""
        interest = self._shared.get(wish)
        if interest is None:
            interest = self._shared[wish] = Interest(wish, filter)
            self._users[interest] = 0
        self._users[interest] += 1
        listener = Listener(next(self._tokens), interest, stream, revision)
        self.all[listener.token] = stream.listeners[listener.token] = listener
        return listener

    def join(self, listener: Listener, tracker: Tracker | None = None) -> None:
        """Make a listener live; it and `tracker`, which an indirect one brings, are where the dispatcher is."""
        interest = listener.interest
        listener.live = True
        if interest in self.live:
            self.live[interest][listener.token] = listener
        else:
            self.live[interest] = {listener.token: listener}
            self.registry.add(interest)
        if tracker is not None:
            spare = self.registry.bring(interest.wish, tracker)
            if spare is not None:
                self.free(spare)

    def remove(self, listener: Listener) -> None:
        """End a listener and free what only it needed."""
        interest = listener.interest
        listener.gone = True
        if listener.stop is not None:
            listener.stop()
        del self.all[listener.token], listener.stream.listeners[listener.token]
        if listener.live:
            del self.live[interest][listener.token]
            if not self.live[interest]:
                del self.live[interest]
                tracker = self.registry.remove(interest)
                if tracker is not None:
                    self.free(tracker)
        self._users[interest] -= 1
        if not self._users[interest]:
            del self._users[interest]
            if self._shared.get(interest.wish) is interest:
                del self._shared[interest.wish]

    def lose(self, listener: Listener, reason: LostReason, revision: int) -> None:
        """End a listener with its last message."""
        listener.tell(event_text.lost(revision, reason))
        self.remove(listener)

    def outdate(self, known: Callable[[Listener], int]) -> list[Listener]:
        """Serve none of those that are there any more, as another state has been adopted; returns them, to be lost.

        `known` says up to which revision each was told everything.
        """
        outdated = list(self.all.values())
        for listener in outdated:
            listener.revision = known(listener)
            listener.outdated = True
            listener.live = False
        for tracker in self.registry.trackers.values():
            self.free(tracker)
        self.registry = Registry()
        self.live = {}
        self._shared = {}
        return outdated

    def free(self, tracker: Tracker) -> None:
        """Take a tracker apart, in slices."""
        if tracker.size:
            self._schedule(lambda: tracker.shrink(budgets.FREE_STEP_ENTITIES))
