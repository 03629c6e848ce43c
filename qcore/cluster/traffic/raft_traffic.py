"""What Raft says to other nodes and hears from them: requests, calls and snapshots of the engine."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Protocol

from qcore.cluster.connections.connection import Connection
from qcore.cluster.connections.linked_nodes import LinkedNodes
from qcore.cluster.connections.messages import Request
from qcore.cluster.handshake.hello import Channel
from qcore.cluster.traffic.snapshot_transfer import TRANSFER_KINDS, IncomingSnapshots, send_snapshot
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import RpcKind
from qcore.model.errors import Internal, NoQuorum, NotInitialized, RequestError

__all__ = ["Keep", "Raft", "RaftTraffic"]

Keep = Callable[[SnapshotFile, Callable[[], None]], None]
"""Offers the node a snapshot beside Raft, whose file is durable; the callback tells, on the link's thread, that it has
taken it over, or will not."""

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]
"""Begins a task that ends with the link at the latest."""

_KINDS: tuple[RpcKind, ...] = ("append", "heartbeat", "vote", "pre_vote", "transfer")


class Raft(Protocol):
    """What the link needs of an engine; all of it may be called on any thread, and returns at once."""

    def rpc_in(self, node: int, kind: RpcKind, call: int, body: bytes) -> None:
        """Another node asks; `RaftTraffic.answer` follows."""

    def snapshot_in(self, node: int, call: int, body: bytes, found: SnapshotFile) -> None:
        """Another node has sent a snapshot, which is durable; `RaftTraffic.answer` follows."""

    def rpc_done(self, request: int, body: bytes | None) -> None:
        """A request was answered, or failed if `body` is None."""

    def set_link(self, node: int, up: bool) -> None:
        """A node can be reached, or cannot."""


class RaftTraffic:
    """The engine's `Peers`. Without a connection a request fails at once.

    A snapshot that comes with a body is for the engine; one without was offered to this node, to `keep` it.
    """

    def __init__(
        self, raft: Raft, nodes: LinkedNodes, incoming: IncomingSnapshots, files: Executor, spawn: Spawn, keep: Keep
    ) -> None:
        self._raft = raft
        self._nodes = nodes
        self._incoming = incoming
        self._files = files
        self._spawn = spawn
        self._keep = keep
        self._offered: set[int] = set()
        """Nodes that a snapshot is on its way to beside Raft."""
        self._requests: dict[int, tuple[Connection, int]] = {}
        self._transfers: dict[int, asyncio.Task[Any]] = {}
        self._calls: dict[int, tuple[Connection, int]] = {}
        self._received: dict[int, SnapshotFile] = {}
        """Snapshots that the engine has not answered for yet, by call."""
        self._next_call = itertools.count(1)

    # -- `Peers` -------------------------------------------------------------------------------------------

    def send(self, node: int, kind: RpcKind, request: int, body: bytes, limit: float) -> None:
        """Ask a node; `rpc_done` follows exactly once, at the latest after `limit` seconds."""
        channel: Channel = "append" if kind == "append" else "urgent"
        connection = self._nodes.find(node, channel)
        if connection is None:
            self._raft.rpc_done(request, None)
            return
        id = connection.ask(kind, body, limit, functools.partial(self._done, request))
        if id is not None:
            self._requests[request] = connection, id

    def send_snapshot(self, node: int, request: int, body: bytes, found: SnapshotFile) -> None:
        """Send a snapshot file; `rpc_done` follows when the receiver answered, or where there is no progress."""
        connection = self._nodes.find(node, "snapshot")
        if connection is None:
            self._raft.rpc_done(request, None)
            return
        try:
            descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self._raft.rpc_done(request, None)
            return
        task = self._spawn(send_snapshot(connection.awaited, self._files, descriptor, body))
        self._transfers[request] = task
        task.add_done_callback(functools.partial(self._transferred, request, descriptor))

    def offer_snapshot(self, node: int, found: SnapshotFile) -> None:
        """Send a node a snapshot file beside Raft, one at a time; what becomes of it shows there alone."""
        connection = self._nodes.find(node, "snapshot")
        if connection is None or node in self._offered:
            return
        try:
            descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        self._offered.add(node)
        task = self._spawn(send_snapshot(connection.awaited, self._files, descriptor, b""))
        task.add_done_callback(functools.partial(self._offer_ended, node, descriptor))

    def _offer_ended(self, node: int, descriptor: int, task: asyncio.Task[bytes]) -> None:
        self._files.submit(os.close, descriptor)  # behind the last read of it
        self._offered.discard(node)
        if not task.cancelled():
            task.exception()  # who wants it asks again

    def cancel(self, request: int) -> None:
        """Forget a request: nobody hears of it any more."""
        found = self._requests.pop(request, None)
        if found is not None:
            connection, id = found
            connection.cancel(id)
        transfer = self._transfers.pop(request, None)
        if transfer is not None:
            transfer.cancel()

    def answer(self, call: int, body: bytes | None) -> None:
        """Answer what the engine was asked; None tells the other side that there is no answer."""
        found = self._calls.pop(call, None)
        if found is None:
            return
        received = self._received.pop(call, None)
        if received is not None:
            self._incoming.answered(received)
        connection, id = found
        if body is None:
            connection.fail(id, NoQuorum("the node cannot answer now", applied="unknown"))
        else:
            connection.answer(id, body)

    # -- what other nodes ask ------------------------------------------------------------------------------

    def knows(self, kind: str) -> bool:
        """Whether a kind of request is Raft's."""
        return kind in _KINDS or kind in TRANSFER_KINDS

    def asked(self, connection: Connection, request: Request) -> None:
        """Hand a request to the engine; only nodes of the same cluster may ask."""
        hello = connection.hello
        if hello is None or not self._nodes.same_cluster(hello):
            connection.fail(request.id, NotInitialized("the two nodes are not in one cluster"))
        elif request.kind in _KINDS:
            call = self._begin_call(connection, request.id)
            self._raft.rpc_in(hello.node, request.kind, call, request.body)
        else:
            self._spawn(self._receive(connection, hello.node, request))

    def _begin_call(self, connection: Connection, id: int) -> int:
        call = next(self._next_call)
        self._calls[call] = connection, id
        return call

    async def _receive(self, connection: Connection, node: int, request: Request) -> None:
        try:
            found = await self._incoming.take(request.kind, request.body)
        except RequestError as exc:
            connection.fail(request.id, exc)
        except Exception as exc:
            connection.fail(request.id, Internal(f"{type(exc).__name__}: {exc}"))
            raise
        else:
            if isinstance(found, bytes):
                connection.answer(request.id, found)
            elif not found[1]:
                self._keep(found[0], functools.partial(self._kept, found[0], connection, request.id))
            else:
                file, meta = found
                call = self._begin_call(connection, request.id)
                self._received[call] = file
                self._raft.snapshot_in(node, call, meta, file)

    def _kept(self, file: SnapshotFile, connection: Connection, id: int) -> None:
        self._incoming.answered(file)
        connection.answer(id, b"")

    # -- what this node asks -------------------------------------------------------------------------------

    def _done(self, request: int, body: bytes, error: RequestError | None) -> None:
        self._requests.pop(request, None)
        self._raft.rpc_done(request, None if error is not None else body)

    def _transferred(self, request: int, descriptor: int, task: asyncio.Task[bytes]) -> None:
        self._files.submit(os.close, descriptor)  # behind the last read of it
        failed = task.cancelled() or task.exception() is not None
        if self._transfers.pop(request, None) is not None:
            self._raft.rpc_done(request, None if failed else task.result())
