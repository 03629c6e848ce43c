"""How many requests were answered, how, and how fast: counted once in a turn of the loop, for all of them together.

A request that is answered is put on a list and nothing else; its answer leaves at the end of the turn, and that is when
it is counted and its time is taken. So what a busy node counts costs it a hundredth of what the requests cost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from qcore.model.api import Method
from qcore.model.histogram import Histogram
from qcore.server.calls import Call
from qcore.server.operations.slow_requests import SlowRequests

__all__ = ["OK", "UNKNOWN", "RequestCounts"]

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0, 3.0)
"""Seconds between which durations of requests are told apart."""

OK = "ok"
"""The outcome of a request that was answered with a result; of the others it is the kind of their error."""

UNKNOWN = "unknown"
"""Stands for the method of whatever names none that there is."""


class RequestCounts:
    """Counts the requests of all clients; `soon` has a function called at the end of the loop's turn.

    Attributes:
        answered: those of this turn that are not counted yet. Who adds the first one calls `count_soon`.
        outcomes: how many were answered, by method and outcome.
        seconds: how long they took, by method.
    """

    def __init__(
        self,
        slow: SlowRequests,
        soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answered: list[Call] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self._slow = slow
        self._soon = soon
        self._clock = clock

    def count_soon(self) -> None:
        """Have `count` called at the end of this turn."""
        self._soon(self.count)

    def count(self) -> None:
        """Count those that were answered since the last time."""
        if not self.answered:
            return
        answered = self.answered.copy()
        self.answered.clear()
        now = self._clock()
        spec = answered[0].spec
        begun = [call.begun for call in answered if call.spec is spec and not call.error]
        if len(begun) < len(answered):
            self._count_mixed(answered, now)
        else:
            name = _name(spec)
            self.outcomes[name, OK] += len(answered)
            self._time(name, answered, begun, now)

    def refused(self, kind: str) -> None:
        """Count what was no request that could be read, and was answered with an error of this kind."""
        self.outcomes[UNKNOWN, kind] += 1

    def _count_mixed(self, answered: Iterable[Call], now: float) -> None:
        by_method: dict[str, list[Call]] = {}
        for call in answered:
            name = _name(call.spec)
            self.outcomes[name, call.error or OK] += 1
            if name in by_method:
                by_method[name].append(call)
            else:
                by_method[name] = [call]
        for name, calls in by_method.items():
            self._time(name, calls, [call.begun for call in calls], now)

    def _time(self, name: str, calls: list[Call], begun: list[float], now: float) -> None:
        """Count how long calls of one method took that are answered `now`."""
        seconds = self.seconds.get(name)
        if seconds is None:
            seconds = self.seconds[name] = Histogram(BOUNDS)
        seconds.observe_since(begun, now)
        if now - begun[0] > self._slow.threshold:
            for call in calls:
                if now - call.begun > self._slow.threshold:
                    self._slow.add(call, now)


def _name(spec: Method | None) -> str:
    return UNKNOWN if spec is None else spec.name
