"""Snapshots of a running node: when one is due, who waits for one, and what of the log and of older ones it lets go.

The state is pinned between two entries and written beside everything else (`writing`). When a snapshot is durable the
log may go up to the one before it, so that the newest need not be the only one that is good.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile, SnapshotHeader
from qcore.disk.space import Space, files_reserve, last_files, last_slice, space, wanted_reserve
from qcore.engine.base import Engine
from qcore.model.entry import LogId, Membership, raft_node_id
from qcore.model.errors import Busy, DiskFull, RequestError, Timeout
from qcore.model.requests.results import SnapshotTaken
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.worker import Worker
from qcore.server.snapshots.relief import Relief, Short
from qcore.server.snapshots.size import SnapshotSize
from qcore.server.snapshots.spread import Place, place_of
from qcore.server.snapshots.writing import SnapshotInProgress, SnapshotMeasure
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State

__all__ = ["SnapshotTaker"]

Waiter = Callable[[SnapshotFile | None, RequestError | None], None]
"""Hears of the snapshot that became durable, or why there is none."""

log = logs.get("qcore.snapshots")


class SnapshotTaker:
    """Takes snapshots: told of each entry that is applied, asked by clients and by the engine.

    `last_activity` gives the monotonic time of the latest request or apply, `between_entries` says whether no entry is
    half applied, `membership` gives the last one applied.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        last_activity: Callable[[], float],
        between_entries: Callable[[], bool],
        membership: Callable[[], tuple[Membership, LogId]],
    ) -> None:
        self._state = state
        self._engine = engine
        self._folder = directory.snapshots
        self._node = raft_node_id(directory.identity.node, directory.identity.generation)
        self._path = str(directory.path)
        self._wanted = None if settings.disk_reserve_mb is None else settings.disk_reserve_mb * budgets.MEGABYTE
        self._last_activity = last_activity
        self._between_entries = between_entries
        self._membership = membership
        self._interval = settings.log_cleanup_interval
        # What two snapshots hold goes, so that each may take half of what may stay.
        self._most_entries = settings.max_log_files // 2
        directory.log.max_spares = settings.max_log_files
        self._most_bytes = settings.max_log_size_mb * budgets.MEGABYTE // 2
        self._thread = Worker("qcore-snapshots")
        self._looked = -1
        self._appended = 0
        self._not_before = 0.0
        self._waiting: list[Waiter] = []
        self._expected_at_begin = 0
        self._served: list[Waiter] = []
        """Who waits for the one being written."""
        self._running: SnapshotInProgress | None = None
        self._measure: SnapshotMeasure | None = None
        self._counted = False
        """Whether the size was counted for those who wait."""
        self._measured: list[asyncio.Future[int]] = []
        self._stopping = False
        self.succeeded = self.failures = 0
        self.seconds = 0.0
        """How long the last one took."""
        self._last: LogId | None = None
        newest = self.newest
        self._size = SnapshotSize(
            directory.log.found.size + (0 if newest is None else newest.size), len(state.entities)
        )
        self._relief = Relief(directory, engine, self)

    @property
    def running(self) -> bool:
        """Whether one is being written."""
        return self._running is not None

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
        if self._is_free():
            if self._measured:
                self._count()
            elif self._waiting or self._is_due(last):
                self._begin()

    def take(self, call: Call) -> None:
        """Take one for a client; it is answered when it is durable."""
        call.fail_at_deadline(Timeout(f"{call.method}: the snapshot is not durable yet; it goes on being written"))
        self._waiting.append(lambda found, error: _answer(call, found, error))
        self._go_on()

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        """Take one for the engine, or give it the newest if nothing was applied since."""
        self._waiting.append(lambda found, _error: done(found))
        self._go_on()

    def installed(self, found: SnapshotFile) -> None:
        """The state is that of a received snapshot now: one that is being written is older, and given up."""
        self._last = found.header.last
        self._looked = found.header.last.index
        self._folder.add(found)
        self._size.count(found.size, self._engine.status().appended, len(self._state.entities))
        measure, self._measure = self._measure, None
        if measure is not None:
            measure.give_up()
        running, self._running = self._running, None
        if running is not None:
            self._waiting, self._served = [*self._served, *self._waiting], []
            running.give_up("a newer one was installed")
        self._remove(self._folder.surplus())
        self._go_on()

    async def stop(self, limit: float) -> bool:
        """Give up what is under way, and begin nothing any more; returns whether the disk let go in `limit` seconds."""
        self._stopping = True
        self._go_on()
        await self._relief.stop()
        if self._measure is not None:
            self._measure.give_up()
        if self._running is not None:
            self._running.give_up("the node is stopping")
        last = asyncio.get_running_loop().run_in_executor(self._thread, int)
        _, pending = await asyncio.wait([last], timeout=limit)
        self._thread.shutdown(wait=False)
        return not pending

    def _is_due(self, last: LogId) -> bool:
        if last.index - self._looked < self._interval:
            return False
        self._looked = last.index
        if time.monotonic() < self._not_before:
            return False
        covered = -1 if self.newest is None else self.newest.header.last.index
        appended = self._engine.status().appended - self._appended
        place = self._place()
        return last.index >= place.due_index(covered, self._most_entries) or appended >= place.due_bytes(
            self._most_bytes
        )

    def _place(self) -> Place:
        return place_of(self._node, self._membership()[0])

    def _go_on(self) -> None:
        """Answer whom the newest snapshot serves; begin another for the rest, now or when an entry is through."""
        if self._stopping:
            waiting, self._waiting = self._waiting, []
            _refuse(waiting, Busy("the node is stopping"))
            return
        if not self._is_free() or not self._between_entries():
            return
        if self._measured:
            self._count()
        if self._measured or not self._waiting:
            return
        newest = self.newest
        if newest is None or newest.header.last.index < self._state.applied:
            self._begin()
            return
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell(newest, None)

    def _is_free(self) -> bool:
        return self._running is None and self._measure is None and not self._stopping

    def _begin(self) -> None:
        assert self._last is not None
        found = self._space()
        problem = self._lacks_space(found)
        if problem is not None and not self._counted:
            self._count()
            return
        self._counted = False
        self._served, self._waiting = self._waiting, []
        if problem is not None:
            self._failed(problem)
            return
        snapshot = StateSnapshot(self._state)
        membership, membership_id = self._membership()
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
        self._expected_at_begin = self.expected()
        writer = self._folder.begin(header, int(time.time()), self._left(found))
        self._running = SnapshotInProgress(snapshot, writer, self._thread, self._is_busy)
        self._running.start(self._ended)

    def started(self) -> None:
        """The log is read. On a disk that may be short, count what the state takes; blocking."""
        found = self._space()
        if found.free < 2 * (self.expected() + self._last_slice(found)):
            snapshot = StateSnapshot(self._state)
            size = sum(map(len, snapshot.pieces()))
            snapshot.release()
            self._size.count(size, self._engine.status().appended, len(self._state.entities))

    # -- room on the disk ----------------------------------------------------------------------------------

    def expected(self) -> int:
        """See `NextSnapshot.expected`."""
        return self._size.expected(self._engine.status().appended, len(self._state.entities))

    def pending(self, found: Space) -> int:
        """See `NextSnapshot.pending`."""
        if self._running is not None:
            return max(self._expected_at_begin - self._running.written, 0)
        return self.expected() if self._makes_room(found) else 0

    def _makes_room(self, found: Space) -> bool:
        """Whether enough has come into the log to be let go, as far as is known without looking.

        Deletions then wait until it was looked at, as they may take the room that a snapshot just fits into.
        """
        newest = self.newest
        covered = max(self._relief.in_vain, -1 if newest is None else newest.header.last.index)
        return (self._state.applied - covered) * budgets.FILE_BLOCK_BYTES >= self._last_slice(found) // 2

    def deletes(self, size: int) -> None:
        """See `NextSnapshot.deletes`."""
        self._size.deletes(size)

    def applied_index(self) -> int:
        """See `Taker.applied_index`."""
        return self._state.applied

    def relieve(self, found: Space) -> None:
        """See `NextSnapshot.relieve`."""
        if not self._stopping:
            last, files, left = self._last_slice(found), last_files(found.total_files), found.free_files
            self._relief.begin(
                Short(
                    last,
                    files if left is not None and left < files_reserve(found.total_files) else None,
                    urgent=found.free - self.expected() < last + last // 2 or (left is not None and left < 2 * files),
                    entities=len(self._state.entities),
                )
            )

    def fits(self) -> bool:
        """See `Taker.fits`."""
        return self._lacks_space(self._space()) is None

    async def in_thread(self, work: Callable[[], object]) -> None:
        """See `Taker.in_thread`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def measured(self) -> int:
        """See `Taker.measured`."""
        if not self._size.is_exact(self._engine.status().appended):
            counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._measured.append(counted)
            self._go_on()
            return await counted
        return self.expected()

    async def taken(self) -> bool:
        """See `Taker.taken`."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def tell(found: SnapshotFile | None, _error: RequestError | None) -> None:
            if not done.done():
                done.set_result(found is not None)

        self._waiting.append(tell)
        self._go_on()
        return await done

    def _space(self) -> Space:
        """What the disk has left; one that does not say has room for everything."""
        return space(self._path) or Space(0, sys.maxsize)

    def _last_slice(self, found: Space) -> int:
        return last_slice(wanted_reserve(found, self._wanted))

    def _left(self, found: Space) -> int:
        """Bytes that a snapshot leaves to the log."""
        return self._last_slice(found) // budgets.SNAPSHOT_LEFT_SHARE

    def _lacks_space(self, found: Space) -> str | None:
        """Why the file would take space that the log needs, None if it does not."""
        needed = self.expected() + self._left(found)
        return None if found.free >= needed else f"there are {found.free} bytes free, {needed} may be needed"

    def _count(self) -> None:
        """Count how large a snapshot is; then whoever waits for one, or for its size, goes on."""
        appended, entities = self._engine.status().appended, len(self._state.entities)

        def counted(size: int) -> None:
            self._measure = None
            self._counted = True
            self._size.count(size, appended, entities)
            measured, self._measured = self._measured, []
            for future in measured:
                if not future.done():
                    future.set_result(size)
            self._go_on()

        self._measure = SnapshotMeasure(StateSnapshot(self._state), self._is_busy, counted)

    def _is_busy(self) -> bool:
        return time.monotonic() - self._last_activity() < budgets.SNAPSHOT_BUSY_SECONDS

    def _ended(self, found: SnapshotFile | None, problem: str) -> None:
        if self._running is None:  # given up for a newer one, which serves who waits
            return
        took = self._running.took
        self._running = None
        if found is not None:
            self._durable(found, took)
        elif self._stopping:
            _refuse(self._served, Busy("the node is stopping"))
        else:
            self._failed(problem)
        self._go_on()

    def _durable(self, found: SnapshotFile, took: float) -> None:
        before, header = self.newest, found.header
        self._not_before = time.monotonic() + self._place().pause(budgets.SNAPSHOT_PAUSE * took)
        self._folder.add(found)
        self.succeeded, self.seconds = self.succeeded + 1, took
        self._size.count(found.size, self._appended, sum(header.counts.values()))
        log.info(
            "snapshot_taken",
            message=f"Snapshot of revision {header.revision} taken: {found.path}",
            index=header.last.index,
            revision=header.revision,
            bytes=found.size,
            seconds=round(took, 3),
        )
        self._engine.snapshot_taken(found)
        if before is not None:
            self._engine.purge(before.header.last)
        self._remove(self._folder.surplus())
        served, self._served = self._served, []
        for tell in served:
            tell(found, None)

    def _failed(self, problem: str) -> None:
        """It could not be written, which costs nothing but space in the log."""
        self._not_before = time.monotonic() + budgets.SNAPSHOT_RETRY_SECONDS
        self.failures += 1
        log.warning("snapshot_failed", message=f"No snapshot was taken: {problem}")
        served, self._served = self._served, []
        _refuse(served, DiskFull(f"no snapshot was taken: {problem}"))

    def _remove(self, old: list[SnapshotFile]) -> None:
        def removed(future: asyncio.Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                log.warning("snapshot_kept", message=f"An old snapshot was not removed: {error}")

        if old:
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._folder.remove, old)
            work.add_done_callback(removed)


def _answer(call: Call, found: SnapshotFile | None, error: RequestError | None) -> None:
    if found is not None:
        call.result(SnapshotTaken(found.header.last.index, found.header.revision, found.path))
    elif error is not None:
        call.fail(error)


def _refuse(waiting: list[Waiter], error: RequestError) -> None:
    for tell in waiting:
        tell(None, error)
