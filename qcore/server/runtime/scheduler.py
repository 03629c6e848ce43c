"""Long work on the loop in short slices, so that nobody waits for it.

Each step is a call that does a little and says whether there is more. Steps of different works take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

__all__ = ["Schedule", "Scheduler", "Step", "TurnBudget"]

SLICE = 0.004
"""Seconds of one turn before the loop serves others."""

Step = Callable[[], bool]
"""Does a little of a longer work; returns whether there is more to do now."""

Schedule = Callable[[Step], None]
"""Has a step run, in slices of the loop's time, until it returns False."""

T = TypeVar("T")


_BUSY_SHARE = 4
"""How many times shorter a turn is while requests come."""


class Scheduler:
    """A queue of steps that run whenever the loop comes round, for `length` seconds of each turn.

    `busy` says whether requests come, which then wait less for each turn.
    """

    def __init__(self, length: float = SLICE, busy: Callable[[], bool] = lambda: False) -> None:
        self._length = length
        self._busy = busy
        self._steps: deque[Step] = deque()
        self._scheduled = False

    def add(self, step: Step) -> None:
        """Run `step` until it returns False; the first time soon, not now."""
        self._steps.append(step)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def run(self, work: Generator[None, None, T]) -> asyncio.Future[T]:
        """Run a generator to its end, pausing where it does; the result is what it returns."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def step() -> bool:
            if future.cancelled():
                work.close()
                return False
            try:
                next(work)
            except StopIteration as done:
                future.set_result(done.value)
                return False
            except Exception as exc:
                future.set_exception(exc)
                return False
            return True

        self.add(step)
        return future

    def _turn(self) -> None:
        end = time.monotonic() + (self._length / _BUSY_SHARE if self._busy() else self._length)
        steps = self._steps
        try:
            while steps and time.monotonic() < end:
                step = steps.popleft()
                while step():
                    if time.monotonic() >= end:
                        steps.append(step)
                        break
        finally:
            self._scheduled = bool(steps)
            if steps:
                asyncio.get_running_loop().call_soon(self._turn)


class TurnBudget:
    """The time that all together may take for themselves in one turn of the loop; more is done in slices."""

    def __init__(self) -> None:
        self._end = 0.0

    def end(self) -> float:
        """When it is over, in monotonic seconds; whoever comes later than that does the least there is to do."""
        if not self._end:
            self._end = time.monotonic() + SLICE
            asyncio.get_running_loop().call_soon(self._over)
        return self._end

    def _over(self) -> None:
        self._end = 0.0
