"""Garbage collection that keeps out of the way: full collections wait for an idle moment.

A full collection walks every container alive, a quarter of a second for 200,000 entities. So what is loaded at
start is frozen out of it, the automatic one is put off for ever, and this room runs it when nobody asks for anything.

It also gives freed memory back: glibc keeps the pages of a burst of long messages, and would for ever. To have it map
each long block by itself costs twice the time per message.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable

from qcore.server import logs

__all__ = ["Collector", "freeze_loaded"]

_QUIET = 2.0
"""Seconds without a call that count as idle."""
_LOOK = 5.0
_EVERY = 600.0
"""Seconds between two looks, when memory is given back, and between two full collections."""
_LONG = 0.05
"""A collection that took longer, in seconds, is made cheap for the next time by freezing what survived."""

log = logs.get("qcore.collector")

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Gives back what is free: 0.1 ms a megabyte, without the interpreter's lock; only glibc has it."""


def freeze_loaded() -> None:
    """Take what was loaded out of later collections; young objects are still looked after automatically."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 1_000_000)
    gc.enable()


class Collector:
    """Runs the full collections. `last_call` gives the monotonic time of the latest call."""

    def __init__(self, last_call: Callable[[], float]) -> None:
        self._last_call = last_call
        self._collected = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        self.collect_if_idle(time.monotonic())
        if _trim is not None:
            asyncio.get_running_loop().run_in_executor(None, _trim, 0)

    def collect_if_idle(self, now: float) -> bool:
        """Collect if it is time and nobody waits; whether it did."""
        called = self._last_call()
        if now - called < _QUIET or now - self._collected < _EVERY or called < self._collected:
            return False
        gc.collect()
        took = time.monotonic() - now
        if took > _LONG:
            gc.freeze()
        self._collected = now
        log.debug("collected", message="Collected garbage while idle", ms=round(took * 1000))
        return True
