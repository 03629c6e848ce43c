"""Long work on the event loop, in slices so short that nobody waits for it.

The words for that, the same in the whole server:

- A **step** is a callable that does a little of a longer work and returns whether there is more to do now. One that
  returns False is done, or waits for something and is scheduled anew when that has happened.
- A **work** is a generator that yields None wherever it may pause and returns its result. It never yields anything
  else; what it waits for, if anything, it keeps where its step finds it. The store's long functions are works.
- A **slice** is the time that steps get in one turn of the loop; a step that takes longer than that is too long.

`step_of` makes a step of a work, `Scheduler.run` a future.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from qcore.model.work import Work
from qcore.server.runtime import budgets

__all__ = ["Schedule", "Scheduler", "Step", "TurnBudget", "Work", "step_of"]

T = TypeVar("T")

Step = Callable[[], bool]
"""Does a little of a longer work; returns whether there is more to do now."""

Schedule = Callable[[Step], None]
"""Has a step run, in slices of the loop's time, until it returns False."""


_ENDED = object()


def step_of(work: Work[Any]) -> Step:
    """A step that takes `work` to its next pause; its result is dropped."""

    return lambda: next(work, _ENDED) is not _ENDED


class Scheduler:
    """Runs steps for `length` seconds of each turn of the loop, in the order they came; a long one goes to the end.

    `busy` says whether requests come: slices are shorter then.
    """

    def __init__(self, length: float = budgets.SLICE_SECONDS, busy: Callable[[], bool] = lambda: False) -> None:
        self._length = length
        self._busy = busy
        self._steps: deque[Step] = deque()
        self._scheduled = False

    def add(self, step: Step) -> None:
        """Run `step` until it returns False, from the next turn of the loop on."""
        self._steps.append(step)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def run(self, work: Work[T]) -> asyncio.Future[T]:
        """Run a work to its end; the future gets its result or its error. Cancelling the future closes the work."""
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
        end = time.monotonic() + (self._length / budgets.BUSY_SLICE_DIVISOR if self._busy() else self._length)
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
    """The time that all connections together may take in one turn of the loop; the rest is scheduled."""

    def __init__(self) -> None:
        self._end = 0.0

    def end(self) -> float:
        """When the budget of this turn is used up, in monotonic seconds; it begins with the first who asks."""
        if not self._end:
            self._end = time.monotonic() + budgets.SLICE_SECONDS
            asyncio.get_running_loop().call_soon(self._over)
        return self._end

    def _over(self) -> None:
        self._end = 0.0
