"""A connection of the link: handshake, then requests and answers in both directions, on one socket."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from qcore.cluster import budgets
from qcore.cluster.connections.asked import Asked, Done
from qcore.cluster.connections.messages import (
    Answer,
    Cancel,
    Failure,
    Message,
    Ping,
    Pong,
    Request,
    decode,
    encode,
    size,
)
from qcore.cluster.connections.send_queue import SendQueue
from qcore.cluster.connections.silence import Silence
from qcore.cluster.connections.websocket import WebSocket
from qcore.cluster.handshake.exchange import Handshake
from qcore.cluster.handshake.hello import Channel, Hello, Refusal
from qcore.model.errors import Busy, NoQuorum, RequestError, Timeout, TooLarge, error_from_wire

__all__ = ["Connection", "Owner"]


class Owner(Protocol):
    """Who has to do with a connection."""

    def linked(self, connection: Connection) -> None:
        """Both sides talk."""

    def asked(self, connection: Connection, request: Request) -> None:
        """The other side asks; `answer` or `fail` follows once."""

    def cancelled(self, connection: Connection, id: int) -> None:
        """The other side does not wait for the answer any more."""

    def heard_clock(self, connection: Connection, seconds: float, clock: int) -> None:
        """The other side's clock, ns since 1970, as of half of `seconds` ago."""

    def lost(self, connection: Connection) -> None:
        """The socket is closed, or never came to be a connection; see `why` and `refusal`."""


class Connection:
    """One socket between two nodes, on one channel.

    Attributes:
        dialled: whether this side has dialled.
        named: ``host:port`` that was dialled, as it was named; "" where the other side has dialled.
        channel: what it is for; of one that was accepted only known once `linked`.
        hello: who the other side is, None until both sides talk.
        refusal: why they do not talk, with `refused_by_peer` whether that is the other side's word and `proved`
            whether that side has proved to know the secret.
        why: why it was lost, in words.
        gone: set when it is lost.
    """

    def __init__(
        self,
        owner: Owner,
        handshake: Handshake,
        dialled: bool,
        channel: Channel | None,
        max_frame: int,
        max_queue: int,
    ) -> None:
        self.dialled = dialled
        self.named = ""
        self.channel = channel
        self.hello: Hello | None = None
        self.refusal: Refusal | None = None
        self.refused_by_peer = False
        self.proved = False
        self.claimant: Hello | None = None
        """Who the other side is, as soon as it has proved the secret: also one that is refused or refuses."""
        self.why = ""
        self.gone = asyncio.Event()
        self.settled = asyncio.Event()
        """Set when the handshake has ended, one way or the other."""
        self._owner = owner
        self._handshake = handshake
        self._max_frame = max_frame
        self._socket: WebSocket
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue(max_queue)
        self._asked = Asked()
        self._calls: set[int] = set()
        """Requests of the other side that are not answered."""
        self._flush_scheduled = False
        self._silence = Silence(budgets.PING_SECONDS, budgets.SILENCE_SECONDS, self._loop.time())
        self._late = self._loop.call_later(budgets.HANDSHAKE_SECONDS, self._too_late)
        self._deadline: asyncio.TimerHandle | None = None
        self._closing = False

    def speaks_over(self, socket: WebSocket) -> None:
        """Give it its socket; called once, at first."""
        self._socket = socket

    @property
    def address(self) -> str:
        """``host:port`` of the other end of the socket."""
        return self._socket.address

    # -- asking and answering ------------------------------------------------------------------------------

    def ask(
        self, kind: str, body: bytes, limit: float, done: Done, session: int | None = None, epoch: str = ""
    ) -> int | None:
        """Ask the other side; `done` hears the answer, or the error, by `limit` seconds from now.

        Returns the id, None where `done` has heard already.
        """
        deadline = self._loop.time() + limit
        id = self._asked.begin(done, deadline)
        request = Request(id, kind, deadline, body, session, epoch)
        error: RequestError | None = None
        if self.hello is None or self._closing:
            error = NoQuorum("the peer cannot be reached", applied="no")
        elif size(request) > self._max_frame:
            error = TooLarge(f"{len(body)} bytes do not go into a frame of {self._max_frame}", applied="no")
        elif not self._queue.put_request(request):
            error = Busy("too much waits to be sent to the peer", applied="no")
        if error is not None:
            self._asked.end(id, b"", error)
            return None
        self._schedule_flush()
        self._watch_deadline()
        return id

    def awaited(self, kind: str, body: bytes, limit: float) -> asyncio.Future[bytes]:
        """Ask the other side; the future ends with the answer, or with the error."""
        future: asyncio.Future[bytes] = self._loop.create_future()

        def done(answer: bytes, error: RequestError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)
                future.exception()  # nobody may be waiting any more

        self.ask(kind, body, limit, done)
        return future

    def cancel(self, id: int) -> None:
        """Forget a request: nobody hears of it any more, and if it has left, the other side is told."""
        if self._asked.forget(id) and not self._queue.withdraw(id):
            self._put(Cancel(id))

    def answer(self, id: int, body: bytes) -> None:
        """Answer a request of the other side; nothing if it does not wait any more."""
        answer = Answer(id, body)
        if size(answer) > self._max_frame:
            self.fail(id, TooLarge(f"the answer has {len(body)} bytes and a frame {self._max_frame}"))
        elif id in self._calls:
            self._calls.remove(id)
            self._put(answer)

    def fail(self, id: int, error: RequestError) -> None:
        """Answer a request of the other side by an error."""
        if id in self._calls:
            self._calls.remove(id)
            self._put(Failure(id, error.kind, error.message, error.data))

    def reply(self, id: int, body: bytes, error: RequestError | None) -> None:
        """Answer a request of the other side by an error, or by a body where there is none."""
        if error is None:
            self.answer(id, body)
        else:
            self.fail(id, error)

    def refuse(self, refusal: Refusal) -> None:
        """Break the handshake off for a reason of this side's own."""
        self.refusal = refusal
        self.settled.set()
        self.close(1008, f"{refusal.reason}: {refusal.message}")

    def close(self, code: int, reason: str) -> None:
        """Say goodbye: nothing that comes afterwards counts."""
        self.why = self.why or reason
        self._closing = True
        self._socket.close(code, reason)

    def abort(self, why: str) -> None:
        """Drop the socket."""
        self.why = self.why or why
        self._closing = True
        self._socket.abort(why)

    def look(self) -> None:
        """Look from time to time whether the other side is still there."""
        if self.hello is None or self._closing:
            return
        found = self._silence.look(self._loop.time(), *self._socket.delivery())
        if found == "silent":
            self.abort(f"nothing was heard for {budgets.SILENCE_SECONDS:g} s")
        elif found == "ping":
            self._put(Ping(self._loop.time()))

    # -- `Upper` -------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """See `Upper`."""
        self._send_handshake()

    def heard(self) -> None:
        """See `Upper`."""
        self._silence.heard(self._loop.time())

    def writable(self) -> None:
        """See `Upper`."""
        self._schedule_flush()

    def received(self, frame: bytes) -> None:
        """See `Upper`."""
        if self.hello is None:
            self._take_handshake(frame)
            return
        try:
            messages = decode(frame)
        except ValueError as exc:
            self.close(1002, str(exc))
            return
        for message in messages:
            if not self._closing:
                self._take(message)

    def lost(self, why: str, refusal: Refusal | None) -> None:
        """See `Upper`; nothing where that was heard already."""
        if self.gone.is_set():
            return
        self._closing = True
        self._late.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        self.why = self.why or why
        if refusal is not None and self.refusal is None:
            self.refusal, self.refused_by_peer = refusal, self.dialled
        self.gone.set()
        self.settled.set()
        self._owner.lost(self)
        self._end_asked()

    # -- the handshake -------------------------------------------------------------------------------------

    def _take_handshake(self, frame: bytes) -> None:
        handshake = self._handshake
        if handshake.ended or self._closing:
            return
        handshake.receive(frame)
        self.proved = handshake.proved
        self.claimant = handshake.peer if handshake.proved else None
        self._send_handshake()
        if handshake.done and handshake.peer is not None:
            self._late.cancel()
            self._socket.proved = True
            self.hello = handshake.peer
            self.channel = self.channel or handshake.peer.channel
            self._silence.heard(self._loop.time())
            self._owner.linked(self)
            self.settled.set()
        elif handshake.refusal is not None:
            self.refused_by_peer = handshake.refused_by_peer
            self.refuse(handshake.refusal)

    def _send_handshake(self) -> None:
        for data in self._handshake.data_to_send():
            self._socket.send(data)

    def _too_late(self) -> None:
        self.refuse(Refusal("late", f"the handshake took more than {budgets.HANDSHAKE_SECONDS:g} s"))

    # -- messages ------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        match message:
            case Request():
                self._take_request(message)
            case Answer():
                self._asked.end(message.id, message.body)
            case Failure():
                data = {**message.data, "kind": message.kind}
                self._asked.end(message.id, b"", error_from_wire({"message": message.message, "data": data}))
            case Cancel():
                if message.id in self._calls:
                    self._calls.remove(message.id)
                    self._owner.cancelled(self, message.id)
            case Ping():
                self._put(Pong(message.sent, time.time_ns()))
            case Pong():
                self._owner.heard_clock(self, self._loop.time() - message.sent, message.clock)

    def _take_request(self, request: Request) -> None:
        if request.id in self._calls:
            self.close(1002, f"request {request.id} is asked twice")
        elif len(self._calls) >= budgets.OPEN_CALLS:
            error = Busy(f"{len(self._calls)} requests of this peer are under way already", applied="no")
            self._put(Failure(request.id, error.kind, error.message, error.data))
        else:
            self._calls.add(request.id)
            self._owner.asked(self, request)

    def _put(self, message: Message) -> None:
        self._queue.put(message)
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send as long as the socket takes it; what waits longer can still be cancelled."""
        self._flush_scheduled = False
        now = self._loop.time()
        while self._queue and not (self._socket.congested or self._closing):
            messages = self._queue.take(budgets.FRAME_MESSAGES_BYTES)
            for message in messages:
                if isinstance(message, Request):
                    message.left = max(message.left - now, 0.0)
            self._socket.send(encode(messages))

    # -- ends of requests ----------------------------------------------------------------------------------

    def _watch_deadline(self) -> None:
        deadline = self._asked.next_deadline()
        armed = self._deadline
        if deadline is not None and (armed is None or armed.cancelled() or deadline < armed.when()):
            if armed is not None:
                armed.cancel()
            self._deadline = self._loop.call_at(deadline, self._end_late)

    def _end_late(self) -> None:
        self._deadline = None
        for id in self._asked.late(self._loop.time()):
            left = not self._queue.withdraw(id)
            if left:
                self._put(Cancel(id))
            text = "the peer has not answered in time"
            self._asked.end(id, b"", Timeout(text, applied="unknown" if left else "no"))
        self._watch_deadline()

    def _end_asked(self) -> None:
        """What is still in the queue has never left; of everything else nobody knows."""
        for request in self._queue.withdraw_all():
            self._asked.end(request.id, b"", NoQuorum("the peer cannot be reached", applied="no"))
        self._asked.end_all(NoQuorum("the connection to the peer was lost", applied="unknown"))
