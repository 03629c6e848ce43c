"""What systemd hears of a node: that its start gets on, that it is ready, how it fares, and that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.engine.base import Engine
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic
from qcore.server.supervision.catch_up import CatchUp
from qcore.server.supervision.notifier import SystemdNotifier, watchdog_seconds
from qcore.server.supervision.watchdog import Probe, Watchdog, WatchedThread

__all__ = ["Supervision"]

log = logs.get("qcore")


class Supervision:
    """One start of a node in the eyes of systemd; on the loop's thread. Without a service manager it does nothing.

    `status` gives the line that `systemctl status` shows.
    """

    def __init__(self, notifier: SystemdNotifier, status: Callable[[], str]) -> None:
        self._notifier = notifier
        self._status = status
        self._told = ""
        self._ready = False
        self._progress_at = float("-inf")
        self._catch_up: CatchUp | None = None
        self._looks = Periodic(budgets.STATUS_SECONDS, self._look)
        self._catching_up = Periodic(budgets.STARTED_LOOK_SECONDS, self._look_again)
        self._watching: Periodic | None = None

    # -- the start -----------------------------------------------------------------------------------------

    def progress(self) -> None:
        """Snapshot and log are being read, and there was another piece of them."""
        now = time.monotonic()
        if now - self._progress_at >= budgets.PROGRESS_SECONDS:
            self._progress_at = now
            self._notifier.extend(budgets.EXTEND_SECONDS, "Reading snapshot and log")
            self._notifier.alive()  # one that starts anew in this process is watched already

    def watch(self, engine: Engine, link: Probe | None) -> None:
        """The node runs: tell that its threads move, and how it fares, from now on."""
        if not self._notifier.has_manager:
            return
        self._looks.start()
        limit = watchdog_seconds()
        if limit is not None:
            self._watching = Periodic(limit / 2, _Alive(self._notifier, _threads(engine, link, limit / 2)).look)
            self._watching.start()
            self._notifier.alive()

    def ready(self) -> None:
        """The node serves."""
        self._ready = True
        self._told = self._status()
        self._notifier.ready(self._told)

    def ready_after(self, catch_up: CatchUp) -> None:
        """The node serves, and is to be called ready when it has caught up."""
        if self._notifier.has_manager:
            self._catch_up = catch_up
            self._catching_up.start()

    def _look_again(self) -> bool:
        now = time.monotonic()
        if self._catch_up is None or self._catch_up.is_over(now):
            self.ready()
            return False
        if now - self._progress_at >= budgets.PROGRESS_SECONDS:
            self._progress_at = now
            self._notifier.extend(budgets.EXTEND_SECONDS, f"Catching up: {self._status()}")
        return True

    # -- while it runs -------------------------------------------------------------------------------------

    def reload(self, load: Callable[[], None]) -> None:
        """Have settings loaded; what they are afterwards counts, whether they have changed or not."""
        if not self._ready:
            load()
            return
        self._notifier.reloading()
        try:
            load()
        finally:
            self.ready()

    def _look(self) -> bool:
        line = self._status()
        if self._ready and line != self._told:
            self._told = line
            self._notifier.status(line)
        return True

    # -- the end -------------------------------------------------------------------------------------------

    def stop(self, status: str | None) -> None:
        """The node stops with this status; without one it starts again in this process."""
        self._looks.stop()
        self._catching_up.stop()
        if self._watching is not None:
            self._watching.stop()
        if status is None:
            self._notifier.alive()
        else:
            self._notifier.stopping(status)


class _Alive:
    """Tells that the node lives as long as all of its threads move."""

    def __init__(self, notifier: SystemdNotifier, threads: list[WatchedThread]) -> None:
        self._notifier = notifier
        self._watchdog = Watchdog(threads)

    def look(self) -> bool:
        stuck = self._watchdog.look(time.monotonic())
        if stuck:
            names = " and ".join(stuck)
            log.error("thread_hangs", message=f"systemd is not told that this node lives: {names} does not answer")
        else:
            self._notifier.alive()
        return True


def _threads(engine: Engine, link: Probe | None, interval: float) -> list[WatchedThread]:
    """What has to move, the loop apart, which looks; each has until the next look."""
    patience = interval * 0.9
    disk = WatchedThread("the disk", engine.probe_log, budgets.DISK_PATIENCE_SECONDS)
    threads = [disk, WatchedThread("the consensus core", engine.probe_core, patience, waits_for=disk)]
    return threads if link is None else [*threads, WatchedThread("the peer link", link, patience)]
