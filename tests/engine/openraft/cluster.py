"""Several engines in one process, each with a real directory, joined by links in memory that a test can cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.snapshot_files import SnapshotFile, SnapshotHeader, examine
from qcore.engine.base import LoadDone, Proposal, RpcKind
from qcore.engine.openraft.engine import OpenRaftEngine, Timing
from qcore.model.entry import (
    FEATURE_LEVEL,
    Entry,
    EntryBody,
    LogId,
    Member,
    Membership,
    public_id,
    raft_node_id,
)
from qcore.model.errors import Damaged, Fatal, RequestError
from qcore.model.leader_commands import StagePart
from qcore.model.requests.commands import SessionOpen
from tests.server.running import until

__all__ = ["FAST", "Cluster", "PlainHost", "clusters", "raft_id"]

FAST = Timing(50, 150, 300)


def raft_id(node: int) -> int:
    """The Raft NodeId of a node on its first disk."""
    return raft_node_id(node, 0)


class PlainHost:
    """A state machine that is the list of the entries; snapshots of it hold nothing but where it ends."""

    def __init__(self, cluster: Cluster, node: int) -> None:
        self.cluster = cluster
        self.node = node
        self.entries: list[Entry] = []
        self.applies = True
        self.term: int | None = None
        """The term that this node leads in, None if it does not."""
        self.leader: int | None = None
        self.said: list[tuple[str, Any]] = []
        """What became of each proposal, by token."""
        self.roles: list[tuple[str, int | None, int]] = []
        self.failures: list[Fatal] = []
        self.asked_again = False
        """Whether the engine has said that it takes proposals again."""
        self.refuses: Damaged | None = None
        """What every received snapshot is said to be."""
        self.installed: list[SnapshotFile] = []
        self.membership: tuple[Membership, LogId] | None = None
        self.engine: OpenRaftEngine

    @property
    def last(self) -> LogId:
        """Where the state ends."""
        return self.entries[-1].id

    def replay(self, entry: Entry) -> None:
        self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        if self.entries:
            assert entry.id.index == self.last.index + 1, (self.last, entry.id)
        self.entries.append(entry)
        if entry.body.membership is not None:
            self.membership = entry.body.membership, entry.id

    def committed(self, entry: Entry, token: Any) -> None:
        self._apply(entry)
        if token is not None:
            self.said.append(("committed", token))
        if self.applies:
            self.engine.applied(entry.id)

    def returned(self, token: Any) -> None:
        self.said.append(("returned", token))

    def rejected(self, token: Any, error: RequestError) -> None:
        assert error.data["applied"] == "unknown"
        self.said.append(("rejected", token))

    def accepting(self) -> None:
        self.asked_again = True

    def leading(self, term: int) -> None:
        self.roles.append(("leading", None, term))
        self.term = term

    def following(self, leader: int | None, term: int) -> None:
        self.roles.append(("following", leader, term))
        self.term, self.leader = None, leader

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        asyncio.get_running_loop().call_soon(done, self.refuses)

    def install(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        header = found.header
        self.entries = [Entry(header.last, EntryBody(FEATURE_LEVEL, 0, "blank"))]
        self.membership = header.membership, header.membership_id
        self.installed.append(found)
        self.engine.applied(header.last)
        done()

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        done(self.take_snapshot())

    def take_snapshot(self) -> SnapshotFile:
        """Make a snapshot of now durable, and tell the engine."""
        assert self.membership is not None
        members, members_at = self.membership
        header = SnapshotHeader(self.last, members, members_at, FEATURE_LEVEL, 0, 0, "", {})
        snapshots = self.cluster.directories[self.node].snapshots
        writer = snapshots.begin(header, 1)
        writer.write(b"")
        found = writer.finish()
        snapshots.add(found)
        self.engine.snapshot_taken(found)
        return found

    def level(self) -> int:
        return FEATURE_LEVEL

    def failed(self, error: Fatal) -> None:
        self.failures.append(error)


class _Link:
    """The link of one node in memory."""

    def __init__(self, cluster: Cluster, node: int) -> None:
        self._cluster = cluster
        self._node = node

    def send(self, node: int, kind: RpcKind, request: int, body: bytes, limit: float) -> None:
        self._ask(node, request, limit, lambda engine, call: engine.rpc_in(raft_id(self._node), kind, call, body))

    def send_snapshot(self, node: int, request: int, body: bytes, found: SnapshotFile) -> None:
        def deliver(engine: OpenRaftEngine, call: int) -> None:
            target = self._cluster.directories[public_id(node)].snapshots
            copied = target.begin(found.header, 2).path
            Path(copied).write_bytes(Path(found.path).read_bytes())
            engine.snapshot_in(raft_id(self._node), call, body, examine(copied))

        self._ask(node, request, 5.0, deliver)

    def _ask(self, node: int, request: int, limit: float, deliver: Callable[[OpenRaftEngine, int], None]) -> None:
        cluster, target = self._cluster, public_id(node)
        call = next(cluster.calls)
        engine = cluster.engines.get(target)
        if engine is not None and cluster.is_open(self._node, target):
            cluster.asked[call] = self._node, target, request
            deliver(engine, call)
        asyncio.get_running_loop().call_later(limit, cluster.answer, self._node, request, None)

    def cancel(self, request: int) -> None:
        pass

    def answer(self, call: int, body: bytes | None) -> None:
        asker, target, request = self._cluster.asked.pop(call)
        if self._cluster.is_open(target, asker):
            self._cluster.answer(asker, request, body)


class Cluster:
    """Nodes by public id. `files` gives each the file operations that its directory goes through."""

    def __init__(self, folder: Path, timing: Timing, files: Callable[[int], Files]) -> None:
        self.engines: dict[int, OpenRaftEngine] = {}
        self.hosts: dict[int, PlainHost] = {}
        self.directories: dict[int, Directory] = {}
        self.calls = itertools.count(1)
        self.asked: dict[int, tuple[int, int, int]] = {}
        self.witnesses: set[int] = set()
        self._folder = folder
        self._timing = timing
        self._files = files
        self._cut: set[tuple[int, int]] = set()
        self._tokens = itertools.count(1)
        self._unacknowledged: set[int] = set()

    # -- nodes -----------------------------------------------------------------------------------------------

    def start(self, *nodes: int) -> None:
        """Start nodes on their directories; blank ones wait to be initialised."""
        for node in nodes:
            directory = Directory.open(self._folder / str(node), node, machine="testbed", files=self._files(node))
            engine = OpenRaftEngine(
                directory,
                f"n{node}",
                3600.0,
                lambda _seconds: None,
                alone=False,
                timing=self._timing,
                witness=node in self.witnesses,
            )
            host = PlainHost(self, node)
            host.engine = engine
            self.directories[node], self.engines[node], self.hosts[node] = directory, engine, host
            snapshot = next(iter(directory.snapshots.found), None)
            if snapshot is not None:
                host.entries = [Entry(snapshot.header.last, EntryBody(FEATURE_LEVEL, 0, "blank"))]
                host.membership = snapshot.header.membership, snapshot.header.membership_id
            engine.start(host, host.replay, snapshot)
            engine.run()
            queue = engine.rpc_queue()
            asyncio.get_running_loop().add_reader(queue.fileno(), queue.deliver, _Link(self, node))
        self._set_links()

    async def stop(self, *nodes: int, limit: float = 5.0) -> None:
        """Stop nodes as a daemon does."""
        for node in nodes:
            engine = self.engines.pop(node)
            self._set_links()
            await engine.stop(limit)
            self._close(node, engine)

    def abandon(self, node: int) -> None:
        """End a node at once; what it has on the disk stays."""
        engine = self.engines.pop(node)
        self._set_links()
        engine.abandon()
        self._close(node, engine)

    def _close(self, node: int, engine: OpenRaftEngine) -> None:
        asyncio.get_running_loop().remove_reader(engine.rpc_queue().fileno())
        self.directories[node].close()

    async def form(self, *nodes: int) -> PlainHost:
        """Start nodes as one cluster of voters; returns who leads."""
        self.start(*nodes)
        members = {raft_id(node): self.member(node) for node in nodes}
        errors: list[RequestError | None] = []
        self.engines[nodes[0]].initialize(Membership([list(members)], members), errors.append)
        await until(lambda: errors)
        assert errors == [None]
        return await self.leader()

    def member(self, node: int) -> Member:
        """What a membership says of a node."""
        return Member(f"n{node}", self.directories[node].identity.incarnation, node in self.witnesses)

    async def leader(self, among: Iterable[int] | None = None) -> PlainHost:
        """Wait until one of the nodes leads."""
        nodes = list(self.engines if among is None else among)
        await until(lambda: [node for node in nodes if self.hosts[node].term is not None])
        return max((self.hosts[node] for node in nodes), key=lambda host: host.term or 0)

    # -- links -----------------------------------------------------------------------------------------------

    def is_open(self, source: int, target: int) -> bool:
        """Tell whether what one node says comes to another."""
        return (source, target) not in self._cut

    def cut(self, *nodes: int) -> None:
        """Let nothing through between these nodes and all others; nobody is told."""
        others = set(self.hosts) - set(nodes)
        self._cut |= {pair for node in nodes for other in others for pair in ((node, other), (other, node))}

    def cut_one_way(self, source: int, target: int) -> None:
        """Let nothing through from one node to another."""
        self._cut.add((source, target))

    def heal(self) -> None:
        """Let everything through again."""
        self._cut.clear()

    def _set_links(self) -> None:
        for node, engine in self.engines.items():
            for other in self.hosts:
                if other != node:
                    engine.set_link(raft_id(other), other in self.engines)

    def answer(self, node: int, request: int, body: bytes | None) -> None:
        """Bring an answer to a node that runs."""
        engine = self.engines.get(node)
        if engine is not None:
            engine.rpc_done(request, body)

    # -- entries ---------------------------------------------------------------------------------------------

    def propose(self, host: PlainHost, text: str = "") -> int:
        """Propose an entry where it is accepted; returns its token, which is the time of its body, too."""
        token = next(self._tokens)
        body = EntryBody(FEATURE_LEVEL, token, "commands", [StagePart("long", 0, text) if text else SessionOpen()])
        host.engine.propose(Proposal(body, token))
        return token

    async def write(self, host: PlainHost) -> int:
        """Have an entry committed, and return its token: on `host`, or on who leads if that one does not any more."""
        while True:
            token = await self._try_to_write(host)
            if token is not None:
                return token
            host = await self.leader()

    async def _try_to_write(self, host: PlainHost) -> int | None:
        """Have an entry committed; None if the node does not lead any more, or the proposal was lost."""
        await until(lambda: host.engine.accepts_proposals() or host.term is None)
        if host.term is None:
            return None
        token = self.propose(host)
        await until(lambda: [said for said in host.said if said[1] == token])
        if ("committed", token) in host.said:
            return token
        self._unacknowledged.add(token)
        return None

    async def settle(self, *nodes: int) -> list[int]:
        """Wait until the nodes have applied the same; returns the tokens of what was acknowledged."""
        hosts = [self.hosts[node] for node in nodes or self.engines]
        await until(lambda: len({host.last for host in hosts if host.entries}) == 1 and all(h.entries for h in hosts))
        tokens = [entry.body.time for entry in hosts[0].entries if entry.body.kind == "commands"]
        return [token for token in tokens if token not in self._unacknowledged]


def _ignore(_seconds: float) -> None:
    pass


@asynccontextmanager
async def clusters(
    folder: Path, timing: Timing = FAST, files: Callable[[int], Files] = lambda _node: Files()
) -> AsyncIterator[Cluster]:
    """A cluster without nodes yet; those that run at the end are stopped."""
    cluster = Cluster(folder, timing, files)
    try:
        yield cluster
    finally:
        await cluster.stop(*cluster.engines)
        failures = {node: host.failures for node, host in cluster.hosts.items() if host.failures}
        assert not failures, failures
