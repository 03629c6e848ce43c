"""The API's core: JSON-RPC 2.0 in, calls out, answers back. Sans-I/O: text and a time in, text out.

A shell (the WebSocket one today) feeds `receive` and sends what `send` is given. A later login phase belongs
here: a session answers nothing but that phase until it is over. What a call means is the node's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from qcore.model.api import read_params
from qcore.model.errors import BadParams, InvalidRequest, ParseError, RequestError, TooLarge
from qcore.model.requests.queries import Listen
from qcore.model.wire import encode_json
from qcore.server.calls import Call, Sink, error_text
from qcore.server.client import Client
from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Step

__all__ = ["Conversation", "Limits", "Service"]


class Limits(msgspec.Struct, frozen=True):
    """Seconds a request may take by default, requests in a batch array, commands in a pipeline or transaction.

    A batch array whose answers have more than `max_answer` bytes gets no further ones.
    """

    request_timeout: float
    max_batch: int
    max_pipeline: int
    max_answer: int


class Service(Protocol):
    """Where calls are carried out."""

    def submit(self, call: Call) -> None:
        """Carry out a call; its answer may come at once or later."""

    def schedule(self, step: Step) -> None:
        """Run `step` in slices of the loop's time until it returns False."""

    def disconnected(self, client: Client) -> None:
        """Free what is kept for a client: its connection is gone."""


class _Envelope(msgspec.Struct):
    method: str
    jsonrpc: str = ""
    params: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BLANKS = b" \t\r\n"


class Conversation:
    """One client's conversation. `send` takes the text of one message.

    `on_may_send` is called when the client may send more, after `may_send` said that it may not.
    """

    def __init__(
        self,
        service: Service,
        limits: Limits,
        client: Client,
        send: Callable[[bytes], None],
        on_may_send: Callable[[], None],
    ) -> None:
        self.client = client
        self._service = service
        self._limits = limits
        self._send = send
        self._on_may_send = on_may_send
        self._full = False
        self.open_calls = 0

    def close(self) -> None:
        """The connection is gone."""
        self.client.close()
        self._service.disconnected(self.client)

    def may_send(self) -> bool:
        """Whether the client may send another request before it has the answers to those under way."""
        self._full = self.open_calls >= budgets.OPEN_CALLS
        return not self._full

    def finished(self, calls: int) -> None:
        """Requests that count for so many are through."""
        self.open_calls -= calls
        if self._full and self.open_calls <= budgets.OPEN_CALLS // 2:
            self._full = False
            self._on_may_send()

    def receive(self, data: bytes, now: float) -> None:
        """Take one message; `now` is monotonic seconds."""
        if data[:1] == b"[" or (data[:1].isspace() and data.lstrip(_BLANKS)[:1] == b"["):
            self._receive_batch(data, now)
        else:
            count = 1 + len(data) // budgets.OPEN_CALL_BYTES
            self.open_calls += count
            call = self.read(self, data, now, count)
            if not call.done:
                self._service.submit(call)

    def answered(self, call: Call, text: bytes | None) -> None:
        """A call that stood alone is done."""
        if text is not None:
            self._send(text)
        self.finished(call.slot)

    def read(self, sink: Sink, data: bytes | msgspec.Raw, now: float, slot: int) -> Call:
        """Read one request; what cannot be read is answered at once and comes back `done`."""
        try:
            envelope = _decode_envelope(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            call = Call(sink, _salvaged_id(data), "", None, now, slot)
            call.fail(_envelope_error(exc))
            return call
        id = bytes(envelope.id) or None
        call = Call(sink, id, envelope.method, None, now, slot)
        problem = _envelope_problem(envelope, id)
        if problem is not None:
            call.id = _echoed(id)
            call.fail(problem)
            return call
        try:
            call.params = params = read_params(envelope.method, bytes(envelope.params), self._limits.max_pipeline)
            call.deadline = now + self._timeout(params.timeout)
        except RequestError as exc:
            call.fail(exc)
            return call
        if call.spec is not None and call.spec.dry_run is not None and params.dry_run:
            call.route, call.writes = call.spec.dry_run, False
        call.size = len(data)
        call.client = self.client
        return call

    def _timeout(self, asked: float | None) -> float:
        if asked is None:
            return self._limits.request_timeout
        if not 0 < asked <= budgets.TIMEOUT_SECONDS:
            raise BadParams(
                f"timeout is a number of seconds above 0 and up to {budgets.TIMEOUT_SECONDS:.0f}, {asked} given"
            )
        return asked

    def _receive_batch(self, data: bytes, now: float) -> None:
        try:
            items = _decode_batch(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            self._refuse(_envelope_error(exc))
            return
        if not items:
            self._refuse(InvalidRequest("an empty batch array holds no request"))
        elif len(items) > self._limits.max_batch:
            self._refuse(
                TooLarge(f"a batch array has at most {self._limits.max_batch} requests, {len(items)} given (max_batch)")
            )
        else:
            count = len(items) + len(data) // budgets.OPEN_CALL_BYTES
            batch = _Batch(self, self._service, items, count, now, self._send, self._limits.max_answer)
            self._service.schedule(batch.step)

    def _refuse(self, error: RequestError) -> None:
        self._send(error_text(b"null", encode_json(error.wire())))


class _Batch:
    """A batch array: requests run in order, independently, and are answered as one array.

    Writes that follow each other are under way together, each begun when the one before it is queued; a read waits for
    what is before it, and what is after it waits for the read. With a `listen` among them the client's events wait for
    the array of answers.
    """

    def __init__(
        self,
        conversation: Conversation,
        service: Service,
        items: list[msgspec.Raw],
        count: int,
        now: float,
        send: Callable[[bytes], None],
        max_answer: int,
    ) -> None:
        self._conversation = conversation
        self._service = service
        self._items = items
        self._count = count
        self._now = now
        self._send = send
        self._max_answer = max_answer
        self._answers: list[bytes | None] = [None] * len(items)
        self._size = 0
        self._next = 0
        self._left = len(items)
        self._open = 0
        self._only_writes = True
        self._held: Call | None = None
        self._preparing: Call | None = None
        """A write that is begun but not queued yet, as its filters are parsed or its document is read."""
        self._listens = False
        conversation.open_calls += count

    def step(self) -> bool:
        """Start the next request; False when there is nothing to do now."""
        if self._held is None:
            if self._next == len(self._items) or self._preparing is not None:
                return False
            self._open += 1
            self._next += 1
            self._held = self._conversation.read(self, self._items[self._next - 1], self._now, self._next - 1)
            if isinstance(self._held.params, Listen) and not self._listens:
                self._listens = True
                self._conversation.client.outbox.hold()
        call = self._held
        if self._size > self._max_answer:
            size = f"the answers before this one have {self._size} bytes, at most {self._max_answer} go into one array"
            call.fail(TooLarge(f"{size}: ask for less at a time", applied="no"))
        if not call.done:
            if self._open > 1 and not (call.writes and self._only_writes):
                return False
            self._only_writes = call.writes
            self._held = None
            self._service.submit(call)
            if call.writes and not (call.queued or call.done):
                self._preparing, call.on_queued = call, self._prepared
                return False
        self._held = None
        return self._next < len(self._items)

    def _prepared(self) -> None:
        self._preparing = None
        self._service.schedule(self.step)

    def answered(self, call: Call, text: bytes | None) -> None:
        """One of the requests is done."""
        self._answers[call.slot] = text
        self._size += 0 if text is None else len(text)
        self._open -= 1
        self._left -= 1
        if self._left == 0:
            texts = [text for text in self._answers if text is not None]
            if texts:
                self._send(b"[" + b",".join(texts) + b"]")
            if self._listens:
                self._conversation.client.outbox.release()
            self._conversation.finished(self._count)
        elif call is self._preparing:
            self._prepared()
        elif self._open == 1 and self._held is not None:
            self._service.schedule(self.step)


def _envelope_problem(envelope: _Envelope, id: bytes | None) -> RequestError | None:
    if envelope.jsonrpc != "2.0":
        return InvalidRequest(f'a request says "jsonrpc": "2.0", {envelope.jsonrpc!r} given')
    if id is not None and not _is_id(id):
        return InvalidRequest(f"an id is a string, a number or null, {id[:40].decode(errors='replace')} given")
    return None


def _is_id(id: bytes) -> bool:
    """Whether an id can be sent back: of the right kind, and text, which the decoder has not looked at."""
    if id[:1] not in b'"-0123456789n':
        return False
    if not id.isascii():
        try:
            id.decode()
        except UnicodeDecodeError:
            return False
    return True


def _echoed(id: bytes | None) -> bytes:
    """The id in the answer to what is no request, which is answered even if it has none."""
    return id if id and _is_id(id) else b"null"


def _envelope_error(exc: Exception) -> RequestError:
    if isinstance(exc, RecursionError):
        return TooLarge("the message is nested too deeply")
    if isinstance(exc, msgspec.ValidationError):
        return InvalidRequest(f"a request is an object with a method: {exc}")
    return ParseError(f"the message is no JSON: {exc}")


class _OnlyId(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_decode_id = msgspec.json.Decoder(_OnlyId).decode


def _salvaged_id(data: bytes | msgspec.Raw) -> bytes:
    """The id of a request that cannot be read otherwise, null where there is none."""
    try:
        return _echoed(bytes(_decode_id(data).id))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return b"null"
