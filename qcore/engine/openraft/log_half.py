"""The log's half of the engine on OpenRaft: proposals in, what became of them out, barriers, purges; on the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qcore.disk.log.record import encode_body
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import BarrierDone, Host, Proposal
from qcore.engine.openraft.barriers import Barriers
from qcore.engine.openraft.calls import Calls
from qcore.engine.openraft.contacts import Contacts
from qcore.engine.openraft.entries import log_id_parts, membership_parts
from qcore.engine.openraft.in_flight import InFlight
from qcore.engine.openraft.roles import Roles
from qcore.engine.openraft.snapshots import SnapshotKeys
from qcore.engine.openraft.unwritten import Unwritten
from qcore.model.entry import Entry, LogId, public_id
from qcore.model.errors import NoQuorum, RequestError, Timeout

if TYPE_CHECKING:
    from qcore_openraft import Border

__all__ = ["NOTHING_TO_WAIT_FOR", "LogHalf"]

NOTHING_TO_WAIT_FOR = -1
"""A log index that every state has applied."""

_WINDOW = 3
"""Small entries on their way into the log of a cluster at a time; a node alone gathers more in each with one."""

_UNAPPLIED_ENTRIES = 8
"""Committed entries that may wait to be applied when another is proposed."""

_PAUSE_SECONDS = 0.05
"""So long nothing is proposed after a proposal came back to a node that leads."""


class LogHalf:
    """Node `itself` (Raft NodeId) at `border`. The host and the loop are known from `run` on."""

    def __init__(self, border: Border, itself: int) -> None:
        self._border = border
        self._self = itself
        self._snapshots = SnapshotKeys()
        self._in_flight = InFlight()
        self._calls = Calls()
        self._barriers = Barriers(self._ask_quorum, self._call_soon)
        self._lease_barriers = Barriers(self._ask_lease, self._call_soon)
        self._roles = Roles(itself, self._leading, self._following)
        self._contacts = Contacts()
        self._committed = self._applied = -1
        self._pause: asyncio.TimerHandle | None = None
        self._stopping = False
        self._idle = asyncio.Event()
        self._newest: SnapshotFile | None = None
        self._unwritten: Unwritten
        self._host: Host
        self._loop: asyncio.AbstractEventLoop

    def accepts_proposals(self) -> bool:
        """See `Engine.accepts_proposals`."""
        return (
            self._roles.leads
            and not self._stopping
            and self._pause is None
            and self._in_flight.has_room()
            and not self._lags()
            and not self._unwritten.is_full()
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

    # -- what the core says ----------------------------------------------------------------------------------

    def committed(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Entries are committed, each with the token of its proposal or 0."""
        for token, entry in entries:
            if token:
                self._unwritten.add(entry.id.index, self._in_flight.size(token))
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
        self._accept_again()

    def _accept_again(self) -> None:
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
        self._contacts.note(self._border.status() if self._roles.leads else None)
        self._in_flight.stretch = stretch
        self._in_flight.most = 1 if members == [self._self] else _WINDOW
        self._roles.heard(name, term, leader, leads, members, stretch)

    def _note_idle(self) -> None:
        if not len(self._in_flight):
            self._idle.set()

    def _leading(self, term: int) -> None:
        self._host.leading(term)

    def _following(self, leader: int | None, term: int) -> None:
        self._host.following(leader, term)
