"""What holds up the event loop: how late it runs what is due, and how long garbage collections take."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qcore.model.histogram import Histogram
from qcore.server.runtime import budgets

__all__ = ["CollectionTimes", "LoopLag"]

LAG_BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0)
PAUSE_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)


class LoopLag:
    """Looks from time to time how much later than asked for the loop calls back; `seconds` counts that."""

    def __init__(self) -> None:
        self.seconds = Histogram(LAG_BOUNDS)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look; the event loop runs."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + budgets.LOOP_LOOK_SECONDS
        self._timer = loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """End that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.seconds.observe(max(asyncio.get_running_loop().time() - self._due, 0.0))
        self.start()


class CollectionTimes:
    """How long the interpreter's garbage collections take, all of them, by generation."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = {generation: Histogram(PAUSE_BOUNDS) for generation in range(3)}
        self._clock = clock
        self._begun = 0.0

    def start(self) -> None:
        """Begin to listen."""
        gc.callbacks.append(self._note)

    def stop(self) -> None:
        """End that."""
        with suppress(ValueError):
            gc.callbacks.remove(self._note)

    def _note(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._begun = self._clock()
        else:
            self.seconds[info["generation"]].observe(self._clock() - self._begun)
