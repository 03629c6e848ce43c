"""One socket of the link: an `asyncio.Protocol` around websockets' sans-I/O protocols, dialling and accepting alike.

Each frame is a whole binary message; fragments are refused. What the messages say is none of its business.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import termios
from http import HTTPStatus
from typing import Protocol, cast, get_args

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from qcore.cluster import budgets
from qcore.cluster.handshake.hello import PATH, PROTOCOLS, Reason, Refusal, common_protocol

__all__ = ["Upper", "WebSocket", "accepted", "dialled"]

_LIBRARY_LOG = logging.getLogger("qcore.cluster.protocol")
_LIBRARY_LOG.setLevel(logging.ERROR)  # what goes wrong on the link is told by the link


class Upper(Protocol):
    """What speaks over the socket."""

    def opened(self) -> None:
        """The WebSocket is open."""

    def received(self, frame: bytes) -> None:
        """A frame came."""

    def heard(self) -> None:
        """Bytes came."""

    def writable(self) -> None:
        """The socket takes frames again after it was congested."""

    def lost(self, why: str, refusal: Refusal | None) -> None:
        """The socket is closed; a refusal if the other side said no to the WebSocket itself."""


def accepted(upper: Upper, max_frame: int, head: bytes, rest: bytes, refusal: Refusal | None = None) -> WebSocket:
    """The socket of who came: `head` is its HTTP request, `rest` what was read behind that.

    With a `refusal` it is answered by that, and not opened.
    """
    return WebSocket(ServerProtocol(max_size=max_frame, logger=_LIBRARY_LOG), upper, (head, rest), refusal)


def dialled(upper: Upper, max_frame: int, host: str, port: int) -> WebSocket:
    """The socket to an address."""
    offered = [Subprotocol(protocol) for protocol in PROTOCOLS]
    uri = WebSocketURI(False, host, port, PATH, "")
    return WebSocket(ClientProtocol(uri, subprotocols=offered, max_size=max_frame, logger=_LIBRARY_LOG), upper)


class WebSocket(asyncio.Protocol):
    """From a socket to a closed one.

    Attributes:
        proved: whether the other side is known to be a node; until then what may come is bounded.
        congested: whether the socket takes nothing for now.
        address: ``host:port`` of the other end of the socket.
    """

    def __init__(
        self,
        protocol: ClientProtocol | ServerProtocol,
        upper: Upper,
        begun: tuple[bytes, bytes] = (b"", b""),
        refusal: Refusal | None = None,
    ) -> None:
        self.proved = False
        self.congested = False
        self.address = ""
        self._protocol = protocol
        self._upper = upper
        self._begun = begun
        self._transport: asyncio.Transport | None = None
        self._unproved = 0
        """Bytes that came before it was proved."""
        self._written = 0
        self._closed = False
        """Whether this side has said goodbye: what still comes does not count."""
        self._goodbye: tuple[int, str] | None = None
        """What is to be said as soon as there is a socket."""
        self._why = ""
        self._refusal = refusal
        """Why there is no WebSocket: this side's word before, the other side's after it has answered."""
        self._end: asyncio.TimerHandle | None = None

    # -- asyncio -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(budgets.WRITE_AHEAD_BYTES)
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if isinstance(self._protocol, ClientProtocol):
            self._protocol.send_request(self._protocol.connect())
            self._flush()
        for data in self._begun:
            if data:
                self._take(data)
        self._begun = (b"", b"")
        if self._goodbye is not None:
            self.close(*self._goodbye)
        elif self._closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._upper.heard()
        self._take(data)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        self._protocol.receive_eof()
        self._collect()
        return False

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.congested = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.congested = False
        self._upper.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._end is not None:
            self._end.cancel()
        received = self._protocol.close_rcvd
        if not self._why and received is not None:
            self._why = f"closed by the other side: {received.reason or received.code}"
        self._upper.lost(self._why or (f"{exc.__class__.__name__}: {exc}" if exc else "closed"), self._refusal)

    # -- for the upper layer -------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Send a frame; dropped when the socket is closing."""
        if self._protocol.state is OPEN:
            self._protocol.send_binary(frame)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, once; the socket is closed when the other side agrees, or a moment later."""
        self._why = self._why or reason
        self._closed = True
        if self._transport is None:
            self._goodbye = self._goodbye or (code, reason)
        elif self._protocol.state is OPEN:
            try:
                self._protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            except ConnectionClosed:
                return
            self._flush()
            self._end_soon()
        elif self._end is None:
            self.abort(reason)

    def abort(self, why: str) -> None:
        """Drop the socket without a word to the other side."""
        self._why = self._why or why
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def delivery(self) -> tuple[int, int]:
        """Bytes that the other machine has confirmed since the beginning, and those that it has not."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return self._written, 0
        found: socket.socket = transport.get_extra_info("socket")
        try:
            answer = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, RuntimeError):  # closed this moment
            return self._written, 0
        outstanding = transport.get_write_buffer_size() + int.from_bytes(answer, "little")
        return self._written - outstanding, outstanding

    # -- bytes and frames ----------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if not self.proved:
            self._unproved += len(data)
            if self._unproved > budgets.HANDSHAKE_BYTES:
                self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {budgets.HANDSHAKE_BYTES} bytes before any proof")
                return
        self._protocol.receive_data(data)
        self._collect()

    def _collect(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Response):
                self._opened(event)
            else:
                self._frame(event)
        sent = self._protocol.close_sent
        if self._protocol.parser_exc is not None and sent is not None:
            self._why = self._why or sent.reason or f"closed with {sent.code}"
        self._flush()
        if self._transport is not None and sent is not None and self._protocol.close_rcvd is not None:
            self._transport.close()
        elif self._protocol.close_expected():
            self._end_soon()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY and frame.fin:
            if not self._closed:
                self._upper.received(bytes(frame.data))
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._fail(CloseCode.UNSUPPORTED_DATA, "a frame of the link is one whole binary message")

    def _answer(self, request: Request) -> None:
        """Answer the request of who came."""
        protocol = cast(ServerProtocol, self._protocol)
        words = ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(",")
        found = self._refusal or common_protocol([word.strip() for word in words if word.strip()])
        if isinstance(found, Refusal):
            self._why, self._refusal = found.message, found
            response = protocol.reject(HTTPStatus.BAD_REQUEST, f"{found.reason}: {found.message}\n")
        else:
            protocol.available_subprotocols = [Subprotocol(found)]
            response = protocol.accept(request)
        protocol.send_response(response)
        self._flush()
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._upper.opened()
        else:
            self._why = self._why or "the request is no handshake of WebSocket"
            self._end_soon()

    def _opened(self, response: Response) -> None:
        """The answer to this side's request came."""
        error = self._protocol.handshake_exc
        if error is None and self._protocol.subprotocol is not None:
            self._upper.opened()
            return
        self._why = f"{error}" if error is not None else "whoever answers there does not speak the link's protocol"
        if isinstance(error, InvalidStatus):
            text = bytes(response.body or b"")[:300].decode(errors="replace").strip()
            self._why = f"HTTP {response.status_code}: {text}"
            reason, _, message = text.partition(": ")
            if reason in get_args(Reason):
                self._refusal = Refusal(cast(Reason, reason), message)
        self.abort(self._why)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._why = self._why or reason
        self._closed = True
        self._protocol.fail(code, reason)
        self._flush()
        self._end_soon()

    def _flush(self) -> None:
        transport = self._transport
        chunks = self._protocol.data_to_send()
        if not chunks or transport is None or transport.is_closing():
            return
        data = b"".join(chunks)
        self._written += len(data)
        transport.write(data)
        if not chunks[-1] and transport.can_write_eof():
            transport.write_eof()

    def _end_soon(self) -> None:
        """Let the goodbye arrive: what still comes is read, but nobody looks at it."""
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(budgets.GOODBYE_SECONDS, self.abort, "closed")
