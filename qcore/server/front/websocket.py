"""One connection: an asyncio protocol around websockets' sans-I/O server, with a session behind it.

No task and no queue per connection. Frames that arrive together are handled together, answers that are made in
one turn of the loop leave in one write. A client that does not read is cut off when too much waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import parse_qs

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CLOSED, OPEN, Event
from websockets.server import ServerProtocol

from qcore.server.client import Client
from qcore.server.front.rpc import Conversation, Limits, Service
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import TurnBudget

__all__ = ["Connection", "Front"]

log = logs.get("qcore.websocket")

_LIBRARY_LOG = logging.getLogger("qcore.websocket.protocol")
_LIBRARY_LOG.setLevel(logging.WARNING)  # at info it tells of every connection, as we do ourselves at debug


class Front(Protocol):
    """What a connection needs of the server around it."""

    service: Service
    limits: Limits
    max_message: int
    send_queue: int
    ping_interval: float
    ping_timeout: float
    turn: TurnBudget

    def joined(self, connection: Connection) -> None:
        """A socket was accepted."""

    def left(self, connection: Connection) -> None:
        """A socket is closed."""

    def respond(self, protocol: ServerProtocol, request: Request, peer: str) -> Response:
        """The HTTP answer to a request; status 101 opens the conversation."""


class Connection(asyncio.Protocol):
    """From accepted socket to closed one."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(max_size=front.max_message, logger=_LIBRARY_LOG)
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._congested = False
        """Whether the socket takes no more for now; events wait in the client's outbox then, answers do not."""
        self._goodbye = False
        """Whether this side said goodbye first: what still comes is not carried out."""
        self._ending = False
        self._unread: deque[bytes] = deque()
        self._inbox: deque[Event] = deque()
        """What has come and was not taken apart, or not taken, yet; while anything waits here nothing more is read."""
        self._paused = False
        self._lost = False
        self._fragments = bytearray()  # a list would cost 40 bytes for each empty one of a flood
        self._fragments_text = True
        self._heard = 0.0
        self._pinged = False
        self.name = ""
        self.peer = ""

    # -- asyncio ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername") or ("", 0)
        self.peer = f"{peername[0]}:{peername[1]}"
        self._front.joined(self)
        self._arm(budgets.HANDSHAKE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard = self._loop.time()
        self._pinged = False  # whoever sends is alive, pong or not
        chunk = budgets.RECEIVE_CHUNK_BYTES
        if len(data) <= chunk and not self._unread:
            self._protocol.receive_data(data)
            self._collect()
        else:
            self._unread.extend(data[start : start + chunk] for start in range(0, len(data), chunk))
        self._handle()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        self._protocol.receive_eof()
        self._collect()
        self._handle()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
        self._front.left(self)
        if self._conversation is not None:
            self._conversation.close()
            log.debug("connection_closed", message=f"Connection from {self.peer} closed", client=self.name)
        self._lost = True
        if not (self._inbox or self._unread):
            self._let_go()

    def _let_go(self) -> None:
        """Break the circles in which this object stands, the library's too.

        The garbage collector alone would free them, with messages of megabytes, and it waits until nobody asks for
        anything.
        """
        self._conversation = None
        self._protocol.parser.close()
        self._protocol.parser_exc = self._protocol.handshake_exc = None

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._congested = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._congested = False
        self._flush_later()

    # -- in ------------------------------------------------------------------------------------------------

    def _handle(self) -> None:
        """Take what has come at once, or where that takes long in slices, between which others are served."""
        if not self._paused:
            turn = self._front.turn
            while self._take_one():
                if time.monotonic() >= turn.end():
                    self._front.service.schedule(self._take_one)
                    break
            if (self._inbox or self._unread) and not self._transport.is_closing():
                self._paused = True
                self._transport.pause_reading()

    def _take_one(self) -> bool:
        """Take the next event of the inbox; False when all is taken, or as long as the client may not send more."""
        conversation, inbox = self._conversation, self._inbox
        if not inbox and self._unread:
            self._protocol.receive_data(self._unread.popleft())
            self._collect()
        if inbox:
            if conversation is not None and not conversation.may_send():
                return False
            event = inbox.popleft()
            if isinstance(event, Request):
                self._open(event)
            else:
                self._frame(cast(Frame, event), time.monotonic())
        if inbox or self._unread:
            return True
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        if self._lost:
            self._let_go()
        return False

    def _collect(self) -> None:
        """Put into the inbox what the library has made of the last bytes, or of their end."""
        protocol = self._protocol
        events = protocol.events_received()
        self._inbox.extend(events)
        if protocol.state is not OPEN or any(cast(Frame, event).opcode is Opcode.PING for event in events):
            self._flush_later()  # the library answers handshakes, pings, goodbyes and what is malformed

    def _client_may_send(self) -> None:
        self._front.service.schedule(self._take_one)

    def _open(self, request: Request) -> None:
        protocol = self._protocol
        response = self._front.respond(protocol, request, self.peer)
        if request.method == "HEAD":
            response.body = b""
        protocol.send_response(response)
        self._flush_later()
        if response.status_code == 101:
            query = request.path.partition("?")[2].partition("#")[0]
            self.name = parse_qs(query).get("client", [""])[0][:64]
            client = Client(self.name, self.peer, Outbox(self._flush_later))
            self._conversation = Conversation(
                self._front.service, self._front.limits, client, self.send, self._client_may_send
            )
            log.debug("connection_opened", message=f"New WebSocket connection from: {self.peer}", client=self.name)
            self._arm(self._front.ping_interval, self._check_alive)

    def _frame(self, frame: Frame, now: float) -> None:
        conversation = self._conversation
        if conversation is None or self._goodbye:
            return
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            if frame.fin:
                self._message(conversation, frame.opcode is Opcode.TEXT, bytes(frame.data), now)
            else:
                self._fragments = bytearray(frame.data)
                self._fragments_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is Opcode.CONT:
            self._fragments += frame.data
            if frame.fin:
                data, self._fragments = bytes(self._fragments), bytearray()
                self._message(conversation, self._fragments_text, data, now)

    def _message(self, conversation: Conversation, text: bool, data: bytes, now: float) -> None:
        if text:
            conversation.receive(data, now)
        else:
            self.close(1003, "binary frames are not part of this version: send JSON in text frames")

    # -- out -----------------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Send one message; dropped when the connection is closing."""
        if self._protocol.state is OPEN and not self._lost:
            self._protocol.send_text(text)
            self._flush_later()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; the socket closes when the client agrees, or soon."""
        if self._protocol.state is OPEN:
            try:
                self._protocol.send_close(code, reason[:120])
            except ConnectionClosed:
                return
            self._goodbye = True
            self._flush_later()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()

    def _flush_later(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        transport = self._transport
        if transport.is_closing():
            return
        chunks = self._protocol.data_to_send()
        if chunks:
            end = not chunks[-1]
            transport.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))
            if end and transport.can_write_eof():
                transport.write_eof()
        conversation = self._conversation
        if conversation is not None and conversation.client.outbox.size and self._protocol.state is OPEN:
            self._flush_events(conversation.client.outbox)
        if transport.get_write_buffer_size() > self._front.send_queue:
            self._cut_off()
        elif self._protocol.close_expected():
            self._end_soon()

    def _flush_events(self, outbox: Outbox) -> None:
        """Send events as long as the socket takes them, for one turn of the loop."""
        turn = self._front.turn
        while not self._congested:
            texts = outbox.take(budgets.EVENTS_WRITE_BYTES)
            if not texts:
                return
            self._transport.write(b"".join([part for text in texts for part in (_text_header(len(text)), text)]))
            if time.monotonic() >= turn.end():
                self._flush_later()
                return

    def _cut_off(self) -> None:
        """Nothing more for this client but a goodbye, which it may still read for a moment."""
        if self._protocol.state is not OPEN:
            return
        unsent = self._transport.get_write_buffer_size()
        log.warning(
            "client_cut_off",
            message=f"Client {self.peer} does not read its answers: connection cut off",
            client=self.name,
            unsent_bytes=unsent,
        )
        self.close(1008, f"{unsent} bytes of answers were not read: cut off (send_queue_mb)")
        if self._conversation is not None:
            self._conversation.close()
        self._conversation = None
        self._end_soon()

    # -- time ----------------------------------------------------------------------------------------------

    def _arm(self, delay: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, then)

    def _end_soon(self) -> None:
        """Give the goodbye its time, once, whatever the client still sends."""
        if not self._ending:
            self._ending = True
            self._arm(budgets.CLOSE_SECONDS, self._transport.abort)

    def _check_alive(self) -> None:
        """Ping after silence; without an answer the client is gone."""
        silent = self._loop.time() - self._heard
        if self._protocol.state is CLOSED or self._transport.is_closing():
            return
        if self._paused:  # its pongs are not read either
            self._pinged = False
            self._arm(self._front.ping_interval, self._check_alive)
        elif self._pinged:
            log.info("client_silent", message=f"Client {self.peer} did not answer a ping: connection closed")
            self._transport.abort()
        elif silent >= self._front.ping_interval:
            if self._protocol.state is OPEN:
                self._pinged = True
                self._protocol.send_ping(b"")
                self._flush_later()
            self._arm(self._front.ping_timeout, self._check_alive)
        else:
            self._arm(self._front.ping_interval - silent, self._check_alive)


def _text_header(length: int) -> bytes:
    """What stands before the text of a whole, unmasked frame (RFC 6455, 5.2); events are many, so it is made here."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
