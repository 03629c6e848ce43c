"""The engine of one node alone: append, fsync, committed. No Rust, no peers; the same files as a cluster's.

What it writes is a legal Raft log: entry 0 is the membership of this node, each start raises the term by a vote for
itself and opens it with a blank entry, and everything stored counts as committed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time as clock
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.log.record import encode, encode_body
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.alone import Alone
from qcore.engine.base import BarrierDone, EngineStatus, Host, Proposal, SnapshotMeta
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership, Vote, public_id, raft_node_id
from qcore.model.errors import DiskFailed, ExtensionMissing, Fatal, Timeout

__all__ = ["NOTHING_TO_WAIT_FOR", "EmbeddedEngine"]

NOTHING_TO_WAIT_FOR = -1
"""A log index that every state has applied."""

_WINDOW = 1
"""Entries on their way to the disk at a time: while one is written, the next gathers all that arrives. With more of
them each gathers less, which costs a tenth of the writes of 50 clients and gains a lone one nothing."""

_UNAPPLIED_ENTRIES = 8
"""Committed entries that may wait to be applied when another is proposed."""

_HINT_SECONDS = 0.1
"""Time between two writings of committed.json, which is a hint."""


class _Append:
    """An entry on its way to the disk; `opens` says that it is the first one of a term."""

    __slots__ = ("entry", "id", "opens", "record", "token")

    def __init__(self, id: LogId, body: EntryBody, token: Any, opens: bool = False) -> None:
        self.id = id
        self.record = encode(id, encode_body(body))
        self.entry = Entry(id, body)
        self.token = token
        self.opens = opens


class EmbeddedEngine(Alone):
    """One node that leads itself. `on_slow(seconds)` hears of appends that took longer than `slow_fsync` seconds."""

    name = "embedded"
    durability = "fsync"

    def __init__(self, directory: Directory, addr: str, slow_fsync: float, on_slow: Callable[[float], None]) -> None:
        self._directory = directory
        self._addr = addr
        self._slow_fsync = slow_fsync
        self._on_slow = on_slow
        identity = directory.identity
        self._self = raft_node_id(identity.node, identity.generation)
        self._term = 0
        self._leads = False
        self._last: LogId | None = None
        self._committed: LogId | None = None
        self._applied = -1
        self._blank_disk = False
        self._appended = 0
        self._open: deque[_Append] = deque()
        """What was proposed and is not durable yet."""
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: SimpleQueue[_Append | LogId | None] = SimpleQueue()
        """For the log's thread, in order: an append, a purge up to a log id, None at the end."""
        self._done: list[_Append | Fatal] = []
        self._failed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="qcore-log", daemon=True)
        self._host: Host
        self._loop: asyncio.AbstractEventLoop

    # -- life ----------------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotMeta | None) -> None:
        """See `Engine.start`: everything stored counts as committed.

        Raises:
            ExtensionMissing: the log names other nodes, which only the OpenRaft engine can lead.
            DiskFailed: nothing can be written.
        """
        self._host = host
        log = self._directory.log
        known: Membership | None = None
        if snapshot is not None:
            known = snapshot.membership
            self._fit(snapshot.last)
        for entry in log.replay(None if snapshot is None else snapshot.last, log.last):
            known = entry.body.membership or known
            replay(entry)
        if known is not None:
            self._check_alone(known)
        self._blank_disk = known is None and log.last is None
        self._last = self._committed = log.last
        self._applied = -1 if log.last is None else log.last.index

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
                "that needs the OpenRaft engine (the extension qcore_openraft), which is not installed"
            )

    def run(self) -> None:
        """Elect itself for a new term and open it; a blank disk gets its cluster and its membership first."""
        directory, level = self._directory, self._host.level()
        self._loop = asyncio.get_running_loop()
        if self._blank_disk:
            if not directory.identity.cluster:
                directory.save_identity(msgspec.structs.replace(directory.identity, cluster=secrets.token_hex(16)))
            member = Member(self._addr, directory.identity.incarnation)
            membership = Membership([[self._self]], {self._self: member})
            self._append(EntryBody(level, 0, "membership", membership=membership), None)
        vote = directory.vote
        self._term = max(vote.term if vote is not None else 0, self._last.term if self._last else 0) + 1
        directory.save_vote(Vote(self._term, self._self, committed=True))
        self._append(EntryBody(level, 0, "blank"), None, opens=True)
        directory.prepare(self._finish)
        self._thread.start()

    async def stop(self, limit: float) -> bool:
        """See `Engine.stop`; nothing may be proposed any more."""
        end = clock.monotonic() + limit
        self._stopping = True
        if self._thread.is_alive():
            try:
                async with asyncio.timeout(limit):
                    await self._idle.wait()
            except TimeoutError:
                pass
            self._jobs.put(None)
            left = max(end - clock.monotonic(), 0.0)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join, left)
            if self._thread.is_alive():
                self._reject_open("the disk did not answer in time")
                return False
        self._directory.save_committed(self._committed, sync=True)
        return True

    def abandon(self) -> None:
        """See `Engine.abandon`."""
        self._failed = self._stopping = True
        self._leads = False
        self._jobs.put(None)

    def _reject_open(self, reason: str) -> None:
        while self._open:
            append = self._open.popleft()
            if append.token is not None:
                self._host.rejected(append.token, Timeout(f"the node stops and {reason}", applied="unknown"))

    # -- the log -------------------------------------------------------------------------------------------

    def accepts_proposals(self) -> bool:
        """See `Engine.accepts_proposals`."""
        return self._leads and len(self._open) < _WINDOW and not self._stopping and not self._lags()

    def _lags(self) -> bool:
        return self._committed is not None and self._committed.index - self._applied >= _UNAPPLIED_ENTRIES

    def propose(self, proposal: Proposal) -> None:
        """See `Engine.propose`; the entry is encoded here and written by the log's thread."""
        self._append(proposal.body, proposal.token)

    def _append(self, body: EntryBody, token: Any, opens: bool = False) -> None:
        index = 0 if self._last is None else self._last.index + 1
        append = _Append(LogId(self._term, self._self, index), body, token, opens)
        self._last = append.id
        self._appended += len(append.record)
        self._open.append(append)
        self._idle.clear()
        self._jobs.put(append)

    def applied(self, id: LogId) -> None:
        """See `Engine.applied`."""
        lagged = self._lags()
        self._applied = id.index
        if lagged and self.accepts_proposals():
            self._host.accepting()

    def read_barrier(self, done: BarrierDone, deadline: float) -> None:
        """See `Engine.read_barrier`: what was answered is applied already, so there is nothing to wait for."""
        done(NOTHING_TO_WAIT_FOR, None)

    def snapshot_taken(self, found: SnapshotFile) -> None:
        """See `Engine.snapshot_taken`: there are no followers."""

    def purge(self, upto: LogId) -> None:
        """See `Engine.purge`; the log's thread does it between two entries."""
        if not self._stopping:
            self._jobs.put(upto)

    def status(self) -> EngineStatus:
        """See `Engine.status`."""
        node = public_id(self._self)
        log = self._directory.log
        return EngineStatus(
            role="leader" if self._leads else "candidate",
            leader=node if self._leads else None,
            term=self._term,
            cluster=self._directory.identity.cluster,
            first=None if log.first is None else log.first.index,
            last=None if self._last is None else self._last.index,
            committed=None if self._committed is None else self._committed.index,
            in_flight=len(self._open),
            appended=self._appended,
            quorum_age=0.0 if self._leads else None,
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
                self._directory.log.append(job.id, job.record)
                self._finish(job)
                took = clock.monotonic() - begun
                if took > self._slow_fsync:
                    self._loop.call_soon_threadsafe(self._on_slow, took)
                if begun - hinted > _HINT_SECONDS:
                    self._directory.save_committed(job.id)
                    hinted = begun
        except DiskFailed as exc:
            self._finish(exc)
        except Exception as exc:
            self._finish(Fatal(f"writing the log failed: {exc!r}"))

    def _finish(self, done: _Append | Fatal) -> None:
        """Tell the loop; called from the log's thread and, of a failure, from the one that makes files ready."""
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
        durable: list[_Append] = []
        for each in finished:
            if isinstance(each, Fatal):
                self._failed = True
                self._host.failed(each)
                return
            self._open.popleft()
            self._committed = each.id
            durable.append(each)
        if self._leads:
            self._host.accepting()  # first: what waits is written while this entry is applied
        for append in durable:
            self._host.committed(append.entry, append.token)
            if append.opens:
                self._leads = True
                self._host.leading(self._term)
        if not self._open:
            self._idle.set()
