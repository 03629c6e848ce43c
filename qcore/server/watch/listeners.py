"""Who listens: each listener from its request to its end, and what those share who want the same."""

from __future__ import annotations

import itertools
from collections import Counter
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
    """What is kept of one client that listens: its outbox, its listeners by token, and the queue of its catch-ups."""

    __slots__ = ("catch_ups", "listeners", "outbox")

    def __init__(self, outbox: Outbox, schedule: Schedule) -> None:
        self.outbox = outbox
        self.listeners: dict[int, Listener] = {}
        self.catch_ups = CatchUpQueue(schedule)


class Listener:
    """One listener, known to its client by `token`.

    It begins with a catch-up of its own, which `stop` ends, and then is `live`: the dispatcher tells it what happens.
    It was told everything up to `revision`, and a part of the next one where `mid_revision` says so; of a live one
    that is the newest revision that had anything for it. `told` is whether it was sent anything since the last tick.
    `gone` is whether it has ended; others may still hold it then.
    """

    __slots__ = (
        "gone",
        "head",
        "interest",
        "live",
        "mid_revision",
        "outbox",
        "outdated",
        "revision",
        "stop",
        "stream",
        "token",
        "told",
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
        self.mid_revision = False
        self.stop: Callable[[], None] | None = None

    def tell(self, members: bytes) -> None:
        """Put a message that is no part of a revision into the outbox."""
        self.outbox.append(self.token, self.head + members + event_text.MORE)


class Listeners:
    """All listeners of a node. `schedule` runs long work.

    Listeners that want the same share an interest, which is judged once; those of a path share a tracker in `registry`.
    """

    def __init__(self, schedule: Schedule, epoch_at: Callable[[int], str | None]) -> None:
        self.registry = Registry()
        self.lost: Counter[LostReason] = Counter()
        """Listeners that were ended by `lose` since the start, by reason."""
        self.all: dict[int, Listener] = {}
        self.live: dict[Interest, dict[int, Listener]] = {}
        self._schedule = schedule
        self._epoch_at = epoch_at
        self._tokens = itertools.count(1)
        self._shared: dict[Wish, Interest] = {}
        self._users: dict[Interest, int] = {}

    def add(self, wish: Wish, filter: Filter | None, stream: WatchStream, revision: int) -> Listener:
        """Make a listener that was told everything up to `revision`; it is not live yet."""
        interest = self._shared.get(wish)
        if interest is None:
            interest = self._shared[wish] = Interest(wish, filter)
            self._users[interest] = 0
        self._users[interest] += 1
        listener = Listener(next(self._tokens), interest, stream, revision)
        self.all[listener.token] = stream.listeners[listener.token] = listener
        return listener

    def join(self, listener: Listener, tracker: Tracker | None = None) -> None:
        """Make a listener live. It has to be at the dispatcher's position, as has its `tracker` where it has a path."""
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
        """End a listener without a word, and free what only it needed."""
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
        """End a listener with a message that says why, and up to which revision it was told everything."""
        self.lost[reason] += 1
        listener.tell(event_text.lost(revision, self._epoch_at(revision), reason))
        self.remove(listener)

    def outdate(self, known: Callable[[Listener], int]) -> list[Listener]:
        """Make none of the listeners live any more, as another state has been adopted; returns them, to be lost.

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
        """Take a tracker apart, as a long one is not freed at once."""
        if tracker.size:
            self._schedule(lambda: tracker.shrink(budgets.FREE_STEP_ENTITIES))
