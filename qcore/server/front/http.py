"""The front door: answers HTTP requests, and decides who may open a WebSocket.

Until there are logins, a web page has to come from this node itself or from an Origin that is allowed by name, and a
client from another machine is let in only with `--insecure`. The body of every answer is text.
"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from qcore.cluster.handshake.hello import PATH
from qcore.model.api import SUBPROTOCOL
from qcore.model.hosts import is_loopback
from qcore.server.config.settings import Settings, check_origin
from qcore.server.front.handover import TakeSocket
from qcore.server.front.service import Limits
from qcore.server.front.unfinished import Unfinished
from qcore.server.front.websocket import Address, Connection
from qcore.server.node import Node
from qcore.server.operations.clients import CutOff
from qcore.server.operations.exposition import CONTENT_TYPE
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.rare_log import RareLog
from qcore.server.runtime.scheduler import TurnBudget

__all__ = ["FrontDoor"]


log = logs.get("qcore.websocket")


class FrontDoor:
    """The `Front` of all connections: their limits, and the answer to each request."""

    def __init__(self, node: Node) -> None:
        settings = node.settings
        self.service = node.service
        self.max_message = settings.max_message_mb * budgets.MEGABYTE
        self.send_queue = settings.send_queue_mb * budgets.MEGABYTE
        self.limits = Limits(
            settings.request_timeout,
            settings.max_batch,
            settings.max_pipeline,
            settings.max_list,
            max_answer=self.send_queue // budgets.ANSWERS_PER_SEND_QUEUE,
        )
        self.ping_interval = settings.ping_interval
        self.ping_timeout = settings.ping_timeout
        self.max_connections = settings.max_connections
        self.turn = TurnBudget()
        self.unfinished = Unfinished(budgets.UNFINISHED_MESSAGES * self.max_message)
        self.opened_log = RareLog(log, "connection_opened", "info")
        self.silent_log = RareLog(log, "client_silent", "info")
        self.cut_off_log = RareLog(log, "client_cut_off", "warning")
        self.connections: set[Connection] = set()
        self.take_peer: TakeSocket | None = None
        """Takes over the sockets of other nodes; None without a peer link."""
        self._closing = False
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

    def cut_off(self, reason: CutOff) -> None:
        """See `Front.cut_off`."""
        self._node.clients.cut_off[reason] += 1

    async def close(self, grace: float) -> None:
        """Close every connection; those that are open after `grace` seconds are dropped."""
        self._closing = True
        for connection in list(self.connections):
            connection.close(1001, "the node is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for connection in list(self.connections):
            connection.abort()

    def peer_link(self, request: Request) -> TakeSocket | None:
        """See `Front.peer_link`; what is no handshake of a node stays here, and is told so."""
        if _path(request) != PATH or self._no_peer(request) is not None:
            return None
        return self.take_peer

    def respond(self, protocol: ServerProtocol, request: Request, peer: str, local: Address) -> Response:
        """See `Front.respond`."""
        path = _path(request)
        if request.method not in ("GET", "HEAD"):
            text = "JSON-RPC is over WebSocket here; plain HTTP gets answers to GET and HEAD"
            refusal = _refuse(protocol, HTTPStatus.METHOD_NOT_ALLOWED, text)
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        if path == "/healthz":
            return protocol.reject(HTTPStatus.OK, "ok\n")
        if path == "/readyz":
            return self._readiness(protocol)
        if path == "/metrics":
            return self._metrics(protocol)
        if path == PATH:
            return _refuse(protocol, *(self._no_peer(request) or _NO_LINK))
        if path != "/":
            there = "there are /, /healthz, /readyz and /metrics"
            return _refuse(protocol, HTTPStatus.NOT_FOUND, f"nothing at {path}; {there}")
        if not _is_handshake(request):
            return protocol.reject(HTTPStatus.OK, _page(local))
        return self._open(protocol, request, peer, local)

    def _no_peer(self, request: Request) -> tuple[HTTPStatus, str] | None:
        """Why a request is not handed to the peer link, None where it is."""
        if self.take_peer is None:
            return _NO_LINK
        if self._closing:
            return HTTPStatus.SERVICE_UNAVAILABLE, "stopping: the node is stopping"
        if "Origin" in request.headers:
            return HTTPStatus.FORBIDDEN, "nodes talk to each other here, and web pages are none"
        if request.method != "GET" or not _is_handshake(request):
            return HTTPStatus.UPGRADE_REQUIRED, "nodes talk to each other here, over WebSocket"
        return None

    def _readiness(self, protocol: ServerProtocol) -> Response:
        reason = self._node.about.not_ready()
        if reason is None:
            cluster = self._node.about.cluster()
            return protocol.reject(HTTPStatus.OK, f"ready: {cluster.outlook()}\n" if cluster.voters[1:] else "ready\n")
        return _refuse(protocol, HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {reason.name}: {reason.sentence}")

    def _metrics(self, protocol: ServerProtocol) -> Response:
        response = protocol.reject(HTTPStatus.OK, self._node.metrics.text().decode())
        response.headers["Content-Type"] = CONTENT_TYPE
        return response

    def _open(self, protocol: ServerProtocol, request: Request, peer: str, local: Address) -> Response:
        closed = self._closed_door(request, peer, local)
        if closed is not None:
            return _refuse(protocol, HTTPStatus.FORBIDDEN, closed)
        if len(self.connections) > self.max_connections:
            text = f"there are {self.max_connections} connections already (max_connections)"
            return _refuse(protocol, HTTPStatus.SERVICE_UNAVAILABLE, text)
        words = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        offered = [word.strip() for word in words if word.strip()]
        if offered and SUBPROTOCOL not in offered:
            text = f"unknown subprotocol {', '.join(offered)}; there is {SUBPROTOCOL}"
            return _refuse(protocol, HTTPStatus.BAD_REQUEST, text)
        if "Transfer-Encoding" in request.headers or not set(request.headers.get_all("Content-Length")) <= {"0"}:
            return _refuse(protocol, HTTPStatus.BAD_REQUEST, "a request for a WebSocket has no body")
        protocol.available_subprotocols = [Subprotocol(SUBPROTOCOL)] if offered else None
        return protocol.accept(request)

    def _closed_door(self, request: Request, peer: str, local: Address) -> str | None:
        """Why this client may not open a WebSocket, None where it may."""
        allowed = (*self._settings.allow_origin, *_own_origins(local))
        for origin in request.headers.get_all("Origin"):
            if origin.lower() not in allowed:
                return _unwelcome(origin[:200])
        if not self._settings.insecure and not is_loopback(peer.rpartition(":")[0]):
            return f"{peer} is another machine and there are no logins yet; serve it all the same with --insecure"
        return None


_NO_LINK = HTTPStatus.NOT_FOUND, "no_link: this node is not set up for a cluster"


def _path(request: Request) -> str:
    return request.path.partition("?")[0].partition("#")[0]


def _refuse(protocol: ServerProtocol, status: HTTPStatus, text: str) -> Response:
    return protocol.reject(status, f"{text}\n")


def _is_handshake(request: Request) -> bool:
    """Whether a WebSocket is asked for, be it in a wrong way."""
    return "Sec-WebSocket-Key" in request.headers or any(
        "websocket" in value.lower() for value in request.headers.get_all("Upgrade")
    )


def _page(local: Address) -> str:
    host, port = local
    url = f"ws://{f'[{host}]' if ':' in host else host}:{port}/"
    return (
        f"This is the port of a qcore node, an entity store. Clients speak JSON-RPC 2.0 over a WebSocket at {url}, as "
        "qcore-cli and the Python SDK do. GET /healthz, /readyz and /metrics tell how the node is.\n"
    )


def _unwelcome(origin: str) -> str:
    """Why web pages of `origin` may not connect, and how they could if there is a way."""
    refused = f"web pages of {origin} may not connect"
    try:
        check_origin(origin)
    except ValueError:
        return refused
    return f"{refused}; allow them with --allow-origin {origin}"


def _own_origins(local: Address) -> list[str]:
    """What browsers call this node's own pages: by the address that the connection came to, never by a Host header.

    Another name can be made to lead here by whoever owns it.
    """
    host, port = local
    if not is_loopback(host):
        return []
    names = [f"[{host}]" if ":" in host else host]
    if host in ("127.0.0.1", "::1"):
        names.append("localhost")
    return [f"http://{name}" if port == 80 else f"http://{name}:{port}" for name in names]
