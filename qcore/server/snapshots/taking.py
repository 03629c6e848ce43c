"""Snapshots of a running node: when one is due, how it is written beside everything else, and what it lets go.

The state is pinned between two entries and turned into lines on the loop, in turns short enough that no request
waits for them; a thread of its own writes and syncs. When a snapshot is durable the log may go up to the one before
it, so that the newest need not be the only one that is good.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from qcore.disk.damage import damaged, newer
from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile, SnapshotHeader, SnapshotWriter
from qcore.disk.space import space
from qcore.engine.base import Engine, SnapshotMeta
from qcore.model.entry import FEATURE_LEVEL, LogId
from qcore.model.errors import Busy, Damaged, DiskFailed, DiskFull, QcoreError, Timeout
from qcore.model.requests.results import SnapshotTaken
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.runtime import logs
from qcore.store.state.snapshot_lines import Loader, StateSnapshot
from qcore.store.state.state import State

__all__ = ["SnapshotTaker", "load"]

_MEGABYTE = 1 << 20
_TURN = 0.002
"""Seconds of work before others are served."""
_SHARE = 3
"""While requests come, this many times as long is left to them between two turns."""
_BUSY = 0.05
"""Seconds since the last request that count as busy."""
_PIECE = 64 << 10
_MOST_AHEAD = 4 << 20
"""Bytes handed to the thread at a time, and that may wait for it."""
_PAUSE = 9
"""Times its own duration that passes after a snapshot before limits of the log ask for the next."""
_LEAST_ROOM = 16 << 20
"""Bytes that stay free beside a snapshot."""
_RETRY = 60.0
"""Seconds that pass after one that failed."""

T = TypeVar("T")

log = logs.get("qcore.snapshots")


def load(directory: Directory) -> tuple[State, SnapshotMeta | None]:
    """The state of the newest good snapshot, and where it leaves off; a fresh state without one. Blocking.

    Raises:
        Damaged: no good snapshot reaches as far as the log has gone.
        Newer: a newer version wrote one.
    """
    snapshots = directory.snapshots
    for found in list(snapshots.found):
        if found.header.feature > FEATURE_LEVEL:
            level = f"feature level {found.header.feature}, this version knows up to {FEATURE_LEVEL}"
            raise newer(found.path, level)
        try:
            state = _read(directory, found)
        except Damaged as problem:
            snapshots.discard(found, problem)
            continue
        header = found.header
        _check_purged(directory, header.last)
        return state, SnapshotMeta(header.last, header.time, header.membership, header.membership_id)
    _check_purged(directory, None)
    return State(), None


def _read(directory: Directory, found: SnapshotFile) -> State:
    loader = Loader()
    try:
        for line in directory.snapshots.lines(found):
            loader.add(line)
        return loader.done(found.header.last.index)
    except (ValueError, LookupError, TypeError, QcoreError) as error:
        if isinstance(error, Damaged):
            raise
        raise damaged(found.path, f"expected lines of a state, but one does not fit: {error}") from error


def _check_purged(directory: Directory, last: LogId | None) -> None:
    purged = directory.purged
    if purged is None or (last is not None and last.index >= purged.index):
        return
    problems = "; ".join(problem.message for problem in directory.snapshots.problems)
    raise damaged(
        str(directory.path / "snapshots"),
        f"expected a good snapshot at log index {purged.index} or above, up to which the log is gone, "
        f"found {'none' if last is None else f'one at {last.index}'}{f' ({problems})' if problems else ''}",
    )


class SnapshotTaker:
    """Takes snapshots: told of each entry that is applied, asked by clients.

    `last_call` gives the monotonic time of the latest request, `between` says whether no entry is half applied.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        last_call: Callable[[], float],
        between: Callable[[], bool],
    ) -> None:
        self._state = state
        self._engine = engine
        self._folder = directory.snapshots
        self._path = str(directory.path)
        self._last_call = last_call
        self._between = between
        self._interval = settings.log_cleanup_interval
        # What two snapshots hold goes, so that each may take half of what may stay.
        self._most_entries = settings.max_log_files // 2
        directory.log.max_spares = settings.max_log_files
        self._most_bytes = settings.max_log_size_mb * _MEGABYTE // 2
        self._thread = ThreadPoolExecutor(1, "qcore-snapshots")
        self._looked = -1
        self._appended = 0
        self._not_before = 0.0
        self._waiting: list[Call] = []
        self._running: _Running | None = None
        self._stopping = False
        self._last: LogId | None = None

    @property
    def newest(self) -> SnapshotFile | None:
        """The snapshot with the highest log index."""
        return self._folder.found[0] if self._folder.found else None

    def replayed(self, last: LogId) -> None:
        """An entry of the log on disk is applied."""
        self._last = last

    def applied(self, last: LogId) -> None:
        """An entry is applied and nothing of the next one is: the place for a snapshot."""
        self._last = last
        if self._running is None and not self._stopping and (self._waiting or self._is_due(last)):
            self._begin()

    def take(self, call: Call) -> None:
        """Take one for a client; it is answered when it is durable."""
        self._waiting.append(call)
        call.fail_at_deadline(Timeout(f"{call.method}: the snapshot is not durable yet; it goes on being written"))
        self._go_on()

    async def stop(self) -> None:
        """Give up what is under way, and begin nothing any more."""
        self._stopping = True
        calls, self._waiting = self._waiting, []
        _refuse(calls)
        if self._running is not None:
            self._running.give_up("the node is stopping")
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def _is_due(self, last: LogId) -> bool:
        if last.index - self._looked < self._interval:
            return False
        self._looked = last.index
        if time.monotonic() < self._not_before:
            return False
        base = -1 if self.newest is None else self.newest.header.last.index
        appended = self._engine.status().appended - self._appended
        return last.index - base >= self._most_entries or appended >= self._most_bytes

    def _go_on(self) -> None:
        """Answer whom the newest snapshot serves; begin another for the rest, now or when an entry is through."""
        if not self._waiting or self._running is not None or not self._between():
            return
        newest = self.newest
        if newest is None or newest.header.last.index < self._state.applied:
            self._begin()
            return
        calls, self._waiting = self._waiting, []
        for call in calls:
            call.result(_taken(newest))

    def _begin(self) -> None:
        assert self._last is not None
        calls, self._waiting = self._waiting, []
        problem = self._lacks_room()
        if problem is not None:
            self._failed(problem, calls)
            return
        snapshot = StateSnapshot(self._state)
        membership, membership_id = self._engine.membership()
        header = SnapshotHeader(
            last=self._last,
            membership=membership,
            membership_id=membership_id,
            feature=self._state.level,
            time=self._state.time,
            revision=snapshot.revision,
            digest=snapshot.digest,
            counts=snapshot.counts,
        )
        self._appended = self._engine.status().appended
        writer = self._folder.begin(header, int(time.time()))
        self._running = _Running(snapshot, writer, self._thread, self._is_busy)
        self._running.start(lambda found, error: self._ended(found, error, calls))

    def _lacks_room(self) -> str | None:
        """Whether the file may take room that the log needs."""
        found, newest = space(self._path), self.newest
        expected = _LEAST_ROOM + (2 * newest.size if newest is not None else 0)
        if found is None or found.free >= expected:
            return None
        return f"there are {found.free} bytes free, {expected} may be needed"

    def _is_busy(self) -> bool:
        return time.monotonic() - self._last_call() < _BUSY

    def _ended(self, found: SnapshotFile | None, error: str, calls: list[Call]) -> None:
        assert self._running is not None
        took = self._running.took
        self._running = None
        if found is not None:
            self._durable(found, took, calls)
        elif self._stopping:
            _refuse(calls)
        else:
            self._failed(error, calls)
        self._go_on()

    def _durable(self, found: SnapshotFile, took: float, calls: list[Call]) -> None:
        before, header = self.newest, found.header
        self._not_before = time.monotonic() + _PAUSE * took
        self._folder.add(found)
        log.info(
            "snapshot_taken",
            message=f"Snapshot of revision {header.revision} taken: {found.path}",
            index=header.last.index,
            revision=header.revision,
            bytes=found.size,
            seconds=round(took, 3),
        )
        if before is not None:
            self._engine.purge(before.header.last)
        self._remove(self._folder.surplus())
        for call in calls:
            call.result(_taken(found))

    def _failed(self, problem: str, calls: list[Call]) -> None:
        """It could not be written, which costs nothing but room in the log."""
        self._not_before = time.monotonic() + _RETRY
        log.warning("snapshot_failed", message=f"No snapshot was taken: {problem}")
        for call in calls:
            call.fail(DiskFull(f"no snapshot was taken: {problem}"))

    def _remove(self, old: list[SnapshotFile]) -> None:
        def removed(future: asyncio.Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                log.warning("snapshot_kept", message=f"An old snapshot was not removed: {error}")

        if old:
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._folder.remove, old)
            work.add_done_callback(removed)


class _Running:
    """One snapshot being written; `took` are the seconds so far."""

    def __init__(
        self, snapshot: StateSnapshot, writer: SnapshotWriter, thread: ThreadPoolExecutor, is_busy: Callable[[], bool]
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
            if self._ahead >= _MOST_AHEAD:
                self._paused = True
                return
            if not self._make():
                return
            took = time.monotonic() - begun
            if took > _TURN:
                pause = _SHARE * took if self._is_busy() else 0.0
                asyncio.get_running_loop().call_later(pause, self._turn)
                return

    def _make(self) -> bool:
        """Hand the next piece to the thread; False if it was the last one."""
        piece = bytearray()
        for lines in self._pieces:
            piece += lines
            if len(piece) >= _PIECE:
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


def _taken(found: SnapshotFile) -> SnapshotTaken:
    return SnapshotTaken(found.header.last.index, found.header.revision, found.path)


def _refuse(calls: list[Call]) -> None:
    for call in calls:
        call.fail(Busy("the node is stopping"))
