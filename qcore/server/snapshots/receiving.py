"""Snapshots that other nodes sent: each is read into a second state beside everything else, before it is installed.

So installing one takes no time, in which a node could neither apply nor answer its leader; and one that is damaged is
known before anything depends on it.
"""

from __future__ import annotations

import asyncio

from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.engine.base import LoadDone
from qcore.model.errors import Busy, QcoreError
from qcore.server.recovery import read_snapshot
from qcore.server.runtime.scheduler import Scheduler, step_of
from qcore.store.state.state import State

__all__ = ["ReceivedSnapshots"]


class ReceivedSnapshots:
    """Reads snapshots of `files` in slices; the last one that was read is kept until it is taken."""

    def __init__(self, files: SnapshotFiles, scheduler: Scheduler) -> None:
        self._files = files
        self._scheduler = scheduler
        self._loading: asyncio.Future[State] | None = None
        self._loaded: tuple[SnapshotFile, State] | None = None

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        """Read one, in place of any before; see `Host.load`."""
        self.forget()
        self._loading = loading = self._scheduler.run(read_snapshot(self._files, found))
        loading.add_done_callback(lambda loading: self._ended(found, loading, done))

    def take(self, found: SnapshotFile) -> State:
        """The state of a snapshot that was read, which is kept no more."""
        assert self._loaded is not None
        assert self._loaded[0] == found, "another one was loaded"
        (_, state), self._loaded = self._loaded, None
        return state

    def forget(self) -> None:
        """Give up the one that is being read, and take apart the one that was."""
        if self._loading is not None:
            self._loading.cancel()
        if self._loaded is not None:
            (_, state), self._loaded = self._loaded, None
            state.adopt(State(), lambda work: self._scheduler.add(step_of(work)))

    def _ended(self, found: SnapshotFile, loading: asyncio.Future[State], done: LoadDone) -> None:
        if self._loading is loading:
            self._loading = None
        if loading.cancelled():
            done(Busy("reading the snapshot was given up"))
            return
        error = loading.exception()
        if error is None:
            self._loaded = found, loading.result()
        elif not isinstance(error, QcoreError):
            raise error
        done(error)
