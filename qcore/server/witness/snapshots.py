"""The snapshots of a witness: files of nodes that have the data, opaque here, so that its own log may go.

Where the log is over its limits a node with the data is asked for its newest snapshot, again and again until a newer
one came. As on every node, the log goes up to the snapshot before the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.disk.space import Space
from qcore.engine.base import Engine
from qcore.model.entry import LogId
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic
from qcore.server.runtime.worker import Worker
from qcore.server.snapshots.base import AskSnapshot

__all__ = ["WitnessSnapshots"]

log = logs.get("qcore.snapshots")


class WitnessSnapshots:
    """Keeps what `ask` brings; see `Snapshots`.

    Attributes:
        ask: asks a node with the data for a snapshot that goes beyond a log index.
    """

    running = False
    failures = 0
    seconds = 0.0

    def __init__(self, settings: Settings, engine: Engine, directory: Directory) -> None:
        self.ask: AskSnapshot = lambda beyond: None
        self.succeeded = 0
        self._engine = engine
        self._log = directory.log
        self._folder = directory.snapshots
        self._most_entries = settings.max_log_files // 2
        self._most_bytes = settings.max_log_size_mb * budgets.MEGABYTE // 2
        self._log.max_spares = settings.max_log_files
        self._applied = -1
        self._appended = 0
        self._stopping = False
        self._thread = Worker("qcore-snapshots")
        self._looks = Periodic(budgets.WITNESS_SNAPSHOT_SECONDS, self._look)

    @property
    def newest(self) -> SnapshotFile | None:
        """See `Snapshots.newest`."""
        return self._folder.found[0] if self._folder.found else None

    def started(self) -> None:
        """See `Snapshots.started`."""
        self._looks.start()

    def replayed(self, last: LogId) -> None:
        """See `Snapshots.replayed`."""
        self._applied = last.index

    def applied(self, last: LogId) -> None:
        """See `Snapshots.applied`."""
        self._applied = last.index

    def take(self, call: Call) -> None:
        """Not called: a witness has no state, and its clients are sent elsewhere."""
        raise AssertionError("a witness takes no snapshot")

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        """See `Snapshots.build`: there is one where the log does not go back far enough."""
        done(self.newest)

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """A node with the data has sent its newest; `done` is called when it is kept, or will not be.

        It is read once, as the log goes for it, and only its sender knows that it has read it before.
        """
        if not self._is_wanted(found):
            done()
            return

        def checked(future: asyncio.Future[None]) -> None:
            if future.exception() is not None:
                log.warning("snapshot_damaged", message=f"Another node sent what is no snapshot: {future.exception()}")
            elif self._is_wanted(found):
                self._keep(found)
            done()

        work = asyncio.get_running_loop().run_in_executor(self._thread, _read_through, self._folder, found)
        work.add_done_callback(checked)

    def _is_wanted(self, found: SnapshotFile) -> bool:
        """Whether it is newer than all here, and of what is committed here."""
        last, newest = found.header.last, self.newest
        if newest is not None and newest.header.last.index >= last.index:
            return False
        return not self._stopping and last.index <= self._applied and self._log.log_id(last.index) == last

    def _keep(self, found: SnapshotFile) -> None:
        newest = self.newest
        self._folder.add(found)
        self.succeeded += 1
        self._engine.snapshot_taken(found)
        if newest is not None:
            self._engine.purge(newest.header.last)
        self._settle()
        index = found.header.last.index
        log.info("snapshot_taken_over", message=f"A snapshot of another node is kept: {found.path}", index=index)

    def installed(self, found: SnapshotFile) -> None:
        """See `Snapshots.installed`."""
        self._folder.add(found)
        self._settle()

    async def stop(self, limit: float) -> bool:
        """See `Snapshots.stop`."""
        self._stopping = True
        self._looks.stop()
        last = asyncio.get_running_loop().run_in_executor(self._thread, int)
        _, pending = await asyncio.wait([last], timeout=limit)
        self._thread.shutdown(wait=False)
        return not pending

    def _look(self) -> bool:
        newest = self.newest
        covered = -1 if newest is None else newest.header.last.index
        appended = self._engine.status().appended - self._appended
        if self._applied - covered >= self._most_entries or appended >= self._most_bytes:
            self.ask(covered)
        return True

    def _settle(self) -> None:
        self._appended = self._engine.status().appended
        old = self._folder.surplus()
        if old:
            asyncio.get_running_loop().run_in_executor(self._thread, self._folder.remove, old)

    # -- room on the disk: see `NextSnapshot` ----------------------------------------------------------------

    def expected(self) -> int:
        """See `NextSnapshot.expected`: one like the newest."""
        return 0 if self.newest is None else self.newest.size

    def pending(self, found: Space) -> int:
        """See `NextSnapshot.pending`."""
        return 0

    def deletes(self, size: int) -> None:
        """See `NextSnapshot.deletes`."""

    def relieve(self, found: Space) -> None:
        """See `NextSnapshot.relieve`: a newer one lets the log go."""
        self.ask(-1 if self.newest is None else self.newest.header.last.index)


def _read_through(folder: SnapshotFiles, found: SnapshotFile) -> None:
    """Check every byte of a snapshot; blocking.

    Raises:
        Damaged: one is not what was written.
    """
    for _ in folder.lines(found):
        pass
