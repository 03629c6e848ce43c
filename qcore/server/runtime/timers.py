"""Timers of the event loop: a step from time to time, one call for many triggers, one call that can be put off.

None of them runs before it is asked to, and none after it was stopped or cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qcore.server.runtime.scheduler import Step

__all__ = ["Alarm", "Debounce", "Periodic"]


class Periodic:
    """Takes `step` every `seconds`, from `start` until the step returns False: nothing is left to look after."""

    def __init__(self, seconds: float, step: Step) -> None:
        self._seconds = seconds
        self._step = step
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether the step will be taken."""
        return self._timer is not None

    def start(self) -> None:
        """Take the step from now on; the first time in `seconds`. Nothing where it runs already."""
        if self._timer is None and not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._run)

    def stop(self) -> None:
        """Take no step any more, whoever starts it."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if self._step():
            self.start()


class Debounce:
    """Calls `callback` once for many triggers: `seconds` after the first one since its last call.

    So no trigger is lost: after the last one there is a call, and then nothing until the next.
    """

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self._seconds = seconds
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def trigger(self) -> None:
        """Have the callback called in `seconds`, or earlier where it is to be called already."""
        if self._timer is None and not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._run)

    def cancel(self) -> None:
        """Forget the triggers so far: what they are for was done otherwise."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Call no more, whatever is triggered."""
        self._stopped = True
        self.cancel()

    def _run(self) -> None:
        self._timer = None
        self._callback()


class Alarm:
    """Calls one callback at one time; setting it again replaces both."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call `callback` in `seconds`, and not what was to be called before."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def cancel(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
