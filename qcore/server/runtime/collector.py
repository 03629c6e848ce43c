"""Full garbage collections and giving memory back, when nobody asks for anything.

A full collection walks every container that is alive, a quarter of a second for 200,000 entities. So what is loaded at
a start is frozen out of it, the automatic full one never comes, and the `Collector` runs it while the node is idle.

It also gives freed memory back to the system: glibc keeps the pages of a burst of long messages for ever. (To have it
map each long block by itself costs twice the time per message.) Giving back delays whoever needs memory meanwhile, 20
ms with half a gigabyte of long values: it is done while the node is idle, after a burst, and else as rarely as the
collection.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import time
from collections.abc import Callable

from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic

__all__ = ["Collector", "freeze_loaded", "resident_bytes"]

log = logs.get("qcore.collector")

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Gives back what is free, without the interpreter's lock but with that of the heap; only glibc has it."""


def freeze_loaded() -> None:
    """Take what was loaded out of later collections; automatic ones look at young objects only, from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(budgets.YOUNG_CONTAINERS, budgets.YOUNG_COLLECTIONS, 1_000_000)
    gc.enable()


class Collector:
    """Runs the full collections. `last_activity` gives the monotonic time of the latest call or apply.

    While `is_followed`, other nodes elect another leader if this one is silent for as long as a collection may take: no
    thread runs meanwhile, not that of the peer link either. Only a short one is run then.
    """

    def __init__(self, last_activity: Callable[[], float], is_followed: Callable[[], bool] = lambda: False) -> None:
        self._last_activity = last_activity
        self._is_followed = is_followed
        self._collected = self._gave_back = time.monotonic()
        self._resident = resident_bytes()
        self._timer = Periodic(budgets.COLLECTOR_LOOK_SECONDS, self._look)

    def start(self) -> None:
        """Begin to look whether there is something to do."""
        self._timer.start()

    def stop(self) -> None:
        """End that."""
        self._timer.stop()

    def _look(self) -> bool:
        now = time.monotonic()
        self.collect_if_idle(now)
        if _trim is not None and self.may_give_back(now, resident_bytes()):
            asyncio.get_running_loop().run_in_executor(None, _trim, 0)
        return True

    def may_give_back(self, now: float, resident: int) -> bool:
        """Whether to give freed memory back now, at so many `resident` bytes; a yes counts as done."""
        called = self._last_activity()
        burst = resident >= self._resident + budgets.MEMORY_BURST_BYTES
        self._resident = resident
        idle = now - called >= budgets.COLLECTOR_IDLE_SECONDS
        due = now - self._gave_back >= budgets.COLLECTION_SECONDS
        if called < self._gave_back or not (burst or idle or due):
            return False
        self._gave_back = now
        return True

    def collect_if_idle(self, now: float) -> bool:
        """Run a full collection if it is time and the node is idle; whether it ran."""
        called = self._last_activity()
        idle = now - called >= budgets.COLLECTOR_IDLE_SECONDS
        due = now - self._collected >= budgets.COLLECTION_SECONDS
        if called < self._collected or not (idle and due):
            return False
        if gc.get_count()[2] > budgets.FOLLOWED_COLLECTIONS and self._is_followed():
            return False
        gc.collect()
        took = time.monotonic() - now
        if took > budgets.LONG_COLLECTION_SECONDS:
            gc.freeze()
        self._collected = now
        log.debug("collected", message="Collected garbage while idle", ms=round(took * 1000))
        return True


def resident_bytes() -> int:
    """Memory of this process that is in use or kept, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
