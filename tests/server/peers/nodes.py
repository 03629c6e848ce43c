"""Nodes of one cluster in one process: real directories, OpenRaft, real sockets between them, clients without one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from qcore.cluster.hub import LinkSettings
from qcore.disk.directory import Directory
from qcore.engine.openraft.engine import OpenRaftEngine, Timing
from qcore.model.errors import Fatal
from qcore.server.config.settings import Settings
from qcore.server.front.http import FrontDoor
from qcore.server.front.websocket import Connection
from qcore.server.node import Node
from qcore.server.peers.peering import Peering
from qcore.server.recovery import load
from tests.server.running import DEADLINE, Client, stop_listening, until

__all__ = ["ClusterNode", "Trio", "trio"]

_TIMING = Timing(100, 300, 600)


class ClusterNode:
    """One node of a cluster; `fatal` holds why it wanted to end the daemon."""

    def __init__(self, folder: Path, id: int, **settings: Any) -> None:
        self.id = id
        self.folder = folder
        self.settings = Settings(**settings)
        self.fatal: list[Fatal] = []
        self.directory: Directory
        self.node: Node
        self.engine: OpenRaftEngine
        self.peering: Peering
        self.front: FrontDoor
        self.server: asyncio.Server
        self.port = 0
        self.running = False
        self.anew: asyncio.Future[None] | None = None
        """Where it starts again by itself."""
        self._peers: list[str] = []
        self._fronts: list[FrontDoor] = []
        """Of all its lives."""

    @property
    def addr(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def leads(self) -> bool:
        return self.engine.status().role == "leader"

    async def open(self) -> None:
        """Bind the port and open the directory."""
        self.directory = Directory.open(self.folder, self.id, machine=f"machine-{self.id}")
        self.server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.front), "127.0.0.1", self.port, start_serving=False
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def start(self, peers: list[str]) -> None:
        """Take part."""
        state, snapshot = load(self.directory)
        self.engine = OpenRaftEngine(self.directory, self.addr, 1.0, lambda seconds: None, alone=False, timing=_TIMING)
        self.node = Node(self.settings, state, self.engine, self.directory, self.addr, self.fatal.append, snapshot)
        self.front = FrontDoor(self.node)
        self.peering = Peering(
            self.node, self.directory, self.addr, peers, LinkSettings(), self.fatal.append, self._start_anew
        )
        self._peers = peers
        self.node.start()
        self.node.run()
        self.peering.start()
        self.front.take_peer = self.peering.accept
        await self.server.start_serving()
        self.running = True
        self._fronts.append(self.front)

    def _start_anew(self) -> None:
        async def again() -> None:
            await self.stop()
            await self.restart(self._peers)

        self.anew = asyncio.ensure_future(again())

    async def stop(self) -> None:
        """End in good order."""
        await stop_listening(self.server)
        await self.front.close(1.0)
        await self.node.stop()
        assert await self.peering.stop(10.0)
        await self._close()

    async def kill(self) -> None:
        """End as by kill -9: nothing is said to anybody, nothing more is written."""
        await stop_listening(self.server)
        self.peering.abandon()
        self.node.abandon()
        await self.peering.stop(10.0)
        await self._close()

    async def _close(self) -> None:
        self.directory.close()
        self.running = False

    async def hang_up(self) -> None:
        """Drop sockets that were accepted when it ended; nobody dials it any more."""
        await until(lambda: len(asyncio.all_tasks()) == 1)  # a socket is accepted in a task of its own
        for front in self._fronts:
            for connection in list(front.connections):
                connection.abort()
            await until(partial(_is_empty, front))

    async def restart(self, peers: list[str]) -> None:
        """Start again on the same directory and port."""
        await self.open()
        await self.start(peers)

    def client(self) -> Client:
        """A client without a socket."""
        return Client(self.node, self.front.limits)


class Trio:
    """Three nodes."""

    def __init__(self, nodes: list[ClusterNode]) -> None:
        self.nodes = nodes

    async def linked(self) -> None:
        """Wait until each of those that run is linked with all others, and knows them as members."""
        rest = len(self.up) - 1
        await until(lambda: all(_has_others(each, rest) for each in self.up))

    async def leader(self) -> ClusterNode:
        """The node that leads, once one does and all know it."""
        await until(lambda: self._agreed() is not None)
        found = self._agreed()
        assert found is not None
        return found

    @property
    def up(self) -> list[ClusterNode]:
        return [each for each in self.nodes if each.running]

    def _agreed(self) -> ClusterNode | None:
        known = {each.engine.status().leader for each in self.up}
        return next((each for each in self.up if known == {each.id} and each.leads), None)

    async def followers(self) -> list[ClusterNode]:
        leader = await self.leader()
        return [each for each in self.up if each is not leader]

    async def restart(self, node: ClusterNode) -> None:
        """Start a node again."""
        await node.restart([other.addr for other in self.nodes if other is not node])

    async def digests(self) -> set[str]:
        """The digests of all that run, at one revision."""
        return {str((await each.client().result("digest"))["digest"]) for each in self.up}


@asynccontextmanager
async def trio(folder: Path, **settings: Any) -> AsyncIterator[Trio]:
    """Run three nodes of a new cluster, linked with each other, until the block ends; none of them may have failed."""
    nodes = [ClusterNode(folder, id, **settings) for id in (1, 2, 3)]
    for each in nodes:
        await each.open()
    for each in nodes:
        await each.start([other.addr for other in nodes if other is not each])
    await nodes[0].client().result("cluster.init", timeout=DEADLINE)
    found = Trio(nodes)
    try:
        await found.linked()
        yield found
    finally:
        for each in nodes:
            if each.running and not each.fatal:
                await each.stop()
        for each in nodes:
            await each.hang_up()
        gc.collect()  # what is left of this test is found in it, not in another
        assert [each.fatal for each in nodes] == [[] for _ in nodes]


def _has_others(node: ClusterNode, number: int) -> bool:
    linked = sum(other.up for other in node.peering.status)
    return linked == number and len(node.node.others()) == number


def _is_empty(front: FrontDoor) -> bool:
    return not front.connections
