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
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.log.record import HEAD_SIZE, RawEntry, encode_body
from qcore.disk.repair import drop_log, log_fits
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import Completion, DiskWriter
from qcore.engine.alone import Alone
from qcore.engine.base import BarrierDone, EngineStatus, Host, Proposal
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership, Vote, public_id, raft_node_id
from qcore.model.errors import ExtensionMissing, Fatal, Timeout

__all__ = ["NOTHING_TO_WAIT_FOR", "EmbeddedEngine"]

NOTHING_TO_WAIT_FOR = -1
"""A log index that every state has applied."""

_WINDOW = 1
"""Entries on their way to the disk at a time: while one is written, the next gathers all that arrives. With more of
them each gathers less, which costs a tenth of the writes of 50 clients and gains a lone one nothing."""

_UNAPPLIED_ENTRIES = 8
"""Committed entries that may wait to be applied when another is proposed."""


class _Append:
    """An entry on its way to the disk; `opens` says that it is the first one of a term."""

    __slots__ = ("entry", "opens", "token")

    def __init__(self, entry: Entry, token: Any, opens: bool) -> None:
        self.entry = entry
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
        directory.log.cache.max_bytes = 0  # nobody follows, so nobody reads ranges
        self._writer = DiskWriter(directory, self._tell)
        self._told: list[Completion | Fatal] = []
        """What the writer said and the loop has not heard yet."""
        self._lock = threading.Lock()
        self._ended = False
        """Nothing is heard of the writer any more."""
        self._host: Host
        self._loop: asyncio.AbstractEventLoop

    # -- life ----------------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotFile | None) -> None:
        """See `Engine.start`: everything stored counts as committed.

        Raises:
            ExtensionMissing: the log names other nodes, which only the OpenRaft engine can lead.
            DiskFailed: nothing can be written.
        """
        self._host = host
        log = self._directory.log
        base = None if snapshot is None else snapshot.header.last
        fits = log_fits(log, base)
        known = None if snapshot is None else snapshot.header.membership
        for entry in log.replay(base, log.last) if fits else ():
            known = entry.body.membership or known
            replay(entry)
        if known is not None:
            self._check_alone(known)
        if base is not None and not fits:
            drop_log(self._writer, base)
            self._writer.run_pending()
        self._blank_disk = known is None and log.last is None
        self._last = self._committed = log.last
        self._applied = -1 if log.last is None else log.last.index

    def _check_alone(self, membership: Membership) -> None:
        if not membership.is_alone(self._self):
            others = sorted({public_id(node) for node in membership.nodes} - {public_id(self._self)})
            raise ExtensionMissing(
                f"{self._directory.path} belongs to a cluster with the nodes {others or list(membership.nodes)}: "
                "that needs --engine openraft, with its extension qcore_openraft installed"
            )

    def run(self) -> None:
        """Elect itself for a new term and open it; a blank disk gets its cluster and its membership first."""
        directory, level = self._directory, self._host.level()
        self._loop = asyncio.get_running_loop()
        if self._blank_disk:
            if not directory.identity.cluster:
                named = msgspec.structs.replace(directory.identity, cluster=secrets.token_hex(16))
                self._writer.save_identity(named)
            member = Member(self._addr, directory.identity.incarnation)
            membership = Membership([[self._self]], {self._self: member})
            self._append(EntryBody(level, 0, "membership", membership=membership), None)
        vote = directory.vote
        self._term = max(vote.term if vote is not None else 0, self._last.term if self._last else 0) + 1
        self._writer.save_vote(Vote(self._term, self._self, committed=True))
        self._append(EntryBody(level, 0, "blank"), None, opens=True)
        self._writer.start(lambda error: self._tell([error]))

    async def stop(self, limit: float) -> bool:
        """See `Engine.stop`; nothing may be proposed any more."""
        end = clock.monotonic() + limit
        self._stopping = True
        try:
            async with asyncio.timeout(limit):
                await self._idle.wait()
        except TimeoutError:
            pass
        left = max(end - clock.monotonic(), 0.0)
        through = await asyncio.get_running_loop().run_in_executor(None, self._writer.stop, left)
        self._ended = True
        self._reject_open("the disk did not answer in time")
        return through

    def abandon(self) -> None:
        """See `Engine.abandon`."""
        self._ended = self._stopping = True
        self._leads = False
        self._writer.stop(0.0)

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
        """See `Engine.propose`; the body is encoded here and written by the log's thread."""
        self._append(proposal.body, proposal.token)

    def _append(self, body: EntryBody, token: Any, opens: bool = False) -> None:
        index = 0 if self._last is None else self._last.index + 1
        id = LogId(self._term, self._self, index)
        raw = RawEntry(id, encode_body(body))
        append = _Append(Entry(id, body), token, opens)
        self._last = id
        self._appended += HEAD_SIZE + len(raw.body)
        self._open.append(append)
        self._idle.clear()
        self._writer.append([raw], append, committed=id)

    def applied(self, id: LogId) -> None:
        """See `Engine.applied`."""
        lagged = self._lags()
        self._applied = id.index
        if lagged and self.accepts_proposals():
            self._host.accepting()

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        """See `Engine.read_barrier`: what was answered is applied already, so there is nothing to wait for."""
        done(NOTHING_TO_WAIT_FOR, None)

    def snapshot_taken(self, found: SnapshotFile) -> None:
        """See `Engine.snapshot_taken`: there are no followers."""

    def purge(self, upto: LogId) -> None:
        """See `Engine.purge`; the log's thread does it between two entries."""
        if not self._stopping:
            self._writer.purge(upto)

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

    def probe_log(self, done: Callable[[], None]) -> None:
        """See `Engine.probe_log`."""
        self._writer.probe(done)

    # -- what the writer says ------------------------------------------------------------------------------

    def _tell(self, said: Sequence[Completion | Fatal]) -> None:
        """Tell the loop; called from the log's thread and, of a failure, from the one that makes files ready."""
        with self._lock:
            wakes = not self._told
            self._told += said
        if wakes:
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            told, self._told = self._told, []
        if self._ended:
            return
        durable: list[Completion] = []
        for each in told:
            error = each if isinstance(each, Fatal) else each.error
            if error is not None:
                self.abandon()
                self._host.failed(error)
                return
            assert isinstance(each, Completion)
            self._committed = self._open.popleft().entry.id
            durable.append(each)
        self._deliver(durable)

    def _deliver(self, durable: list[Completion]) -> None:
        if self._leads:
            self._host.accepting()  # first: what waits is written while this entry is applied
        for append, _, seconds in durable:
            self._host.committed(append.entry, append.token)
            if append.opens:
                self._leads = True
                self._host.leading(self._term)
            if seconds > self._slow_fsync:
                self._on_slow(seconds)
        if not self._open:
            self._idle.set()
