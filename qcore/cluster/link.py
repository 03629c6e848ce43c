"""The peer link: a thread with a loop of its own on which nodes talk to each other.

So a node is heard as long as its process runs, however long the main loop applies a command or serves a crowd. What
comes from other threads crosses to the link's in a `Crossing`; what the link says to others it says on its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import uvloop

from qcore.cluster import budgets
from qcore.cluster.connections.asked import Done
from qcore.cluster.crossing import Crossing
from qcore.cluster.handshake.known_nodes import Own
from qcore.cluster.hub import Hub, LinkHost, LinkSettings, PeerStatus
from qcore.cluster.traffic.forwards import Forward, ForwardDone
from qcore.cluster.traffic.raft_traffic import Raft, RaftTraffic
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.entry import LogId
from qcore.model.errors import NoQuorum

__all__ = ["LinkedEngine", "PeerLink", "RpcQueue"]


class RpcQueue(Protocol):
    """What the engine asks of the link, for the thread that owns the link."""

    def fileno(self) -> int:
        """A descriptor that is readable while something waits."""

    def deliver(self, peers: RaftTraffic) -> None:
        """Ask `peers` for all that waits."""


class LinkedEngine(Raft, Protocol):
    """What the link needs of an engine."""

    def rpc_queue(self) -> RpcQueue:
        """Its queue, which is there as long as the engine is."""


class PeerLink:
    """The link of one node; every method but `start` and `stop` returns at once, on any thread.

    A link that was stopped is not started again.
    """

    def __init__(
        self, own: Own, settings: LinkSettings, host: LinkHost, engine: LinkedEngine, snapshots: SnapshotFiles
    ) -> None:
        self._own = own
        self._settings = settings
        self._host = host
        self._engine = engine
        self._snapshots = snapshots
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._ready = threading.Event()
        self._crossing: Crossing | None = None
        self._hub: Hub | None = None
        self._stopping: asyncio.Event
        self._files_ended = True

    @property
    def status(self) -> tuple[PeerStatus, ...]:
        """The nodes that this one is linked with, by Raft NodeId."""
        return () if self._hub is None else self._hub.status

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; on return sockets are taken and addresses dialled."""
        self._thread.start()
        self._ready.wait()

    def stop(self, limit: float) -> bool:
        """End in `limit` seconds at the most; whether everything has ended. Blocks, and may be called again."""
        self.begin_stop()
        self._thread.join(limit)
        return not self._thread.is_alive() and self._files_ended

    def begin_stop(self) -> None:
        """Have it end by itself: goodbyes are said, what is open fails."""
        self._cross(lambda hub: self._stopping.set())

    def abandon(self) -> None:
        """End at once, without a word to anybody."""
        self._cross(lambda hub: hub.abort())
        self.begin_stop()

    # -- what the node says --------------------------------------------------------------------------------

    def accept(self, sock: socket.socket, head: bytes, rest: bytes) -> None:
        """Take over the socket of a request for `/raft`: `head` is that request, `rest` what was read behind it.

        Nothing of it was answered yet. The link owns the socket, whatever becomes of it.
        """
        if not self._cross(lambda hub: hub.acceptor.take(sock, head, rest)):
            sock.close()

    def name_addresses(self, source: str, addresses: Iterable[str]) -> None:
        """Replace the addresses ``host:port`` that a source (`peers`, `membership`, `mdns`) names: all are dialled."""
        named = list(addresses)
        self._cross(lambda hub: hub.dialler.name(source, named))

    def identify(self, own: Own) -> None:
        """See `Hub.identify`."""
        self._cross(lambda hub: hub.identify(own))

    def set_members(self, members: Mapping[int, str]) -> None:
        """See `Hub.set_members`."""
        self._cross(lambda hub: hub.set_members(members))

    def set_removed(self, removed: Iterable[str]) -> None:
        """See `Hub.set_removed`."""
        found = frozenset(removed)
        self._cross(lambda hub: hub.set_removed(found))

    def acknowledged(self, incarnation: str, last: LogId) -> None:
        """A disk has confirmed the log up to an entry that is committed: it can never be behind that."""
        self._cross(lambda hub: hub.acknowledged(incarnation, last))

    def forward(self, node: int, calls: Sequence[Forward], done: ForwardDone) -> None:
        """Send calls to a node; see `ForwardDone`."""
        if not self._cross(lambda hub: hub.forwards.ask(node, calls, done)):
            for place in range(len(calls)):
                done(place, b"", NoQuorum("the node is stopping", applied="no"))

    def offer_snapshot(self, node: int, found: SnapshotFile) -> None:
        """Send a node a snapshot beside Raft; see `RaftTraffic.offer_snapshot`."""
        self._cross(lambda hub: hub.traffic.offer_snapshot(node, found))

    def ask(self, node: int, kind: str, body: bytes, limit: float, done: Done) -> None:
        """Ask a node something that is neither Raft's nor a forward: its `LinkHost.asked` answers.

        `done` hears the answer or the error once, by `limit` seconds, on the link's thread, or at once on the caller's
        where the link has ended. Any node that is linked can
        be asked, also of no cluster; `kind` is a word that both hosts know.
        """
        if not self._cross(lambda hub: hub.ask(node, kind, body, limit, done)):
            done(b"", NoQuorum("the node is stopping", applied="no"))

    def probe(self, done: Callable[[], None]) -> None:
        """Call `done` on the link's thread when it comes to it."""
        self._cross(lambda hub: done())

    def _cross(self, function: Callable[[Hub], object]) -> bool:
        crossing, hub = self._crossing, self._hub
        return crossing is not None and hub is not None and crossing.call(function, hub)

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as exc:
            self._host.link_failed(exc)
        finally:
            self._ready.set()
            if self._hub is not None:
                self._files_ended = self._hub.stop_files(budgets.GOODBYE_SECONDS)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        crossing = Crossing(loop)
        self._stopping = asyncio.Event()
        hub = Hub(self._own, self._settings, self._host, self._engine, self._snapshots, crossing)
        self._hub, self._crossing = hub, crossing
        queue = self._engine.rpc_queue()
        loop.add_reader(queue.fileno(), queue.deliver, hub.traffic)
        self._ready.set()
        try:
            while not self._stopping.is_set():
                hub.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(budgets.PING_SECONDS / 2):
                        await self._stopping.wait()
        finally:
            loop.remove_reader(queue.fileno())
            crossing.close()
            await hub.stop()
