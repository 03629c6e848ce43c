"""The engine of one node alone: append, fsync, committed. No Rust, no peers; the same files as a cluster's.

What it writes is a legal Raft log: entry 0 is the membership of this node, each start raises the term by a
vote for itself and opens it with a blank entry, and everything stored counts as committed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time as clock
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.log.record import encode
from qcore.engine.base import EngineStatus, Host, Proposal, SnapshotMeta
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId, Member, Membership, Vote, public_id, raft_node_id
from qcore.model.errors import DiskFailed, ExtensionMissing, Fatal

__all__ = ["NOTHING_TO_WAIT_FOR", "EmbeddedEngine"]

NOTHING_TO_WAIT_FOR = -1
"""A log index that every state has applied."""

_WINDOW = 1
"""Entries on their way at a time: while one is written, the next gathers all that arrives. With more of them each
gathers less, which costs a tenth of the writes of 50 clients and gains a lone one nothing."""

_HINT_EVERY = 0.1
"""Seconds between two writings of committed.json, which is a hint."""

_Append = tuple[LogId, bytes, Entry, Any]
_Purge = LogId


class EmbeddedEngine:
    """One node that leads itself. `slow(seconds)` hears of appends that took longer than `slow_fsync` seconds."""

    name = "embedded"
    durability = "fsync"

    def __init__(self, directory: Directory, addr: str, slow_fsync: float, slow: Callable[[float], None]) -> None:
        self._directory = directory
        self._addr = addr
        self._slow_fsync = slow_fsync
        self._slow = slow
        identity = directory.identity
        self._self = raft_node_id(identity.node, identity.generation)
        self._term = 0
        self._last: LogId | None = None
        self._committed: LogId | None = None
        self._time = 0
        self._membership: tuple[Membership, LogId]
        self._appended = 0
        self._in_flight = 0
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: SimpleQueue[_Append | _Purge | None] = SimpleQueue()
        """For the log's thread, in order; None at the end."""
        self._done: list[_Append | Fatal] = []
        self._failed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="qcore-log", daemon=True)
        self._host: Host
        self._loop: asyncio.AbstractEventLoop

    # -- start and stop ------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], base: SnapshotMeta | None) -> None:
        """See `Engine.start`.

        Raises:
            ExtensionMissing: the log names other nodes, which only the OpenRaft engine can lead.
            DiskFailed: nothing can be written.
        """
        self._host = host
        log = self._directory.log
        known: tuple[Membership, LogId] | None = None
        if base is not None:
            known = base.membership, base.membership_id
            self._time = base.time
            self._fit(base.last)
        for entry in () if log.first is None else log.replay(self._behind(base)):
            if entry.body.membership is not None:
                known = entry.body.membership, entry.id
            self._time = max(self._time, entry.body.time)
            replay(entry)
        if known is not None:
            self._check_alone(known[0])
            self._membership = known
        self._last = self._committed = log.last
        self._campaign(known is None and log.last is None, replay)
        self._loop = asyncio.get_running_loop()
        self._directory.prepare(self._finish)
        self._thread.start()

    def _behind(self, base: SnapshotMeta | None) -> int:
        first = self._directory.log.first
        assert first is not None
        return first.index if base is None else max(first.index, base.last.index + 1)

    def _fit(self, last: LogId) -> None:
        """Drop a log that ends below a snapshot, or is not the one that led to it."""
        log = self._directory.log
        reaches = log.last is not None and log.last.index >= last.index
        if reaches and log.log_id(last.index) not in (None, last):
            assert log.first is not None
            log.truncate(log.first.index)
            reaches = False
        if not reaches:
            log.purge(last)

    def _check_alone(self, membership: Membership) -> None:
        if membership.configs != [[self._self]] or list(membership.nodes) != [self._self]:
            others = sorted({public_id(node) for node in membership.nodes} - {public_id(self._self)})
            raise ExtensionMissing(
                f"{self._directory.path} belongs to a cluster with the nodes {others or list(membership.nodes)}: "
                "that needs the OpenRaft engine (the extension qcore._openraft), which is not installed"
            )

    def _campaign(self, blank: bool, replay: Callable[[Entry], None]) -> None:
        """Elect itself for a new term and open it; a blank disk gets its cluster and its membership first."""
        directory = self._directory
        if blank:
            if not directory.identity.cluster:
                directory.save_identity(msgspec.structs.replace(directory.identity, cluster=secrets.token_hex(16)))
            member = Member(self._addr, directory.identity.incarnation)
            membership = Membership([[self._self]], {self._self: member})
            self._append_now(0, EntryBody(FEATURE_LEVEL, self.now(), "membership", membership=membership), replay)
        vote = directory.vote
        self._term = max(vote.term if vote is not None else 0, self._last.term if self._last else 0) + 1
        directory.save_vote(Vote(self._term, self._self, committed=True))
        self._append_now(self._term, EntryBody(FEATURE_LEVEL, self.now(), "blank"), replay)

    def _append_now(self, term: int, body: EntryBody, replay: Callable[[Entry], None]) -> None:
        id = LogId(term, self._self, 0 if self._last is None else self._last.index + 1)
        self._directory.log.append(id, encode(id, body))
        if body.membership is not None:
            self._membership = body.membership, id
        self._last = self._committed = id
        replay(Entry(id, body))

    async def stop(self) -> None:
        """See `Engine.stop`; nothing may be proposed any more."""
        self._stopping = True
        await self._idle.wait()
        if self._thread.is_alive():
            self._jobs.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._directory.save_committed(self._committed, sync=True)

    # -- the batch protocol --------------------------------------------------------------------------------

    def now(self) -> int:
        """Entry time in ns: the clock, never behind an earlier entry."""
        self._time = max(self._time, clock.time_ns())
        return self._time

    def has_room(self) -> bool:
        """See `Engine.has_room`."""
        return self._in_flight < _WINDOW and not self._stopping

    def propose(self, proposal: Proposal) -> None:
        """See `Engine.propose`; the entry is encoded here and written by the log's thread."""
        assert self._last is not None
        id = LogId(self._term, self._self, self._last.index + 1)
        record = encode(id, proposal.body)
        self._last = id
        self._appended += len(record)
        self._in_flight += 1
        self._idle.clear()
        self._jobs.put((id, record, Entry(id, proposal.body), proposal.token))

    def read_barrier(self, done: Callable[[int], None]) -> None:
        """See `Engine.read_barrier`: what was answered is applied already, so there is nothing to wait for."""
        done(NOTHING_TO_WAIT_FOR)

    def membership(self) -> tuple[Membership, LogId]:
        """See `Engine.membership`."""
        return self._membership

    def purge(self, upto: LogId) -> None:
        """See `Engine.purge`; the log's thread does it between two entries."""
        if not self._stopping:
            self._jobs.put(upto)

    def status(self) -> EngineStatus:
        """See `Engine.status`."""
        node = public_id(self._self)
        log = self._directory.log
        return EngineStatus(
            role="leader",
            leader=node,
            term=self._term,
            cluster=self._directory.identity.cluster,
            first=None if log.first is None else log.first.index,
            last=None if self._last is None else self._last.index,
            committed=None if self._committed is None else self._committed.index,
            in_flight=self._in_flight,
            appended=self._appended,
        )

    # -- the log's thread ----------------------------------------------------------------------------------

    def _write(self) -> None:
        """Do one job after another: an entry is durable before the next is begun."""
        hinted = 0.0
        try:
            while (job := self._jobs.get()) is not None:
                if isinstance(job, LogId):
                    self._directory.log.purge(job)
                    continue
                begun = clock.monotonic()
                self._directory.log.append(job[0], job[1])
                self._finish(job)
                took = clock.monotonic() - begun
                if took > self._slow_fsync:
                    self._loop.call_soon_threadsafe(self._slow, took)
                if begun - hinted > _HINT_EVERY:
                    self._directory.save_committed(job[0])
                    hinted = begun
        except DiskFailed as exc:
            self._finish(exc)
        except Exception as exc:
            self._finish(Fatal(f"writing the log failed: {exc!r}"))

    def _finish(self, done: _Append | Fatal) -> None:
        """Tell the loop; called from the log's thread and, of a failure, from the one that prepares files."""
        with self._lock:
            self._done.append(done)
            if len(self._done) > 1:
                return
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            finished, self._done = self._done, []
        if self._failed:
            return
        for job in finished:
            if isinstance(job, Fatal):
                self._failed = True
                self._host.failed(job)
                return
            self._in_flight -= 1
            self._committed = job[0]
        self._host.room()
        for job in finished:
            if not isinstance(job, Fatal):
                self._host.committed(job[2], job[3])
        if self._in_flight == 0:
            self._idle.set()
