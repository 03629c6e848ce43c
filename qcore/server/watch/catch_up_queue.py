"""Catch-ups take turns by connection, and few of one at a time: no client takes the time and memory of the others."""

from __future__ import annotations

from collections import deque

from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Schedule, Step

__all__ = ["CatchUpQueue"]


class CatchUpQueue:
    """The catch-ups of one connection, which `schedule` runs as one."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._ready: deque[Step] = deque()
        self._stepping = False
        self._queue: dict[Step, int] = {}
        """Who waits for a place, and how many it takes."""
        self._places: dict[Step, int] = {}

    def enter(self, step: Step, places: int = 1) -> None:
        """Call `step` as soon as there are places, until it returns False."""
        self._queue[step] = places
        self._admit()

    def leave(self, step: Step) -> None:
        """Give up a place, or the wait for one."""
        if self._queue.pop(step, None) is None:
            self._places.pop(step, None)
        self._admit()

    def resume(self, step: Step) -> None:
        """Call `step` again, which has a place and had returned False."""
        self._ready.append(step)
        if not self._stepping:
            self._stepping = True
            self._schedule(self._step)

    def _admit(self) -> None:
        while self._queue:
            step, places = next(iter(self._queue.items()))
            if sum(self._places.values()) + places > budgets.CATCH_UPS:
                return
            del self._queue[step]
            self._places[step] = places
            self.resume(step)

    def _step(self) -> bool:
        step = self._ready.popleft()
        if step():
            self._ready.append(step)
        self._stepping = bool(self._ready)
        return self._stepping
