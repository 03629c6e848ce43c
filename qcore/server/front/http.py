"""The front door: answers HTTP requests, and decides who may open a WebSocket.

Until there are logins, a web page has to come from an Origin that is allowed by name, and a client from another machine
is let in only with `--insecure`. The body of every answer is text.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from http import HTTPStatus

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from qcore.model.api import SUBPROTOCOL
from qcore.server.config.settings import Settings
from qcore.server.front.service import Limits, Service
from qcore.server.front.websocket import Connection
from qcore.server.node import Node
from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import TurnBudget

__all__ = ["FrontDoor"]


class FrontDoor:
    """The `Front` of all connections: their limits, and the answer to each request."""

    def __init__(self, node: Node) -> None:
        settings = node.settings
        self.service: Service = node.router
        self.max_message = settings.max_message_mb * budgets.MEGABYTE
        self.send_queue = settings.send_queue_mb * budgets.MEGABYTE
        self.limits = Limits(
            settings.request_timeout,
            settings.max_batch,
            settings.max_pipeline,
            max_answer=self.send_queue // budgets.ANSWERS_PER_SEND_QUEUE,
        )
        self.ping_interval = settings.ping_interval
        self.ping_timeout = settings.ping_timeout
        self.max_connections = settings.max_connections
        self.turn = TurnBudget()
        self.connections: set[Connection] = set()
        self._settings: Settings = settings
        self._node = node
        self._empty = asyncio.Event()
        self._empty.set()

    def joined(self, connection: Connection) -> None:
        """See `Front.joined`; far above the limit a socket is dropped without an answer, as each costs a file."""
        self.connections.add(connection)
        self._empty.clear()
        if len(self.connections) > self.max_connections + budgets.REFUSED_CONNECTIONS:
            connection.abort()

    def left(self, connection: Connection) -> None:
        """See `Front.left`."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def close(self, grace: float) -> None:
        """Close every connection; those that are open after `grace` seconds are dropped."""
        for connection in list(self.connections):
            connection.close(1001, "the node is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for connection in list(self.connections):
            connection.abort()

    def respond(self, protocol: ServerProtocol, request: Request, peer: str) -> Response:
        """See `Front.respond`."""
        path = request.path.partition("?")[0].partition("#")[0]
        if request.method not in ("GET", "HEAD"):
            refusal = self._refuse(protocol, HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are served here")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        if path == "/healthz":
            return protocol.reject(HTTPStatus.OK, "ok\n")
        if path == "/readyz":
            reason = self._node.not_ready()
            if reason is None:
                return protocol.reject(HTTPStatus.OK, "ready\n")
            return protocol.reject(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {reason}\n")
        if path != "/":
            return protocol.reject(HTTPStatus.NOT_FOUND, f"nothing at {path}; there are /, /healthz and /readyz\n")
        return self._open(protocol, request, peer)

    def _open(self, protocol: ServerProtocol, request: Request, peer: str) -> Response:
        closed = self._closed_door(request, peer)
        if closed is not None:
            return self._refuse(protocol, HTTPStatus.FORBIDDEN, closed)
        if len(self.connections) > self.max_connections:
            return self._refuse(
                protocol,
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"there are {self.max_connections} connections already (max_connections)",
            )
        words = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        offered = [word.strip() for word in words if word.strip()]
        if offered and SUBPROTOCOL not in offered:
            return self._refuse(
                protocol,
                HTTPStatus.BAD_REQUEST,
                f"unknown subprotocol {', '.join(offered)}; there is {SUBPROTOCOL}",
            )
        protocol.available_subprotocols = [Subprotocol(SUBPROTOCOL)] if offered else None
        return protocol.accept(request)

    def _closed_door(self, request: Request, peer: str) -> str | None:
        """Why this client may not open a WebSocket, None where it may."""
        origins = request.headers.get_all("Origin")
        for origin in origins:
            if origin.lower() not in self._settings.allow_origin:
                return f"web pages of {origin} may not connect; allow them with --allow-origin {origin}"
        if not self._settings.insecure and not _is_loopback(peer):
            return f"{peer} is another machine and there are no logins yet; serve it all the same with --insecure"
        return None

    def _refuse(self, protocol: ServerProtocol, status: HTTPStatus, text: str) -> Response:
        return protocol.reject(status, f"{text}\n")


def _is_loopback(peer: str) -> bool:
    host = peer.rpartition(":")[0].partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
