"""An engine that plays a cluster's life in one process: a test says who leads, what is committed, what is lost.

It keeps to the promises of `qcore.engine.base` and stores nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.alone import Alone
from qcore.engine.base import BarrierDone, EngineStatus, Host, PeerStatus, Proposal
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership
from qcore.model.errors import NoQuorum, QcoreError, RequestError, Timeout
from qcore.server.calls import Call

__all__ = ["SELF", "FakeEngine", "FakeForwarder"]

SELF, OTHER = 65_536, 2 * 65_536
"""Raft NodeIds of the node under test, 1, and of the one that leads instead, 2."""


class FakeEngine(Alone):
    """`proposed` are the proposals nobody has decided on; `in_flight` bounds them."""

    name = "fake"
    durability = "fsync"

    def __init__(self, _directory: Directory, in_flight: int = 3) -> None:
        self.proposed: list[Proposal] = []
        self.entries: list[Entry] = []
        self.applied_ids: list[LogId] = []
        self.purged: LogId | None = None
        self.taken: list[SnapshotFile] = []
        self.abandoned = False
        self.peers: tuple[PeerStatus, ...] = ()
        """How the other nodes fare."""
        self.cluster = "fa" * 16
        self.quorum = True
        """Whether read barriers are answered; without it their deadline answers them."""
        self.barriers: list[BarrierDone] = []
        self._in_flight = in_flight
        self._term = 0
        self._leader: int | None = None
        self._next = 0
        self._host: Host

    # -- what the test does --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Commit the membership of two nodes, as the first entry of every log."""
        members = {node: Member(f"127.0.0.1:{node}", "00" * 16) for node in (SELF, OTHER)}
        self.deliver(EntryBody(1, 0, "membership", membership=Membership([[SELF, OTHER]], members)))

    def lead(self) -> None:
        """Let the node win an election."""
        self._term += 1
        self._leader = 1
        self.deliver(EntryBody(self._host.level(), 0, "blank"))
        self._host.leading(self._term)

    def follow(self, leader: int | None = 2) -> None:
        """Let the node lose the lead, or learn who leads."""
        self._term += 1
        self._leader = leader
        self._host.following(leader, self._term)

    def deliver(self, body: EntryBody, token: Any = None) -> None:
        """Commit an entry that is not of this node's proposals."""
        entry = Entry(LogId(self._term, SELF, self._next), body)
        self._next += 1
        self.entries.append(entry)
        self._host.committed(entry, token)

    def commit(self, count: int | None = None) -> None:
        """Commit the oldest proposals, all of them without a `count`."""
        for _ in range(len(self.proposed) if count is None else count):
            proposal = self.proposed.pop(0)
            self.deliver(proposal.body, proposal.token)
        if self.accepts_proposals():
            self._host.accepting()

    def give_back(self) -> None:
        """Let all proposals come back that were never appended."""
        proposals, self.proposed = self.proposed, []
        for proposal in proposals:
            self._host.returned(proposal.token)

    def give_back_one(self, place: int) -> None:
        """Let one of the proposals come back."""
        self._host.returned(self.proposed.pop(place).token)

    def lose(self) -> None:
        """Let nobody know what becomes of the proposals."""
        proposals, self.proposed = self.proposed, []
        for proposal in proposals:
            self._host.rejected(proposal.token, Timeout("the leader is gone", applied="unknown"))

    async def load(self, found: SnapshotFile) -> None:
        """Let a snapshot of another node be read.

        Raises:
            QcoreError: it is none.
        """
        loaded: asyncio.Future[QcoreError | None] = asyncio.get_running_loop().create_future()
        self._host.load(found, loaded.set_result)
        error = await loaded
        if error is not None:
            raise error

    def install(self, found: SnapshotFile) -> asyncio.Future[None]:
        """Let the snapshot that was loaded replace the state."""
        installed = asyncio.get_running_loop().create_future()
        self._next = found.header.last.index + 1
        self._term = max(self._term, found.header.last.term)
        self._host.install(found, lambda: installed.set_result(None))
        return installed

    def build(self) -> asyncio.Future[SnapshotFile | None]:
        """Ask the node for a snapshot."""
        built: asyncio.Future[SnapshotFile | None] = asyncio.get_running_loop().create_future()
        self._host.build(built.set_result)
        return built

    def answer_barriers(self) -> None:
        """Answer the read barriers that wait: what is committed must have been applied."""
        waiting, self.barriers = self.barriers, []
        for done in waiting:
            done(self._next - 1, None)

    # -- the engine ----------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotFile | None) -> None:
        self._host = host

    def run(self) -> None:
        pass

    async def stop(self, limit: float) -> bool:
        self.lose()
        for done in list(self.barriers):
            self._give_up(done)
        return self._leader is not None

    def abandon(self) -> None:
        self.abandoned = True

    def accepts_proposals(self) -> bool:
        return self._leader == 1 and len(self.proposed) < self._in_flight

    def propose(self, proposal: Proposal) -> None:
        assert self.accepts_proposals()
        self.proposed.append(proposal)

    def applied(self, id: LogId) -> None:
        self.applied_ids.append(id)

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        if self._leader is None:
            done(-1, NoQuorum("there is no leader"))
        elif self.quorum:
            done(self._next - 1, None)
        else:
            self.barriers.append(done)
            asyncio.get_running_loop().call_later(deadline - time.monotonic(), self._give_up, done)

    def _give_up(self, done: BarrierDone) -> None:
        if done in self.barriers:
            self.barriers.remove(done)
            error: RequestError = NoQuorum("no quorum answered in time")
            done(-1, error)

    def snapshot_taken(self, found: SnapshotFile) -> None:
        self.taken.append(found)

    def purge(self, upto: LogId) -> None:
        self.purged = upto

    def stored(self) -> dict[int, LogId]:
        return {}

    def probe_log(self, done: Callable[[], None]) -> None:
        done()

    def status(self) -> EngineStatus:
        last = self._next - 1 if self._next else None
        return EngineStatus(
            role="leader" if self._leader == 1 else "follower",
            leader=self._leader,
            term=self._term,
            cluster=self.cluster,
            first=0,
            last=last,
            committed=last,
            in_flight=len(self.proposed),
            appended=0,
            quorum_age=0.0 if self._leader is not None else None,
            peers=self.peers,
        )


class FakeForwarder:
    """Keeps what goes to the leader as `calls`, for the test to answer or to take back."""

    def __init__(self, engine: FakeEngine) -> None:
        self.calls: list[Call] = []
        self._engine = engine

    @property
    def idle(self) -> bool:
        self.calls = [call for call in self.calls if not call.done]
        return not self.calls

    def accepts(self) -> bool:
        return self._engine.status().leader == 2

    def send(self, calls: list[Call]) -> None:
        self.calls += calls

    def sweep(self, now: float) -> None:
        for call in self.calls:
            if call.deadline <= now:
                call.fail(Timeout("the leader has not answered", applied="unknown"))

    def stop(self) -> None:
        for call in self.calls:
            call.fail(Timeout("the node is stopping", applied="unknown"))

    def back(self) -> list[Call]:
        """What is out, which comes back."""
        calls, self.calls = self.calls, []
        return calls
