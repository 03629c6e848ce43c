"""The engine of a cluster, and of one node that may become one: OpenRaft, behind the border of `qcore_openraft`.

Three threads meet the border: the loop's (this module, `main_items`), the log's (`log_jobs`) and the peer link's
(`rpc_queue`). Rust never calls into Python; each of them fetches what waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from qcore_openraft import Border

from qcore.disk.directory import Directory
from qcore.disk.identity import Identity
from qcore.disk.log.cache import CACHE_BYTES
from qcore.disk.log.record import encode_body
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import Completion, DiskWriter
from qcore.engine.base import BarrierDone, ChangeDone, EngineStatus, Host, PeerStatus, Proposal, RpcKind
from qcore.engine.openraft.barriers import Barriers
from qcore.engine.openraft.calls import Calls
from qcore.engine.openraft.entries import entry_parts, log_id_parts, membership_parts
from qcore.engine.openraft.in_flight import InFlight
from qcore.engine.openraft.log_jobs import LogItems, LogJobs, complete
from qcore.engine.openraft.main_items import MainItems
from qcore.engine.openraft.roles import Roles
from qcore.engine.openraft.rpc_queue import RaftRpcQueue
from qcore.engine.openraft.snapshots import SnapshotKeys
from qcore.engine.openraft.start import Recovered, recover
from qcore.model.entry import Entry, LogId, Membership, public_id, raft_node_id
from qcore.model.errors import Busy, Fatal, NoQuorum, RequestError, Timeout

__all__ = ["NOTHING_TO_WAIT_FOR", "OpenRaftEngine", "Timing"]

NOTHING_TO_WAIT_FOR = -1
"""A log index that every state has applied."""

_WINDOW = 3
"""Entries on their way into the log of a cluster at a time; a node alone gathers more in each with one."""

_UNAPPLIED_ENTRIES = 8
"""Committed entries that may wait to be applied when another is proposed."""

_PAUSE_SECONDS = 0.05
"""So long nothing is proposed after a proposal came back to a node that leads."""

_CORE_STOP_SECONDS = 6.0
"""The core ends in five seconds at the most, and its runtime soon after."""


class Timing(NamedTuple):
    """Milliseconds that decide who leads."""

    heartbeat: int = 200
    election_min: int = 400
    election_max: int = 700


DEFAULT_TIMING = Timing()


class OpenRaftEngine:
    """OpenRaft on `directory`. `on_slow(seconds)` hears of writes of the log that took over `slow_fsync` seconds.

    With `alone`, a blank node forms a cluster of itself; else it waits to be initialised or added. The border keeps
    `cache_bytes` of the newest entries in memory.
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
    ) -> None:
        self._directory = directory
        self._addr = addr
        self._slow_fsync = slow_fsync
        self._on_slow = on_slow
        self._forms_alone = alone
        identity = directory.identity
        self._self = raft_node_id(identity.node, identity.generation)
        self._border = Border(
            self._self,
            heartbeat_ms=timing.heartbeat,
            election_min_ms=timing.election_min,
            election_max_ms=timing.election_max,
            cache_bytes=cache_bytes,
        )
        directory.log.cache.max_bytes = 0  # the border keeps the newest entries
        jobs = LogJobs(self._border)
        self._writer = DiskWriter(directory, self._written, jobs=jobs)
        jobs.items = self._log_items = LogItems(self._writer, lambda: self._host.level())
        self._reader = ThreadPoolExecutor(1, "qcore-log-reader")
        self._snapshots = SnapshotKeys()
        self._rpc_queue = RaftRpcQueue(self._border, self._snapshots)
        self._in_flight = InFlight()
        self._calls = Calls()
        self._barriers = Barriers(self._ask_quorum, self._call_soon)
        self._lease_barriers = Barriers(self._ask_lease, self._call_soon)
        self._roles = Roles(self._self, self._leading, self._following)
        self._committed = self._applied = -1
        self._links: dict[int, bool] = {}
        """Whether each other node can be reached, by Raft NodeId."""
        self._quorum_at: float | None = None
        """Monotonic time at which a quorum was last known to be there."""
        self._pause: asyncio.TimerHandle | None = None
        self._stopping = False
        self._ended = False
        """Nothing is heard of the core any more."""
        self._idle = asyncio.Event()
        self._core_ended = asyncio.Event()
        self._recovered: Recovered
        self._newest: SnapshotFile | None = None
        self._items: MainItems
        self._host: Host
        self._loop: asyncio.AbstractEventLoop

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
        self._items = MainItems(self, self._border, self._host, self._directory.log, self._reader, self._snapshots)
        recovered = self._recovered
        blank = recovered.membership is None and self._directory.log.last is None
        if blank and self._forms_alone and not self._directory.identity.cluster:
            named = msgspec.structs.replace(self._directory.identity, cluster=secrets.token_hex(16))
            self._writer.save_identity(named)
        self._writer.start(self._fail_soon)
        self._start_core(recovered)
        self._loop.add_reader(self._border.main_fd(), self._deliver)
        if blank and self._forms_alone:
            member = (self._self, self._addr, self._directory.identity.incarnation)
            self._calls.begin(lambda call: self._border.initialize(call, [member]), _ignore)
        elif recovered.alone and not blank:
            self._border.elect()

    def _start_core(self, recovered: Recovered) -> None:
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
        await self._wait(self._idle if len(self._in_flight) else None, limit)
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
        self._loop.remove_reader(self._border.main_fd())
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, reason: str) -> None:
        for proposal in self._in_flight.take_all():
            self._host.rejected(proposal.token, Timeout(reason, applied="unknown"))
        for barriers in (self._barriers, self._lease_barriers):
            barriers.give_up(Busy("the node is stopping"))
        self._calls.give_up()

    # -- the log -------------------------------------------------------------------------------------------

    def accepts_proposals(self) -> bool:
        """See `Engine.accepts_proposals`."""
        return (
            self._roles.leads
            and not self._stopping
            and self._pause is None
            and self._in_flight.has_room()
            and not self._lags()
        )

    def _lags(self) -> bool:
        return self._committed - self._applied >= _UNAPPLIED_ENTRIES

    def propose(self, proposal: Proposal) -> None:
        """See `Engine.propose`; the body is encoded here."""
        body = encode_body(proposal.body)
        token = self._in_flight.add(proposal, len(body))
        self._idle.clear()
        self._border.propose(token, self._in_flight.stretch, self._roles.term, body)

    def applied(self, id: LogId) -> None:
        """See `Engine.applied`."""
        lagged = self._lags()
        self._applied = id.index
        self._border.applied(id.index)
        if lagged and self.accepts_proposals():
            self._host.accepting()

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        """See `Engine.read_barrier`. Who is alone has applied what it answered, and nobody else answers."""
        if not self._roles.leads:
            done(-1, self._not_leading())
        elif self._roles.alone:
            done(NOTHING_TO_WAIT_FOR, None)
        else:
            (self._lease_barriers if lease else self._barriers).add(done, deadline)

    def _not_leading(self) -> RequestError:
        leader = self._roles.leader
        if leader is None or leader == self._self:
            return NoQuorum("there is no leader")
        node = public_id(leader)
        return NoQuorum(f"this node does not lead, node {node} does", leader=node)

    def _ask_quorum(self, done: BarrierDone, deadline: float) -> None:
        self._calls.begin(lambda call: self._border.read_barrier(call, deadline - time.monotonic(), False), done)

    def _ask_lease(self, done: BarrierDone, deadline: float) -> None:
        self._calls.begin(lambda call: self._border.read_barrier(call, deadline - time.monotonic(), True), done)

    def _call_soon(self, work: Callable[[], None]) -> None:
        self._loop.call_soon(work)

    def snapshot_taken(self, found: SnapshotFile) -> None:
        """See `Engine.snapshot_taken`."""
        header = found.header
        self._newest = found
        if not self._stopping:
            self._border.snapshot_taken(
                self._snapshots.add(found),
                log_id_parts(header.last),
                membership_parts(header.membership),
                log_id_parts(header.membership_id),
            )

    def purge(self, upto: LogId) -> None:
        """See `Engine.purge`; the core passes it on to the log in its order."""
        if not self._stopping:
            self._border.purge(upto.index)

    def status(self) -> EngineStatus:
        """See `Engine.status`."""
        roles, log = self._roles, self._directory.log
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
            quorum_age=self._quorum_age(),
            peers=self._peers(log.last),
        )

    def _quorum_age(self) -> float | None:
        if self._roles.leads and self._roles.alone:
            return 0.0
        self._note_quorum()
        return None if self._quorum_at is None else time.monotonic() - self._quorum_at

    def _note_quorum(self) -> None:
        """Who leads knows of a quorum by the answers of the others."""
        found = self._border.status() if self._roles.leads else None
        if found is not None and found[5] is not None:
            self._quorum_at = max(self._quorum_at or 0.0, time.monotonic() - found[5])

    def _peers(self, last: LogId | None) -> tuple[PeerStatus, ...]:
        """The nodes that the link was told of; how far each one is only the leader knows."""
        found = self._border.status() if self._roles.leads else None
        matched = {} if found is None else dict(found[6])
        peers = {}
        for node, up in sorted(self._links.copy().items()):
            at = matched.get(node)
            lag = None if at is None or last is None else max(last.index - at, 0)
            peers[public_id(node)] = PeerStatus(public_id(node), up, lag)
        return tuple(peers.values())

    # -- the cluster ---------------------------------------------------------------------------------------

    def initialize(self, members: Membership, done: ChangeDone) -> None:
        """See `Engine.initialize`."""
        nodes = membership_parts(members)[1]
        self._change(lambda call: self._border.initialize(call, nodes), done)

    def add_learner(self, node: int, addr: str, incarnation: str, done: ChangeDone) -> None:
        """See `Engine.add_learner`."""
        self._roles.alone = False  # before the core hears: from now on there is somebody who could lead
        self._change(lambda call: self._border.add_learner(call, node, addr, incarnation), done)

    def promote(self, node: int, done: ChangeDone) -> None:
        """See `Engine.promote`."""
        self._roles.alone = False
        self._change(lambda call: self._border.promote(call, node), done)

    def remove(self, node: int, done: ChangeDone) -> None:
        """See `Engine.remove`."""
        self._change(lambda call: self._border.remove(call, node), done)

    def transfer(self, node: int, done: ChangeDone) -> None:
        """See `Engine.transfer`."""
        self._change(lambda call: self._border.transfer(call, node), done)

    def save_identity(self, identity: Identity, saved: Callable[[], None]) -> None:
        """Replace node.json in the order of the log's writer; `saved` is called on the loop when it is durable.

        It is not called if that fails, which ends the node.
        """
        self._writer.save_identity(identity, saved)

    def _change(self, ask: Callable[[int], None], done: ChangeDone) -> None:
        self._calls.begin(ask, lambda _index, error: done(error))

    # -- what the peer link brings -------------------------------------------------------------------------

    def rpc_queue(self) -> RaftRpcQueue:
        """See `Engine.rpc_queue`."""
        return self._rpc_queue

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        """See `Engine.rpc_in`; who follows knows of a quorum by what the leader sends."""
        if kind == "heartbeat" or kind == "append":
            self._quorum_at = time.monotonic()
        self._border.rpc_in(kind, call, body)

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        """See `Engine.snapshot_in`."""
        header, key = found.header, self._snapshots.add(found)
        self._border.snapshot_in(call, body, key, log_id_parts(header.last), log_id_parts(header.membership_id))

    def rpc_done(self, request: int, body: bytes | None) -> None:
        """See `Engine.rpc_done`."""
        self._border.rpc_done(request, body)

    def set_link(self, node: int, up: bool) -> None:
        """See `Engine.set_link`."""
        self._links[node] = up
        self._border.set_link(node, up)

    # -- what the core says; on the loop -------------------------------------------------------------------

    def _deliver(self) -> None:
        if self._writer.failure is not None:  # what the core says since is a consequence
            self.fail(self._writer.failure)
            return
        try:
            self._border.deliver_main(self._items)
        except Fatal as error:
            self.fail(error)

    def committed(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Entries are committed, each with the token of its proposal or 0."""
        proposals = [self._in_flight.take(token) if token else None for token, _ in entries]
        if self.accepts_proposals():
            self._host.accepting()  # first: what waits is written while these are applied
        for (_, entry), proposal in zip(entries, proposals, strict=True):
            self._committed = entry.id.index
            self._host.committed(entry, None if proposal is None else proposal.token)
            self._roles.committed(entry.id)
        self._note_idle()

    def returned(self, token: int, stretch: int) -> None:
        """A proposal was never appended."""
        proposal = self._in_flight.take_returned(token, stretch)
        if proposal is not None:
            self._host.returned(proposal.token)
        if self._pause is None and not self._stopping:
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
        self._note_idle()

    def _resume(self) -> None:
        self._pause = None
        if self.accepts_proposals():
            self._host.accepting()

    def rejected(self, token: int, reason: str) -> None:
        """Nobody knows what becomes of a proposal."""
        proposal = self._in_flight.take(token)
        if proposal is not None:
            self._host.rejected(proposal.token, Timeout(reason, applied="unknown"))
        self._note_idle()

    def role(self, name: str, term: int, leader: int | None, leads: bool, members: list[int], stretch: int) -> None:
        """Who leads."""
        self._note_quorum()
        self._in_flight.stretch = stretch
        self._in_flight.most = 1 if members == [self._self] else _WINDOW
        self._roles.heard(name, term, leader, leads, members, stretch)

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

    def _note_idle(self) -> None:
        if not len(self._in_flight):
            self._idle.set()

    def _leading(self, term: int) -> None:
        self._host.leading(term)

    def _following(self, leader: int | None, term: int) -> None:
        self._host.following(leader, term)

    # -- what the log's thread says ------------------------------------------------------------------------

    def _written(self, completions: Sequence[Completion]) -> None:
        complete(self._border, [each for each in completions if isinstance(each.token, int)])
        for each in completions:
            if not isinstance(each.token, int) and each.error is None:
                self._soon(each.token)
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
