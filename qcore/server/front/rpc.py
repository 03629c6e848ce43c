"""The API's core, sans-I/O: text of JSON-RPC messages goes in, calls go to the service, text of answers comes out.

A shell feeds `Conversation.receive` and sends what `send` is given; the WebSocket is the only one today. A login phase
belongs here: a client would be answered nothing else until it is over.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from qcore.model.errors import RequestError
from qcore.model.wire import encode_json
from qcore.server.calls import Call, Sink, error_text
from qcore.server.client import Client
from qcore.server.front.batch import Batch
from qcore.server.front.envelope import is_batch, read_batch, read_call
from qcore.server.front.service import Limits, Service
from qcore.server.runtime import budgets

__all__ = ["Conversation"]


class Conversation:
    """The requests of one client and their answers. `send` takes the text of one message.

    A client has a bounded number of requests under way. Whoever feeds it asks `may_send` before each message; after
    that was refused, `on_may_send` is called when half of the requests are answered.
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
        self.open_calls = 0
        """Requests under way; a long one counts for several."""
        self._service = service
        self._counts = service.counts
        self._answered = service.counts.answered
        self._limits = limits
        self._send = send
        self._on_may_send = on_may_send
        self._full = False
        self._on_idle: Callable[[], None] | None = None
        service.connected(client)

    def close(self) -> None:
        """End it: the connection is gone. Calls under way are carried out, their answers go nowhere."""
        self.client.close()
        self._service.disconnected(self.client)

    def may_send(self) -> bool:
        """Whether the client may send another message before it has the answers to those under way."""
        self._full = self.open_calls >= budgets.OPEN_CALLS
        return not self._full

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once no request is under way, at once if none is."""
        if self.open_calls:
            self._on_idle = then
        else:
            then()

    def receive(self, data: bytes, now: float) -> None:
        """Take one message that came at `now`, in monotonic seconds."""
        if data[:1] != b"{" and is_batch(data):
            self._receive_batch(data, now)
        else:
            count = 1 + len(data) // budgets.OPEN_CALL_BYTES
            self.open_calls += count
            self.client.requests += 1
            call = read_call(self, self.client, data, now, count, self._limits)
            if not call.done:
                self._service.submit(call)

    def answered(self, call: Call, text: bytes | None) -> None:
        """See `Sink.answered`: of a call that was no part of a batch array."""
        if text is not None:
            self._send(text)
        answered = self._answered
        if not answered:
            self._counts.count_soon()
        answered.append(call)
        self.open_calls -= call.slot
        if self._full or self._on_idle is not None:
            self._look_on()

    def _receive_batch(self, data: bytes, now: float) -> None:
        try:
            items = read_batch(data, self._limits)
        except RequestError as exc:
            self.client.requests += 1
            self._counts.refused(exc.kind)
            self._send(error_text(b"null", encode_json(exc.wire())))
            return
        count = len(items) + len(data) // budgets.OPEN_CALL_BYTES

        def read(sink: Sink, item: msgspec.Raw, place: int) -> Call:
            return read_call(sink, self.client, item, now, place, self._limits)

        def done(text: bytes | None) -> None:
            if text is not None:
                self._send(text)
            self.open_calls -= count
            self._look_on()

        self.open_calls += count
        self.client.requests += len(items)
        batch = Batch(self._service, self.client, items, read, self._limits.max_answer, done)
        self._service.schedule(batch.step)

    def _look_on(self) -> None:
        """Requests were answered: go on with what waited for that."""
        if self._full and self.open_calls <= budgets.OPEN_CALLS // 2:
            self._full = False
            self._on_may_send()
        if not self.open_calls and self._on_idle is not None:
            then, self._on_idle = self._on_idle, None
            then()
