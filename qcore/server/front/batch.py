"""A batch array of JSON-RPC: many requests in one message, answered by one array."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from qcore.model.errors import TooLarge
from qcore.server.calls import Call, Sink
from qcore.server.client import Client
from qcore.server.front.service import Service

__all__ = ["Batch"]

ReadItem = Callable[[Sink, msgspec.Raw, int], Call]
"""Reads the request at a place of the array for a sink."""


class Batch:
    """Carries out the requests of an array in their order, each on its own, and answers them together.

    Writes that follow each other are under way together, each submitted once the one before it is queued. A read waits
    for everything before it, and what follows waits for the read. While a request to listen is among them, the client's
    events wait for the array of answers.

    `on_done` is called with the text of the array, None where nothing is to be answered. Once the answers have more
    than `max_answer` bytes, the requests that are left are refused.
    """

    def __init__(
        self,
        service: Service,
        client: Client,
        items: list[msgspec.Raw],
        read: ReadItem,
        max_answer: int,
        on_done: Callable[[bytes | None], None],
    ) -> None:
        self._service = service
        self._client = client
        self._items = items
        self._read = read
        self._max_answer = max_answer
        self._on_done = on_done
        self._answers: list[bytes | None] = [None] * len(items)
        self._size = 0
        """Bytes of the answers so far."""
        self._next = 0
        """Place of the next request to read."""
        self._unanswered = len(items)
        self._open = 0
        """Requests that were read and are not answered."""
        self._only_writes = True
        """Whether those under way are writes."""
        self._held: Call | None = None
        """A request that was read and has to wait for those under way."""
        self._preparing: Call | None = None
        """A write under way that is not queued yet, as its filters are parsed or its document is read."""
        self._holds_events = False

    def step(self) -> bool:
        """Submit the next request; False when there is none, or when it has to wait."""
        if self._held is None:
            if self._next == len(self._items) or self._preparing is not None:
                return False
            self._held = self._read_next()
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
                self._preparing, call.on_queued = call, self._go_on
                return False
        self._held = None
        return self._next < len(self._items)

    def answered(self, call: Call, text: bytes | None) -> None:
        """See `Sink.answered`."""
        counts = self._service.counts
        if not counts.answered:
            counts.count_soon()
        counts.answered.append(call)
        self._answers[call.slot] = text
        self._size += 0 if text is None else len(text)
        self._open -= 1
        self._unanswered -= 1
        if self._unanswered == 0:
            self._end()
        elif call is self._preparing:
            self._go_on()
        elif self._open == 1 and self._held is not None:
            self._service.schedule(self.step)

    def _read_next(self) -> Call:
        self._open += 1
        self._next += 1
        call = self._read(self, self._items[self._next - 1], self._next - 1)
        if call.route == "watch" and not self._holds_events:
            self._holds_events = True
            self._client.outbox.hold()
        return call

    def _go_on(self) -> None:
        self._preparing = None
        self._service.schedule(self.step)

    def _end(self) -> None:
        texts = [text for text in self._answers if text is not None]
        self._on_done(b"[" + b",".join(texts) + b"]" if texts else None)
        if self._holds_events:
            self._client.outbox.release()
