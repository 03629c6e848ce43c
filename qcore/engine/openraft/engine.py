"""The engine of a cluster, and of one node that may become one: OpenRaft, behind the border of `qcore_openraft`.

Three threads meet the border: the loop's (this module, `main_items`), the log's (`log_jobs`) and the peer link's
(`rpc_queue`). Rust never calls into Python; each of them fetches what waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from qcore_openraft import Border

from qcore.disk.directory import Directory
from qcore.disk.log.cache import CACHE_BYTES
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import Completion, DiskWriter
from qcore.engine.base import EngineStatus, Host
from qcore.engine.committed import Replayed
from qcore.engine.openraft.cluster_half import ClusterHalf
from qcore.engine.openraft.entries import (
    entry_body,
    entry_parts,
    log_id_parts,
    member_parts,
    membership_parts,
    opaque_body,
)
from qcore.engine.openraft.log_jobs import LogItems, LogJobs, complete
from qcore.engine.openraft.main_items import MainItems
from qcore.engine.openraft.rpc_queue import RaftRpcQueue
from qcore.engine.openraft.start import recover
from qcore.engine.openraft.unwritten import Unwritten
from qcore.model.entry import Entry, LogId, Member, public_id, raft_node_id
from qcore.model.errors import Busy, Fatal, RequestError, Timeout

__all__ = ["OpenRaftEngine", "Timing"]

_CORE_STOP_SECONDS = 6.0
"""The core ends in five seconds at the most, and its runtime soon after."""

_WITNESS_CACHE_BYTES = 4 << 20


class Timing(NamedTuple):
    """Milliseconds that decide who leads."""

    heartbeat: int = 200
    election_min: int = 400
    election_max: int = 700


DEFAULT_TIMING = Timing()


class OpenRaftEngine(ClusterHalf):
    """OpenRaft on `directory`. `on_slow(seconds)` hears of writes of the log that took over `slow_fsync` seconds.

    With `alone`, a blank node forms a cluster of itself; else it waits to be initialised or added. The border keeps
    `cache_bytes` of the newest entries in memory. A `witness` does not read what commands say, and stands for election
    only where no other node has.
    """

    name = "openraft"
    durability = "fsync"

    def __init__(
        self,
        directory: Directory,
        addr: str,
        slow_fsync: float,
        on_slow: Callable[[float], None],
        *,
        alone: bool = True,
        timing: Timing = DEFAULT_TIMING,
        cache_bytes: int = CACHE_BYTES,
        witness: bool = False,
    ) -> None:
        self._directory = directory
        self._addr = addr
        self._slow_fsync = slow_fsync
        self._on_slow = on_slow
        self._forms_alone = alone
        self._read_body = opaque_body if witness else entry_body
        identity = directory.identity
        itself = raft_node_id(identity.node, identity.generation)
        border = Border(
            itself,
            heartbeat_ms=timing.heartbeat,
            election_min_ms=timing.election_min,
            election_max_ms=timing.election_max,
            cache_bytes=_WITNESS_CACHE_BYTES if witness else cache_bytes,
            stands_late=witness,
        )
        super().__init__(border, itself)
        self._unwritten = Unwritten(self._written_index)
        directory.log.cache.max_bytes = 0  # the border keeps the newest entries
        jobs = LogJobs(self._border)
        self._writer = DiskWriter(directory, self._written, jobs=jobs)
        jobs.items = self._log_items = LogItems(self._writer, lambda: self._host.level())
        self._reader = ThreadPoolExecutor(1, "qcore-log-reader")
        self._rpc_queue = RaftRpcQueue(border, self._snapshots)
        self._runs = False
        self._ended = False
        """Nothing is heard of the core any more."""
        self._core_ended = asyncio.Event()
        self._recovered: Replayed
        self._items: MainItems

    # -- life ----------------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotFile | None) -> None:
        """See `Engine.start`."""
        self._host = host
        self._newest = snapshot
        self._recovered = recovered = recover(self._directory, self._writer, self._self, replay, snapshot)
        if recovered.applied is not None:
            self._committed = self._applied = recovered.applied.index

    def run(self) -> None:
        """See `Engine.run`. A blank node alone forms its cluster; one that is alone needs to wait for nobody."""
        self._loop = asyncio.get_running_loop()
        self._items = MainItems(
            self, self._border, self._host, self._directory.log, self._reader, self._snapshots, self._read_body
        )
        recovered = self._recovered
        blank = recovered.membership is None and self._directory.log.last is None
        if blank and self._forms_alone and not self._directory.identity.cluster:
            named = msgspec.structs.replace(self._directory.identity, cluster=secrets.token_hex(16))
            self._writer.save_identity(named)
        self._writer.start(self._fail_soon)
        self._start_core(recovered)
        self._loop.add_reader(self._border.main_fd(), self._deliver)
        self._runs = True
        if blank and self._forms_alone:
            member = member_parts(self._self, Member(self._addr, self._directory.identity.incarnation))
            self._calls.begin(lambda call: self._border.initialize(call, [member]), _ignore)
        elif recovered.alone and not blank:
            self._border.elect()

    def _start_core(self, recovered: Replayed) -> None:
        log, vote, newest = self._directory.log, self._directory.vote, self._newest
        known = recovered.membership
        self._border.start(
            vote=None if vote is None else (vote.term, vote.node, vote.committed),
            purged=None if log.purged is None else log_id_parts(log.purged),
            last=None if log.last is None else log_id_parts(log.last),
            leaders=[log_id_parts(id) for id in log.leaders()],
            applied=None if recovered.applied is None else log_id_parts(recovered.applied),
            tail=[entry_parts(entry) for entry in recovered.tail],
            membership=None if known is None else (membership_parts(known[0]), log_id_parts(known[1])),
            snapshot=None
            if newest is None
            else (
                self._snapshots.add(newest),
                log_id_parts(newest.header.last),
                membership_parts(newest.header.membership),
                log_id_parts(newest.header.membership_id),
            ),
        )
        self._recovered = recovered._replace(tail=[])

    async def stop(self, limit: float) -> bool:
        """See `Engine.stop`; nothing may be proposed any more."""
        end = time.monotonic() + limit
        self._stopping = True
        if not self._runs:
            self._leave()
            return self._writer.stop(limit)
        await self._wait(self._idle if len(self._in_flight) else None, limit / 2)
        through = not len(self._in_flight)
        self._border.stop()
        await self._wait(self._core_ended, min(max(end - time.monotonic(), 0.0), _CORE_STOP_SECONDS))
        ended = self._core_ended.is_set()
        left = max(end - time.monotonic(), 0.0)
        written = await self._loop.run_in_executor(None, self._writer.stop, left)
        if ended:
            await self._loop.run_in_executor(None, self._border.join)
        self._leave()
        self._give_up("the node stops and the log did not answer in time")
        return through and ended and written

    async def _wait(self, event: asyncio.Event | None, limit: float) -> None:
        if event is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await event.wait()

    def abandon(self) -> None:
        """See `Engine.abandon`."""
        self._stopping = True
        self._roles.ended()
        self._border.close_queues()
        self._border.stop()
        self._leave()
        self._writer.stop(0.0)

    def _leave(self) -> None:
        """Hear nothing of the core any more."""
        if self._ended:
            return
        self._ended = True
        if self._pause is not None:
            self._pause.cancel()
        self._border.close_queues()
        if self._runs:
            self._loop.remove_reader(self._border.main_fd())
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, reason: str) -> None:
        for proposal in self._in_flight.take_all():
            self._host.rejected(proposal.token, Timeout(reason, applied="unknown"))
        for barriers in (self._barriers, self._lease_barriers):
            barriers.give_up(Busy("the node is stopping"))
        self._calls.give_up()

    def status(self) -> EngineStatus:
        """See `Engine.status`."""
        roles, log = self._roles, self._directory.log
        leading = self._border.status() if roles.leads else None
        self._contacts.note(leading)
        leader = self._self if roles.leads else roles.leader
        return EngineStatus(
            role="leader" if roles.leads else "follower" if roles.name == "leader" else roles.name,
            leader=None if leader is None else public_id(leader),
            term=roles.term,
            cluster=self._directory.identity.cluster,
            first=None if log.first is None else log.first.index,
            last=None if log.last is None else log.last.index,
            committed=None if self._committed < 0 else self._committed,
            in_flight=len(self._in_flight),
            appended=self._log_items.appended,
            quorum_age=0.0 if roles.leads and roles.alone else self._contacts.quorum_age(),
            peers=self._contacts.peers(leading, log.last),
        )

    def stored(self) -> Mapping[int, LogId]:
        """See `Engine.stored`."""
        leading = self._border.status() if self._roles.leads else None
        return {} if leading is None else self._contacts.stored(leading, self._directory.log.log_id)

    def probe_log(self, done: Callable[[], None]) -> None:
        """See `Engine.probe_log`."""
        self._writer.probe(done)

    def probe_core(self, done: Callable[[], None]) -> None:
        """See `Engine.probe_core`: without a quorum a barrier under the lease is refused, which will do."""
        self._calls.begin(lambda call: self._border.read_barrier(call, 0.0, True), lambda _index, _error: done())

    # -- what the core says; on the loop -------------------------------------------------------------------

    def _deliver(self) -> None:
        if self._writer.failure is not None:  # what the core says since is a consequence
            self.fail(self._writer.failure)
            return
        try:
            self._border.deliver_main(self._items)
        except Fatal as error:
            self.fail(error)

    def done(self, call: int, index: int | None, refusal: tuple[str, str, int | None] | None) -> None:
        """What was asked is done."""
        self._calls.done(call, index, refusal)

    def core_ended(self, reason: str | None) -> None:
        """The core is through; without having been asked to, it is fatal."""
        self._core_ended.set()
        if not self._stopping:
            self.fail(self._writer.failure or Fatal(f"OpenRaft ended: {reason or 'for no reason that it told'}"))

    def fail(self, error: Fatal) -> None:
        """This node cannot go on."""
        if not self._ended:
            self.abandon()
            self._host.failed(error)

    def _written_index(self) -> int:
        last = self._directory.log.last
        return -1 if last is None else last.index

    # -- what the log's thread says ------------------------------------------------------------------------

    def _written(self, completions: Sequence[Completion]) -> None:
        complete(self._border, [each for each in completions if isinstance(each.token, int)])
        for each in completions:
            if not isinstance(each.token, int) and each.error is None:
                self._soon(each.token)
        if self._unwritten.was_full:
            self._soon(self._accept_again)
        slow = max(each.seconds for each in completions)
        if slow > self._slow_fsync:
            self._soon(lambda: self._on_slow(slow))

    def _fail_soon(self, error: Fatal) -> None:
        self._soon(lambda: self.fail(error))

    def _soon(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            self._loop.call_soon_threadsafe(work)


def _ignore(_index: int, _error: RequestError | None) -> None:
    """Where the answer goes of what shows by itself."""
