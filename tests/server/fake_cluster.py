"""Several nodes in one process that share one replicated log: a test says who leads, who lags and which links are cut.

The engines keep to the promises of `qcore.engine.base`, and the links to those of `qcore.server.forwarding.link`.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from qcore.disk.directory import Directory
from qcore.disk.log.record import decode_body, encode_body
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.alone import Alone
from qcore.engine.base import BarrierDone, ChangeDone, EngineStatus, Host, Proposal
from qcore.model.entry import Entry, EntryBody, LogId, Member, Membership, public_id, raft_node_id
from qcore.model.errors import NoQuorum, RequestError, Timeout
from qcore.server.forwarding.link import ReplyDone
from tests.server.running import Client, Running, running, until

__all__ = ["Cluster", "FakeLink", "ReplicaEngine", "cluster"]

Fate = Literal["committed", "returned", "lost", "lost_but_there"]
"""What becomes of the proposals of a leader that loses the lead."""


class ReplicaEngine(Alone):
    """One node's view of the shared log; `lagging` holds back what is committed."""

    name = "fake"
    durability = "fsync"

    def __init__(self, shared: Cluster, node: int) -> None:
        self.node = node
        self.lagging = False
        self.stopped = False
        self.applied_ids: list[LogId] = []
        self._shared = shared
        self._delivered = 0
        self.host: Host

    @property
    def leads(self) -> bool:
        return self._shared.leader == self.node

    def deliver(self) -> None:
        """Tell the node what is committed."""
        while not self.lagging and self._delivered < len(self._shared.entries):
            body, id, proposer, token = self._shared.entries[self._delivered]
            self._delivered += 1
            mine = proposer is self
            copy = body if mine else decode_body(encode_body(body), "")
            self.host.committed(Entry(id, copy), token if mine else None)

    # -- the engine ----------------------------------------------------------------------------------------

    def start(self, host: Host, replay: Callable[[Entry], None], snapshot: SnapshotFile | None) -> None:
        self.host = host

    def run(self) -> None:
        pass

    async def stop(self, limit: float) -> bool:
        if self.leads:
            self._shared.fail_proposals(self, "lost")
            self._shared.fail_barriers(self)
        self.stopped = True
        return self._shared.leader is not None

    def abandon(self) -> None:
        raise AssertionError("no node of these tests may fail")

    def accepts_proposals(self) -> bool:
        return self.leads and len(self._shared.proposed) < 3

    def propose(self, proposal: Proposal) -> None:
        assert self.accepts_proposals()
        self._shared.take(self, proposal)

    def applied(self, id: LogId) -> None:
        self.applied_ids.append(id)

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        if not self.leads:
            done(-1, NoQuorum("this node does not lead", leader=self._shared.leader))
        elif lease:
            done(len(self._shared.entries) - 1, None)
        else:
            self._shared.ask_barrier(self, done, deadline)

    def snapshot_taken(self, found: SnapshotFile) -> None:
        pass

    def purge(self, upto: LogId) -> None:
        pass

    def transfer(self, node: int, done: ChangeDone) -> None:
        if self.leads:
            self._shared.lead(public_id(node))
            done(None)
        else:
            done(NoQuorum("this node does not lead", leader=self._shared.leader))

    def probe_log(self, done: Callable[[], None]) -> None:
        done()

    def status(self) -> EngineStatus:
        last = len(self._shared.entries) - 1
        return EngineStatus(
            role="leader" if self.leads else "follower",
            leader=self._shared.leader,
            term=self._shared.term,
            cluster="fa" * 16,
            first=0,
            last=last,
            committed=last,
            in_flight=len(self._shared.proposed),
            appended=0,
            quorum_age=0.0 if self._shared.leader is not None else 1.5,
        )


class _Sent:
    """A request on a fake link, as the one who takes it sees it; `body` and `left` are its own."""

    def __init__(self, link: FakeLink, to: int, body: bytes, left: float, done: Callable[..., None]) -> None:
        self.node = raft_node_id(link.node, 1)
        self.body = body
        self.left = left
        self.cancelled = False
        self.arrived = False
        self.peers = frozenset((link.node, to))
        self._to = to
        self._link = link
        self._done: Callable[..., None] | None = done

    @property
    def call(self) -> _Sent:
        return self

    def answer(self, body: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.end, body, None)

    def fail(self, error: RequestError) -> None:
        asyncio.get_running_loop().call_soon(self.end, b"", error)

    def end(self, body: bytes, error: RequestError | None) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            self._link.open.discard(self)
            done(body, error)

    def lose(self) -> None:
        """The connection is cut: the request may be there already."""
        self.cancelled = True
        self.end(b"", Timeout("the connection was lost", applied="unknown"))


class FakeLink:
    """The links from one node to all others."""

    def __init__(self, shared: Cluster, node: int) -> None:
        self.node = node
        self.open: set[_Sent] = set()
        self._shared = shared

    def forward(self, node: int, bodies: Sequence[bytes], left: float, done: ReplyDone) -> None:
        to, loop = public_id(node), asyncio.get_running_loop()
        for place, body in enumerate(bodies):

            def hear(answer: bytes, error: RequestError | None, place: int = place) -> None:
                done(place, answer, error)

            if frozenset((self.node, to)) in self._shared.cuts:
                loop.call_soon(hear, b"", NoQuorum("the peer cannot be reached", applied="no"))
                continue
            sent = _Sent(self, to, body, left, hear)
            self.open.add(sent)
            loop.call_later(left, sent.lose)
            loop.call_soon(self._arrive, sent, to)

    def _arrive(self, sent: _Sent, to: int) -> None:
        """Deliver a request; one whose connection was cut meanwhile may arrive all the same, late."""
        if to in self._shared.deaf:
            asyncio.get_running_loop().call_later(0.001, self._arrive, sent, to)
            return
        forwarding = self._shared.runs[to].node.forwarding
        if not self._shared.engines[to].stopped and forwarding is not None:
            if sent.cancelled and self._shared.late:
                sent.cancelled = False  # it was read before the cut was noticed
            forwarding.take([sent])


class Cluster:
    """The shared log and all nodes, by public id.

    Attributes:
        entries: what is committed, with who proposed it.
        quorum: whether proposals are committed and barriers answered by themselves.
        cuts: pairs of nodes that cannot reach each other.
        deaf: nodes at which nothing arrives for now.
        late: whether requests under way at a cut arrive.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[EntryBody, LogId, ReplicaEngine | None, Any]] = []
        self.proposed: list[tuple[ReplicaEngine, Proposal]] = []
        self.leader: int | None = None
        self.term = 0
        self.quorum = True
        self.cuts: set[frozenset[int]] = set()
        self.deaf: set[int] = set()
        self.late = False
        self.engines: dict[int, ReplicaEngine] = {}
        self.links: dict[int, FakeLink] = {}
        self.runs: dict[int, Running] = {}
        self._barriers: list[tuple[ReplicaEngine, BarrierDone]] = []
        self._commits = False

    # -- what the test does --------------------------------------------------------------------------------

    def client(self, node: int) -> Client:
        return self.runs[node].client()

    def lead(self, node: int, fate: Fate = "returned", *, tell_first: Literal["leader", "others"] = "others") -> None:
        """Let a node win an election; `fate` is that of what the one before had proposed."""
        self._depose(fate)
        self.term += 1
        self.leader = node
        engine = self.engines[node]
        engine.lagging = False
        self._append(EntryBody(engine.host.level(), 0, "blank"), None, None)
        self._deliver()
        if tell_first == "leader":
            engine.host.leading(self.term)
        for other in self._alive():
            if other is not engine:
                other.host.following(node, self.term)
        if tell_first == "others":
            engine.host.leading(self.term)

    def lose_leader(self, fate: Fate = "returned") -> None:
        """Let nobody lead."""
        self._depose(fate)
        for engine in self._alive():
            engine.host.following(None, self.term)

    def lapse(self) -> int:
        """Let the leader find no quorum for a moment, of which the others know nothing; returns which node it was."""
        assert self.leader is not None
        node = self.leader
        self._depose("returned")
        self.engines[node].host.following(None, self.term)
        return node

    def regain(self, node: int) -> None:
        """Let a node lead again in the term in which it lapsed."""
        self.leader = node
        self.engines[node].host.leading(self.term)

    def _depose(self, fate: Fate) -> None:
        if self.leader is not None:
            old = self.engines[self.leader]
            self.fail_proposals(old, fate)
            self.leader = None
            self.fail_barriers(old)

    def cut(self, one: int, other: int) -> None:
        """Cut the link between two nodes: what is under way fails, and nobody knows whether it arrived."""
        pair = frozenset((one, other))
        self.cuts.add(pair)
        for link in self.links.values():
            for sent in [sent for sent in link.open if sent.peers == pair]:
                sent.lose()

    def heal(self) -> None:
        """Let all nodes reach each other."""
        self.cuts.clear()
        self.deaf.clear()

    def catch_up(self) -> None:
        """Let no node lag."""
        for engine in self.engines.values():
            engine.lagging = False
        self._deliver()

    def answer(self) -> None:
        """Commit what is proposed, and answer the barriers."""
        proposed, self.proposed = self.proposed, []
        for engine, proposal in proposed:
            self._append(proposal.body, engine, proposal.token)
        self._deliver()
        barriers, self._barriers = self._barriers, []
        for _, done in barriers:
            done(len(self.entries) - 1, None)
        if self.leader is not None and proposed:
            self.engines[self.leader].host.accepting()

    def _alive(self) -> list[ReplicaEngine]:
        return [engine for engine in self.engines.values() if not engine.stopped]

    def names(self, node: int) -> list[str]:
        """The names of what was created, in the order of their ids."""
        return [str(entity.values[0]) for id, entity in sorted(self.runs[node].state.entities.items()) if id > 1]

    # -- what the engines do -------------------------------------------------------------------------------

    def take(self, engine: ReplicaEngine, proposal: Proposal) -> None:
        self.proposed.append((engine, proposal))
        self._answer_later()

    def ask_barrier(self, engine: ReplicaEngine, done: BarrierDone, deadline: float) -> None:
        asked = (engine, done)
        self._barriers.append(asked)
        asyncio.get_running_loop().call_later(deadline - time.monotonic(), self._give_up, asked)
        self._answer_later()

    def fail_proposals(self, engine: ReplicaEngine, fate: Fate) -> None:
        proposed, self.proposed = self.proposed, []
        for _, proposal in proposed:
            if fate == "returned":
                engine.host.returned(proposal.token)
            elif fate == "committed":
                self._append(proposal.body, engine, proposal.token)
            else:
                engine.host.rejected(proposal.token, Timeout("the lead is lost", applied="unknown"))
                if fate == "lost_but_there":
                    self._append(proposal.body, None, None)
        self._deliver()

    def fail_barriers(self, engine: ReplicaEngine) -> None:
        for asked in [asked for asked in self._barriers if asked[0] is engine]:
            self._give_up(asked)

    def _give_up(self, asked: tuple[ReplicaEngine, BarrierDone]) -> None:
        if asked in self._barriers:
            self._barriers.remove(asked)
            asked[1](-1, NoQuorum("no quorum answered in time"))

    def _answer_later(self) -> None:
        if not self._commits:
            self._commits = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        self._commits = False
        if self.quorum:
            self.answer()

    def _append(self, body: EntryBody, engine: ReplicaEngine | None, token: Any) -> None:
        id = LogId(self.term, raft_node_id(self.leader or 0, 1), len(self.entries))
        self.entries.append((body, id, engine, token))

    def _deliver(self) -> None:
        for engine in self._alive():
            engine.deliver()

    def begin(self) -> None:
        """Commit the membership of all nodes."""
        ids = [raft_node_id(node, 1) for node in self.engines]
        members = {id: Member(f"127.0.0.1:{public_id(id)}", "00" * 16) for id in ids}
        self._append(EntryBody(1, 0, "membership", membership=Membership([ids], members)), None, None)
        self._deliver()


def _engine(engine: ReplicaEngine, _directory: Directory) -> ReplicaEngine:
    return engine


@asynccontextmanager
async def cluster(folder: Path, nodes: int = 3, *, leader: int | None = 1, **settings: Any) -> AsyncIterator[Cluster]:
    """Run nodes until the block ends; with a `leader` writes flow."""
    shared = Cluster()
    async with AsyncExitStack() as stack:
        for node in range(1, nodes + 1):
            engine = shared.engines[node] = ReplicaEngine(shared, node)
            link = shared.links[node] = FakeLink(shared, node)
            made = functools.partial(_engine, engine)
            run = running(folder / str(node), engine=made, link=link, id=node, wait=False, **settings)
            shared.runs[node] = await stack.enter_async_context(run)
        shared.begin()
        if leader is not None:
            shared.lead(leader)
            await until(lambda: shared.runs[leader].ready)
        yield shared
        shared.quorum = True
        shared.heal()
        shared.catch_up()
        shared.answer()
