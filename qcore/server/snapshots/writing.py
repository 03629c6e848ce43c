"""One snapshot on its way to the disk: lines are made on the loop in short turns, a thread writes and syncs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from qcore.disk.snapshot_files import SnapshotFile, SnapshotWriter
from qcore.model.errors import DiskFailed
from qcore.server.runtime import budgets
from qcore.store.state.snapshot_lines import StateSnapshot

__all__ = ["SnapshotInProgress", "SnapshotMeasure"]

T = TypeVar("T")


class SnapshotInProgress:
    """One snapshot being written; `took` are the seconds so far."""

    def __init__(
        self, snapshot: StateSnapshot, writer: SnapshotWriter, thread: Executor, is_busy: Callable[[], bool]
    ) -> None:
        self._snapshot = snapshot
        self._pieces = snapshot.pieces()
        self._writer = writer
        self._thread = thread
        self._is_busy = is_busy
        self._done: Callable[[SnapshotFile | None, str], None]
        self._begun = time.monotonic()
        self._ahead = 0
        self._paused = False
        self._over = False

    @property
    def took(self) -> float:
        return time.monotonic() - self._begun

    @property
    def written(self) -> int:
        """Bytes that are in the file so far."""
        return self._writer.size

    def start(self, done: Callable[[SnapshotFile | None, str], None]) -> None:
        """Begin; `done` gets what became durable, or why nothing did."""
        self._done = done
        asyncio.get_running_loop().call_soon(self._turn)

    def give_up(self, problem: str) -> None:
        """End it now."""
        if not self._over:
            self._over = True
            self._snapshot.release()
            self._thread.submit(self._writer.abandon)
            self._done(None, problem)

    def _turn(self) -> None:
        """Make lines for a moment; then leave the loop to others for longer, if there are any."""
        begun = time.monotonic()
        while not self._over:
            if self._ahead >= budgets.SNAPSHOT_AHEAD_BYTES:
                self._paused = True
                return
            if not self._make():
                return
            took = time.monotonic() - begun
            if took > budgets.SNAPSHOT_TURN_SECONDS:
                pause = budgets.SNAPSHOT_SHARE * took if self._is_busy() else 0.0
                asyncio.get_running_loop().call_later(pause, self._turn)
                return

    def _make(self) -> bool:
        """Hand the next piece to the thread; False if it was the last one."""
        piece = bytearray()
        for lines in self._pieces:
            piece += lines
            if len(piece) >= budgets.SNAPSHOT_CHUNK_BYTES:
                self._hand_over(bytes(piece))
                return True
        self._hand_over(bytes(piece))
        self._snapshot.release()
        self._submit(self._writer.finish, self._finished)
        return False

    def _hand_over(self, piece: bytes) -> None:
        self._ahead += len(piece)
        self._submit(lambda: self._writer.write(piece), lambda _: self._written(len(piece)))

    def _submit(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        def ended(future: asyncio.Future[T]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self.give_up(error.message if isinstance(error, DiskFailed) else repr(error))
            elif not self._over and not future.cancelled():
                then(future.result())

        asyncio.get_running_loop().run_in_executor(self._thread, work).add_done_callback(ended)

    def _written(self, size: int) -> None:
        self._ahead -= size
        if self._paused:
            self._paused = False
            self._turn()

    def _finished(self, found: SnapshotFile) -> None:
        self._over = True
        self._done(found, "")


class SnapshotMeasure:
    """How many bytes a snapshot would take: its lines are made in the same short turns, and go nowhere."""

    def __init__(self, snapshot: StateSnapshot, is_busy: Callable[[], bool], done: Callable[[int], None]) -> None:
        self._snapshot = snapshot
        self._pieces = snapshot.pieces()
        self._is_busy = is_busy
        self._done = done
        self._size = 0
        self._over = False
        asyncio.get_running_loop().call_soon(self._turn)

    def give_up(self) -> None:
        """End it; nobody hears of a size."""
        if not self._over:
            self._over = True
            self._snapshot.release()

    def _turn(self) -> None:
        begun = time.monotonic()
        while not self._over:
            piece = next(self._pieces, None)
            if piece is None:
                self.give_up()
                self._done(self._size)
                return
            self._size += len(piece)
            took = time.monotonic() - begun
            if took > budgets.SNAPSHOT_TURN_SECONDS:
                pause = budgets.SNAPSHOT_SHARE * took if self._is_busy() else 0.0
                asyncio.get_running_loop().call_later(pause, self._turn)
                return
