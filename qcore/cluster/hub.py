"""All connections of the link, on its loop: who is linked, who is not and why, and where each message goes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from qcore.cluster import budgets
from qcore.cluster.connections.accepting import Acceptor
from qcore.cluster.connections.asked import Done
from qcore.cluster.connections.connection import Connection
from qcore.cluster.connections.dialler import Dialler
from qcore.cluster.connections.linked_nodes import LinkedNodes
from qcore.cluster.connections.messages import Request
from qcore.cluster.crossing import Crossing
from qcore.cluster.file_thread import FileThread
from qcore.cluster.handshake.exchange import Handshake
from qcore.cluster.handshake.hello import Channel, Hello, Refusal
from qcore.cluster.handshake.known_nodes import KnownNodes, Own
from qcore.cluster.notices import Level, Notice, Notices
from qcore.cluster.traffic.forward_traffic import CALL, ForwardTraffic
from qcore.cluster.traffic.forwards import Forwarded
from qcore.cluster.traffic.questions import Question
from qcore.cluster.traffic.raft_traffic import Raft, RaftTraffic
from qcore.cluster.traffic.snapshot_transfer import IncomingSnapshots
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.entry import LogId, Vote, public_id
from qcore.model.errors import NoQuorum, RequestError
from qcore.model.hosts import is_loopback

__all__ = ["Hub", "LinkHost", "LinkSettings", "PeerStatus"]

_LOUD = frozenset({"second_incarnation", "second_run", "removed", "vote_behind", "log_behind", "other_cluster"})
"""Refusals that need somebody."""

_RIVALS = frozenset({"second_incarnation", "second_run"})


_OLDER_SECONDS = 2.0
"""Two processes whose starts are closer than this are told apart by chance: their messages take a while, too."""

_NEW_IDENTITY = "the node has another identity now"
_STOPPING = "the node is stopping"
"""Why nodes end connections in good order; so the other side is told."""


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set on the link.

    Attributes:
        secrets: the cluster secrets that are known: none, one, or two while it is being changed.
        insecure: whether nodes without a secret talk to other machines.
        max_frame: bytes of the largest frame; all nodes have the same.
        max_queue: bytes of requests that wait on one connection.
    """

    secrets: tuple[bytes, ...] = ()
    insecure: bool = False
    max_frame: int = 32 << 20
    max_queue: int = 64 << 20


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a node that this one is linked with.

    Attributes:
        hello: what it said.
        address: ``host:port`` at which it is linked, as it was named.
        addresses: all that led to it in this run of it, as they were named; those of which it is not linked are spare.
        up: whether Raft can reach it.
        clock_ahead: seconds that its clock is ahead of this node's, None while that is not measured.
        round_trip: seconds of the last ping, likewise.
    """

    hello: Hello
    address: str
    addresses: tuple[str, ...]
    up: bool
    clock_ahead: float | None
    round_trip: float | None


class LinkHost(Protocol):
    """What the link needs of the node around it; called on the link's thread, and must not block."""

    def facts(self) -> tuple[Vote | None, LogId | None]:
        """The vote and the last log id that are durable here."""

    def snapshot_reserve(self) -> int:
        """Bytes of the disk that a received snapshot leaves free."""

    def tell(self, notice: Notice) -> None:
        """Log a line."""

    def met(self, hello: Hello) -> None:
        """Another node has proved the secret and is talked to, on one more connection; see `Hub.status`."""

    def refused(self, refusal: Refusal, proved: bool) -> None:
        """Another node does not talk to this one; `proved`: it is known to be one of the cluster."""

    def not_talked_to(self, key: str, sentence: str) -> None:
        """One of the two nodes does not talk to the other; `key` says which and why. It comes each time."""

    def is_second(self, problem: str) -> None:
        """A node that has been running for longer has the number of this one."""

    def forwards(self, batch: Sequence[Forwarded]) -> None:
        """Other nodes forward calls; each is answered later, on any thread."""

    def found_itself(self, address: str) -> None:
        """An address that was dialled, as it was named, is this node's own."""

    def asked(self, question: Question) -> None:
        """Another node asks something else; it is answered later, on any thread."""

    def offered(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        """Another node offers a snapshot beside Raft, whose file is durable; `done` is called, on any thread, once the
        node has taken it over or does not want it."""

    def link_failed(self, error: BaseException) -> None:
        """The link's thread has ended by itself."""


class Hub:
    """Owns every connection. `status` is replaced as a whole, so that any thread may read it."""

    def __init__(
        self,
        own: Own,
        settings: LinkSettings,
        host: LinkHost,
        raft: Raft,
        snapshots: SnapshotFiles,
        crossing: Crossing,
    ) -> None:
        self.status: tuple[PeerStatus, ...] = ()
        self._settings = settings
        self._host = host
        self._crossing = crossing
        self._loop = asyncio.get_running_loop()
        self._known = KnownNodes(own)
        self._nodes = LinkedNodes(raft.set_link)
        self._nodes.cluster = own.cluster
        self._files = FileThread("link-files")
        incoming = IncomingSnapshots(snapshots, self._files, host.snapshot_reserve)
        self._incoming = incoming
        self.traffic = RaftTraffic(raft, self._nodes, incoming, self._files, self._spawn, self._keep)
        self.forwards = ForwardTraffic(self._nodes, host.forwards, crossing)
        self.acceptor = Acceptor(self._make_accepted, self.may_dial, settings.max_frame)
        self.dialler = Dialler(self)
        self._notices = Notices(host.tell)
        self._serial = itertools.count(1)
        self._begun = self._loop.time()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._clocks: dict[str, tuple[float, float]] = {}
        """Round trip and lead of the clock, by run."""
        self._led: dict[str, str] = {}
        """Which run was last found at an address."""

    # -- what the node says --------------------------------------------------------------------------------

    def identify(self, own: Own) -> None:
        """Go on as another one: with a cluster, another generation, another address. All connections begin anew."""
        self._known.own = own
        self._nodes.cluster = own.cluster
        for connection in list(self._connections):
            connection.close(1012, _NEW_IDENTITY)
        self.dialler.wake()

    def set_members(self, members: Mapping[int, str]) -> None:
        """Take over which incarnation each member has, by Raft NodeId."""
        self._known.members = dict(members)

    def set_removed(self, removed: Iterable[str]) -> None:
        """Take over which incarnations were removed from the cluster, and close their connections."""
        self._known.removed = frozenset(removed)
        for incarnation in self._known.removed:
            self.dialler.name(_source(incarnation), ())
        for connection in list(self._connections):
            if connection.hello is not None and connection.hello.incarnation in self._known.removed:
                connection.close(1008, "removed: the node was removed from the cluster")

    def acknowledged(self, incarnation: str, last: LogId) -> None:
        """See `KnownNodes.acknowledged`."""
        self._known.acknowledged(incarnation, last)

    def look(self) -> None:
        """Look after silence and what is held back."""
        for connection in list(self._connections):
            connection.look()
        self._notices.due(self._loop.time())

    def ask(self, node: int, kind: str, body: bytes, limit: float, done: Done) -> None:
        """See `PeerLink.ask`."""
        connection = self._nodes.find(node, "urgent")
        if connection is None:
            done(b"", NoQuorum("the node cannot be reached", applied="no"))
        else:
            connection.ask(kind, body, limit, done)

    async def stop(self) -> None:
        """End everything: what is open fails, goodbyes get a moment."""
        await self.dialler.stop()
        await self.acceptor.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.close(1012, _STOPPING)
        await self._gone()
        self.abort()
        await self._gone()
        self._files.submit(self._incoming.abandon_all)
        self._notices.flush()

    def abort(self) -> None:
        """Drop every connection without a word."""
        for connection in list(self._connections):
            connection.abort("the node is stopping")

    def stop_files(self, limit: float) -> bool:
        """End the thread for files; whether that was possible in `limit` seconds."""
        return self._files.stop(limit)

    # -- `Dials` -------------------------------------------------------------------------------------------

    def make_connection(self, channel: Channel, address: str) -> Connection:
        """See `Dials`."""
        connection = self._make(True, channel)
        connection.named = address
        return connection

    def max_frame(self) -> int:
        """See `Dials`."""
        return self._settings.max_frame

    def may_dial(self, address: str) -> Refusal | None:
        """See `Dials`: without a secret nodes talk on one machine only."""
        if (
            any(self._settings.secrets)
            or self._settings.insecure
            or is_loopback(address.rpartition(":")[0].strip("[]"))
        ):
            return None
        return Refusal("no_secret", f"{address} is another machine and this node has no cluster secret")

    def take_over(self, connection: Connection) -> bool:
        """See `Dials`."""
        hello = connection.hello
        if hello is None:
            return False
        self._led[connection.named] = hello.run
        added = self._nodes.add(connection)
        if added:
            text = f"Linked with node {hello.id} at {connection.named}, qcore {hello.version}"
            self._note("info", "linked", connection.named, text)
        self._publish()
        self._host.met(hello)
        return added

    def note_failure(self, address: str, connection: Connection | None, why: str) -> None:
        """See `Dials`."""
        if connection is None or connection.refusal is None:
            linked = connection is not None and connection.hello is not None
            text = f"The link to {address} is lost: {why}" if linked else f"Nobody to link with at {address}: {why}"
            level: Level = "debug" if not linked else "info" if why.endswith((_NEW_IDENTITY, _STOPPING)) else "warning"
            self._note(level, "link_lost" if linked else "dial_failed", address, text)

    # -- `Owner` -------------------------------------------------------------------------------------------

    def linked(self, connection: Connection) -> None:
        """See `Owner`."""
        hello = connection.hello
        if hello is None:
            return
        self.acceptor.settled(connection)
        again = self._known.judge(hello)  # somebody may have come while the handshake was under way
        if again is not None:
            connection.hello = None
            connection.refuse(again)
            return
        self._known.joined(hello)
        self.dialler.name(_source(hello.incarnation), [hello.addr])
        if not connection.dialled:
            self._host.met(hello)
            self.dialler.wake(hello.addr)
        elif connection.channel != "urgent":  # that one is the dialler's to take over
            self._nodes.add(connection)
            self._publish()
            self._host.met(hello)

    def asked(self, connection: Connection, request: Request) -> None:
        """See `Owner`."""
        if request.kind == CALL:
            self.forwards.asked(connection, request)
        elif self.traffic.knows(request.kind):
            self.traffic.asked(connection, request)
        elif connection.hello is not None:
            done = functools.partial(self._answer, connection, request.id)
            self._host.asked(Question(connection.hello, request.kind, request.body, request.left, done))

    def cancelled(self, connection: Connection, id: int) -> None:
        """See `Owner`; the engine's answers are dropped when they come."""
        self.forwards.cancelled(connection, id)

    def heard_clock(self, connection: Connection, seconds: float, clock: int) -> None:
        """See `Owner`."""
        if connection.hello is not None and connection.channel == "urgent":
            ahead = clock / 1e9 + seconds / 2 - time.time()
            self._clocks[connection.hello.run] = seconds, ahead
            self._publish()

    def lost(self, connection: Connection) -> None:
        """See `Owner`."""
        self._connections.discard(connection)
        self.acceptor.settled(connection)
        if connection.refusal is not None:
            self._note_refusal(connection, connection.refusal)
        elif connection.hello is None and not connection.dialled:
            text = f"Whoever came to the link from {connection.address} went without a handshake: {connection.why}"
            self._note("info", "link_stranger", "strangers", text)
        if connection.hello is not None:
            self.forwards.lost(connection)
            self._known.left(connection.hello)
            if connection.dialled:
                self._nodes.remove(connection)
                if connection.channel == "urgent":
                    self._clocks.pop(connection.hello.run, None)
                    self.dialler.wake()
                self._publish()

    # -- parts ---------------------------------------------------------------------------------------------

    def _answer(self, connection: Connection, id: int, body: bytes, error: RequestError | None = None) -> None:
        self._crossing.call(connection.reply, id, body, error)

    def _keep(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        def answered() -> None:
            self._crossing.call(done)

        self._host.offered(found, answered)

    def _make_accepted(self) -> Connection:
        return self._make(False, None)

    def _make(self, dials: bool, channel: Channel | None) -> Connection:
        settings = self._settings
        handshake = Handshake(dials, self._hello(channel or "urgent"), settings.secrets, self._known.judge)
        connection = Connection(self, handshake, dials, channel, settings.max_frame, settings.max_queue)
        self._connections.add(connection)
        return connection

    def _hello(self, channel: Channel) -> Hello:
        own, (vote, last) = self._known.own, self._host.facts()
        return Hello(
            channel=channel,
            nonce=secrets.token_bytes(32),
            cluster=own.cluster,
            node=own.node,
            incarnation=own.incarnation,
            run=own.run,
            serial=next(self._serial),
            levels=own.levels,
            vote=vote,
            last=last,
            addr=own.addr,
            version=own.version,
            clock=time.time_ns(),
            up=self._loop.time() - self._begun,
            witness=own.witness,
        )

    def _note_refusal(self, connection: Connection, refusal: Refusal) -> None:
        if refusal.reason == "itself" and connection.dialled:
            self._host.found_itself(connection.named)
        where = connection.named or connection.address
        if connection.refused_by_peer:
            self._host.refused(refusal, connection.proved)
            text = f"{where} does not talk to this node: {refusal.message}"
        else:
            text = f"This node does not talk to {where}: {refusal.message}"
        level: Level = "error" if refusal.reason in _LOUD else "debug" if refusal.reason == "itself" else "warning"
        who = connection.named or connection.address.rpartition(":")[0]
        key, sentence = f"{who} {refusal.reason}", f"{text} ({refusal.reason})"
        if level != "debug":
            self._host.not_talked_to(key, sentence)
        self._note(level, "link_refused", key, sentence)
        rival = connection.claimant
        if refusal.reason in _RIVALS and rival is not None and self._is_younger_than(rival):
            self._host.is_second(f"node {rival.id} runs at {rival.addr} already: two nodes must not have one number")

    def _is_younger_than(self, rival: Hello) -> bool:
        """Whether another process has the number of this node, and began before it."""
        own = self._known.own
        if rival.id != public_id(own.node):
            return False
        longer = rival.up - (self._loop.time() - self._begun)
        return longer > 0 if abs(longer) >= _OLDER_SECONDS else rival.run < own.run

    def _note(self, level: Level, event: str, key: str, message: str) -> None:
        self._notices.note(level, event, key, message, self._loop.time())

    def _publish(self) -> None:
        found = []
        for connection in self._nodes.urgent():
            hello = connection.hello
            if hello is not None:
                seconds, ahead = self._clocks.get(hello.run, (None, None))
                up = self._nodes.is_up(hello.node)
                status = PeerStatus(
                    hello=hello,
                    address=connection.named,
                    addresses=tuple(address for address, run in self._led.items() if run == hello.run),
                    up=up,
                    clock_ahead=ahead,
                    round_trip=seconds,
                )
                found.append(status)
        self.status = tuple(sorted(found, key=lambda status: status.hello.node))

    async def _gone(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(budgets.GOODBYE_SECONDS):
                for connection in list(self._connections):
                    await connection.gone.wait()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _source(incarnation: str) -> str:
    return f"node {incarnation}"
