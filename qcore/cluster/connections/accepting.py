"""Sockets that the front door hands over: each is a stranger until its handshake has ended, and strangers are few."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable

from qcore.cluster import budgets
from qcore.cluster.connections.connection import Connection
from qcore.cluster.connections.websocket import accepted
from qcore.cluster.handshake.hello import Refusal

__all__ = ["Acceptor"]


class Acceptor:
    """Makes connections of handed-over sockets, on the loop's thread.

    `may_come` says why whoever is at the other end of a socket, ``host:port``, is not talked to.
    """

    def __init__(
        self, make: Callable[[], Connection], may_come: Callable[[str], Refusal | None], max_frame: int
    ) -> None:
        self._make = make
        self._may_come = may_come
        self._max_frame = max_frame
        self._strangers: dict[Connection, None] = {}
        """The oldest first."""
        self._connecting: set[asyncio.Task[None]] = set()

    @property
    def strangers(self) -> int:
        """How many have not ended their handshake."""
        return len(self._strangers)

    def take(self, sock: socket.socket, head: bytes, rest: bytes) -> None:
        """Take over an accepted socket with what was read from it: the HTTP request, and what came behind it."""
        task = asyncio.ensure_future(self._connect(sock, head, rest))
        self._connecting.add(task)
        task.add_done_callback(functools.partial(self._ended, sock))

    def settled(self, connection: Connection) -> None:
        """A connection has ended its handshake, or is gone."""
        self._strangers.pop(connection, None)

    async def stop(self) -> None:
        """Take nobody any more."""
        tasks = list(self._connecting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if task.cancelled():  # maybe before its first step
            sock.close()

    async def _connect(self, sock: socket.socket, head: bytes, rest: bytes) -> None:
        connection: Connection | None = None
        try:
            host, port = sock.getpeername()[:2]
            connection = self._make()
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            upper = accepted(connection, self._max_frame, head, rest, self._may_come(address))
            connection.speaks_over(upper)
            self._strangers[connection] = None
            if len(self._strangers) > budgets.STRANGERS:
                oldest = next(iter(self._strangers))
                self._strangers.pop(oldest)
                oldest.refuse(Refusal("crowded", f"{budgets.STRANGERS} others are in the handshake already"))
            await asyncio.get_running_loop().connect_accepted_socket(lambda: upper, sock)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                sock.close()
            if connection is not None:
                connection.lost("it was gone before it was taken over", None)
            if not isinstance(exc, OSError):
                raise
