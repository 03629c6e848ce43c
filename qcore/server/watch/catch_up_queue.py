"""The catch-ups of one client take turns, few at a time, so that none takes the time and memory of other clients."""

from __future__ import annotations

from collections import deque

from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Schedule, Step

__all__ = ["CatchUpQueue"]


class CatchUpQueue:
    """Runs the steps of one client's catch-ups in turns, as a single step of the scheduler's.

    There are `budgets.CATCH_UPS` places; a catch-up takes one, or more where it needs much memory, and keeps them until
    it leaves. The others wait in the order they came.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._ready: deque[Step] = deque()
        """Steps to take, the next one first."""
        self._scheduled = False
        self._waiting: dict[Step, int] = {}
        """Those that wait for places, and how many each takes."""
        self._places: dict[Step, int] = {}
        """Those that have places, and how many."""

    def enter(self, step: Step, places: int = 1) -> None:
        """Take `step` once there are `places`, again and again until it returns False."""
        self._waiting[step] = places
        self._admit()

    def leave(self, step: Step) -> None:
        """Give up the places of `step`, or its wait for them."""
        if self._waiting.pop(step, None) is None:
            self._places.pop(step, None)
        self._admit()

    def resume(self, step: Step) -> None:
        """Take `step` again, which returned False and kept its places."""
        self._ready.append(step)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._step)

    def _admit(self) -> None:
        while self._waiting:
            step, places = next(iter(self._waiting.items()))
            if sum(self._places.values()) + places > budgets.CATCH_UPS:
                return
            del self._waiting[step]
            self._places[step] = places
            self.resume(step)

    def _step(self) -> bool:
        step = self._ready.popleft()
        if step():
            self._ready.append(step)
        self._scheduled = bool(self._ready)
        return self._scheduled
