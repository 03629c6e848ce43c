"""One connection: an `asyncio.Protocol` around websockets' sans-I/O `ServerProtocol`, with a `Conversation` on it.

There is neither a task nor a queue per connection. Frames that arrive together are handled together, and answers made
in one turn of the loop leave in one write. A client that does not read its answers is cut off when too many bytes wait
for its socket; events wait in its outbox instead. A client that says goodbye behind its requests gets their answers
first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import parse_qs

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from qcore.server.client import Client
from qcore.server.front.frames import Messages, text_header
from qcore.server.front.handover import TakeSocket, hand_over
from qcore.server.front.keep_alive import KeepAlive
from qcore.server.front.request import RequestReader, Unreadable
from qcore.server.front.rpc import Conversation
from qcore.server.front.service import Limits, Service
from qcore.server.front.unfinished import Unfinished
from qcore.server.operations.clients import CutOff
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.rare_log import RareLog
from qcore.server.runtime.scheduler import TurnBudget
from qcore.server.runtime.timers import Alarm

__all__ = ["Address", "Connection", "Front"]

Address = tuple[str, int]
"""Host and port of one end of a connection."""

log = logs.get("qcore.websocket")

_PING, _CLOSE = Opcode.PING, Opcode.CLOSE

_LIBRARY_LOG = logging.getLogger("qcore.websocket.protocol")
_LIBRARY_LOG.setLevel(logging.WARNING)  # at info it logs every connection, as we do ourselves at debug


class Front(Protocol):
    """What a connection needs of the server around it: the service, limits in bytes and seconds, the loop's budget."""

    service: Service
    limits: Limits
    max_message: int
    send_queue: int
    ping_interval: float
    ping_timeout: float
    turn: TurnBudget
    unfinished: Unfinished
    opened_log: RareLog
    silent_log: RareLog
    cut_off_log: RareLog

    def joined(self, connection: Connection) -> None:
        """Count a connection whose socket was accepted."""

    def left(self, connection: Connection) -> None:
        """Count a connection no more: its socket is closed."""

    def peer_link(self, request: Request) -> TakeSocket | None:
        """Who takes over the socket of a request that another node makes, None where it is answered here."""

    def cut_off(self, reason: CutOff) -> None:
        """Count a connection that is ended by this side, for a reason that lies with the client."""

    def respond(self, protocol: ServerProtocol, request: Request, peer: str, local: Address) -> Response:
        """Make the answer to an HTTP request; with status 101 the connection is a WebSocket.

        `peer` is ``host:port`` of the client, `local` the address on this machine that it came to.
        """


class Connection(asyncio.Protocol):
    """From accepted socket to closed one."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._request: RequestReader | None = RequestReader()
        """Reads the HTTP request; None once that is answered."""
        self._protocol = ServerProtocol(max_size=front.max_message, logger=_LIBRARY_LOG)
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport
        self._alarm = Alarm()
        """Drops a client whose handshake or goodbye takes too long."""
        self._keep_alive: KeepAlive | None = None
        self._heard = 0.0
        self._flush_scheduled = False
        self._ready: list[bytes] = []
        """Frames of answers that were not written yet; they go before what the library has ready."""
        self._congested = False
        """Whether the socket takes no more for now: events stay in the client's outbox then, answers do not wait."""
        self._goodbye = False
        """Whether this side said goodbye first: what the client still sends is not carried out."""
        self._farewell = b""
        """The answer to the client's goodbye, which waits for the answers to its requests."""
        self._end_of_stream = False
        """Whether the client has ended its stream without a goodbye."""
        self._ending = False
        self._unread: deque[bytes] = deque()
        """Bytes that came and were not taken apart yet."""
        self._inbox: deque[Frame] = deque()
        """Frames that were not handled yet. While any wait here, or any bytes, nothing more is read."""
        self._paused = False
        """Whether reading is paused for that."""
        self._lost = False
        self._messages = Messages()
        self._unfinished = 0
        """Bytes of a message that is not whole yet, as far as they were noted."""
        self.peer = ""
        """Host and port of the client."""
        self.local: Address = ("", 0)
        """The address on this machine that it came to."""

    @property
    def client(self) -> Client | None:
        """Who is connected, None before the handshake and after the end."""
        return None if self._conversation is None else self._conversation.client

    # -- asyncio ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername") or ("", 0)
        self.peer = f"{peername[0]}:{peername[1]}"
        host, port = (transport.get_extra_info("sockname") or ("", 0))[:2]
        self.local = host, port
        self._front.joined(self)
        self._alarm.set(budgets.HANDSHAKE_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard = self._loop.time()
        if self._request is not None:
            data = self._read_request(self._request, data)
            if not data:
                return
        chunk = budgets.RECEIVE_CHUNK_BYTES
        if len(data) <= chunk and not self._unread:
            self._protocol.receive_data(data)
            self._collect()
        else:
            self._unread.extend(data[start : start + chunk] for start in range(0, len(data), chunk))
        self._handle()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        conversation = self._conversation
        if self._request is not None and self._request.begun:
            self._read_end(self._request)
        elif conversation is not None and self._protocol.state is OPEN:
            self._end_of_stream = True
            if self._inbox or self._unread or conversation.open_calls:
                self._alarm.set(budgets.CLOSE_SECONDS, self._say_farewell)
                if not (self._inbox or self._unread):
                    conversation.when_idle(self._say_farewell)
                return True
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._alarm.cancel()
        if self._keep_alive is not None:
            self._keep_alive.stop()
        self._front.left(self)
        self._front.unfinished.forget(self)
        if self._conversation is not None:
            self._conversation.close()
            log.debug(
                "connection_closed",
                message=f"Connection from {self.peer} closed",
                client=self._conversation.client.name,
            )
        self._lost = True
        if not (self._inbox or self._unread):
            self._break_circles()

    def _break_circles(self) -> None:
        """Let go of what refers back to this connection, also within the library.

        Otherwise only the garbage collector would free it, with messages of megabytes, and that runs when nobody asks
        for anything.
        """
        self._request = self._conversation = self._keep_alive = None
        self._protocol.parser.close()
        self._protocol.parser_exc = self._protocol.handshake_exc = None

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._congested = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._congested = False
        self._schedule_flush()

    # -- the request ---------------------------------------------------------------------------------------

    def _read_request(self, reader: RequestReader, data: bytes) -> bytes:
        """Read the HTTP request on and answer it once it is there; returns what came behind it."""
        try:
            request = reader.feed(data)
        except Unreadable as exc:
            self._refuse(exc)
            return b""
        if request is None:
            return b""
        self._request = None
        take = self._front.peer_link(request)
        if take is not None:
            hand_over(self._transport, request.serialize(), reader.rest, take)
            return b""
        self._open(request)
        return reader.rest

    def _read_end(self, reader: RequestReader) -> None:
        try:
            reader.ended()
        except Unreadable as exc:
            self._refuse(exc)

    def _late(self) -> None:
        """The client has not said in time what it wants."""
        if self._request is not None and self._request.begun:
            text = f"the request was not finished within {budgets.HANDSHAKE_SECONDS:g} s"
            self._refuse(Unreadable(HTTPStatus.REQUEST_TIMEOUT, text))
        else:
            self._transport.abort()

    def _refuse(self, error: Unreadable) -> None:
        self._request = None
        self._protocol.send_response(self._protocol.reject(error.status, f"{error.text}\n"))
        self._flush()

    def _open(self, request: Request) -> None:
        """Answer the HTTP request, and begin the conversation where it was a handshake."""
        front, protocol = self._front, self._protocol
        response = front.respond(protocol, request, self.peer, self.local)
        if request.method == "HEAD":
            response.body = b""
        accepted = response.status_code == 101
        if accepted:  # of requests the library is only given those that it takes
            protocol.receive_data(request.serialize())
            protocol.events_received()
        protocol.send_response(response)
        self._flush()  # before any answer to what came right behind it
        if accepted:
            query = request.path.partition("?")[2].partition("#")[0]
            name = parse_qs(query).get("client", [""])[0][:64]
            client = Client(name, self.peer, Outbox(self._schedule_flush), self._transport.get_write_buffer_size)
            self._conversation = Conversation(front.service, front.limits, client, self.send, self._client_may_send)
            front.opened_log.tell(message=f"New WebSocket connection from: {self.peer}", client=name)
            self._alarm.cancel()
            self._keep_alive = KeepAlive(self, front.ping_interval, front.ping_timeout)
            self._keep_alive.start()

    # -- from the client -----------------------------------------------------------------------------------

    def _handle(self) -> None:
        """Handle what has come, at once as far as this turn's budget goes; the rest is scheduled as steps."""
        if not self._paused:
            turn = self._front.turn
            while self._handle_next():
                if time.monotonic() >= turn.end():
                    self._front.service.schedule(self._handle_next)
                    break
            if (self._inbox or self._unread) and not self._transport.is_closing():
                self._paused = True
                self._transport.pause_reading()

    def _handle_next(self) -> bool:
        """Handle the next frame; False when all are handled, or as long as the client may not send more."""
        conversation, inbox = self._conversation, self._inbox
        if not inbox and self._unread:
            self._protocol.receive_data(self._unread.popleft())
            self._collect()
        if inbox:
            if conversation is not None and not conversation.may_send():
                return False
            self._receive(inbox.popleft())
        if inbox or self._unread:
            return True
        if self._paused:
            self._paused = False
            if not (self._end_of_stream or self._transport.is_closing()):
                self._transport.resume_reading()
        if self._end_of_stream and conversation is not None:
            conversation.when_idle(self._say_farewell)
        if self._lost:
            self._break_circles()
        return False

    def _collect(self) -> None:
        """Put the frames into the inbox that the library has made of the last bytes, or of their end."""
        protocol = self._protocol
        frames = cast(list[Frame], protocol.events_received())
        self._inbox.extend(frames)
        for frame in frames:
            if frame.opcode is _PING:
                self._schedule_flush()  # the library answers it
        if protocol.state is not OPEN:
            if frames and frames[-1].opcode is _CLOSE and not self._goodbye and self._conversation is not None:
                self._hold_farewell()
            else:
                self._schedule_flush()  # what the library says to goodbyes and to what is malformed
        if protocol.reader.buffer or self._unfinished:
            self._note_unfinished()

    def _note_unfinished(self, *, anew: bool = False) -> None:
        if self._lost:
            return
        self._unfinished = len(self._protocol.reader.buffer) + self._messages.size
        self._front.unfinished.note(self, self._unfinished, anew)

    def _client_may_send(self) -> None:
        self._front.service.schedule(self._handle_next)

    def _receive(self, frame: Frame) -> None:
        """Give a message to the conversation once `frame` completes one."""
        conversation = self._conversation
        if conversation is None or self._goodbye:
            return
        message = self._messages.add(frame)
        if message is None:
            if frame.opcode is _CLOSE:
                conversation.when_idle(self._say_farewell)
            elif self._messages.size:
                self._note_unfinished()
            return
        if self._unfinished:
            self._note_unfinished(anew=True)
        text, data = message
        if not text:
            self.close(1003, "binary frames are not part of this version: send JSON in text frames")
        elif data.isascii() or self._is_utf8(data):
            conversation.receive(data, time.monotonic())

    def _is_utf8(self, data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError as exc:
            self.close(CloseCode.INVALID_DATA, f"byte {exc.start} of a text is not UTF-8")
            return False
        return True

    # -- to the client -------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Send one message; dropped when the connection is closing."""
        if self._protocol.state is OPEN and not self._lost:
            self._ready += text_header(len(text)), text
            self._schedule_flush()
        elif self._farewell and not self._transport.is_closing():
            self._transport.write(text_header(len(text)) + text)  # the library sends nothing behind a goodbye

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; the socket closes when the client agrees, or `CLOSE_SECONDS` later."""
        if self._protocol.state is OPEN:
            try:
                self._protocol.send_close(code, reason[:120])
            except ConnectionClosed:
                return
            self._goodbye = True
            self._schedule_flush()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()

    def _hold_farewell(self) -> None:
        """Send what the library has ready, but its answer to the client's goodbye not before those to its requests."""
        *ready, self._farewell, _end = self._protocol.data_to_send()
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._taken(ready)))
        self._alarm.set(budgets.CLOSE_SECONDS, self._say_farewell)

    def _say_farewell(self) -> None:
        """The requests that came before the client's goodbye, or before the end of its stream, are answered."""
        farewell, self._farewell = self._farewell, b""
        if self._transport.is_closing():
            return
        if self._end_of_stream:
            self._protocol.receive_eof()
            self._flush()
            self._transport.close()
        elif farewell:
            self._transport.write(farewell)
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._end_soon()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what the library has ready, then events; cut the client off where too much was written in vain."""
        self._flush_scheduled = False
        transport = self._transport
        if transport.is_closing():
            return
        chunks = self._taken(self._protocol.data_to_send())
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
        elif self._protocol.close_expected() and not self._farewell:
            self._end_soon()

    def _taken(self, chunks: list[bytes]) -> list[bytes]:
        """All that is ready, to be written now: answers, then what the library made."""
        ready, self._ready = self._ready, []
        ready += chunks
        return ready

    def _flush_events(self, outbox: Outbox) -> None:
        """Write events as long as the socket takes them and this turn's budget goes."""
        turn = self._front.turn
        while not self._congested:
            texts = outbox.take(budgets.EVENTS_WRITE_BYTES)
            if not texts:
                return
            self._transport.write(b"".join([part for text in texts for part in (text_header(len(text)), text)]))
            if time.monotonic() >= turn.end():
                self._schedule_flush()
                return

    def _cut_off(self) -> None:
        """Send nothing more but a goodbye, which the client may still read for a moment."""
        if self._protocol.state is not OPEN or self._conversation is None:
            return
        unsent = self._transport.get_write_buffer_size()
        self._front.cut_off_log.tell(
            message=f"Client {self.peer} does not read its answers: connection cut off",
            client=self._conversation.client.name,
            unsent_bytes=unsent,
        )
        self._front.cut_off("unread")
        self.close(1008, f"{unsent} bytes of answers were not read: cut off (send_queue_mb)")
        self._conversation.close()
        self._conversation = None
        self._end_soon()

    def _end_soon(self) -> None:
        """Give the goodbye its time, once, whatever the client still sends."""
        if not self._ending:
            self._ending = True
            if self._keep_alive is not None:
                self._keep_alive.stop()
            self._alarm.set(budgets.CLOSE_SECONDS, self._transport.abort)

    # -- for `Unfinished` and `KeepAlive` ------------------------------------------------------------------

    def cut_off_unfinished(self, code: int, reason: str) -> None:
        """See `Sender`: the library lets go of what has come, and of all that comes."""
        self._front.cut_off("unfinished")
        self._protocol.fail(code, reason[:120])
        self._goodbye = True
        self._unfinished = 0
        self._messages = Messages()
        self._schedule_flush()

    def last_heard(self) -> float:
        """See `Pinged`."""
        return self._heard

    def is_reading(self) -> bool:
        """See `Pinged`."""
        return not self._paused

    def ping(self) -> None:
        """See `Pinged`."""
        if self._protocol.state is OPEN:
            self._protocol.send_ping(b"")
            self._schedule_flush()

    def give_up(self) -> None:
        """See `Pinged`."""
        if self._protocol.state is OPEN:
            self._front.cut_off("silent")
            text = f"Client {self.peer} did not answer a ping: connection closed"
            self._front.silent_log.tell(message=text)
        self._transport.abort()
