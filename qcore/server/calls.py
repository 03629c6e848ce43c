"""One request, from the frame it came in to its answer.

Whichever part of the node carries a call out answers it, exactly once: what comes after the first answer is dropped.
The answer goes to the call's sink: its conversation, or the batch array it stands in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from qcore.model.api import METHODS, Route
from qcore.model.errors import APPLY_KINDS, Internal, RequestError, error_from_wire
from qcore.model.wire import decode_json, encode_json
from qcore.server.client import Client

__all__ = ["Call", "Sink", "error_text"]


class Sink(Protocol):
    """Where the answers of calls go."""

    def answered(self, call: Call, text: bytes | None) -> None:
        """`call` is done; `text` is its answer, None for a notification, which has none."""


class Call:
    """One request, or a command of the node's own.

    `id` is the JSON of its id, None for a notification, `params` the typed record of its method. `begun` and `deadline`
    are monotonic seconds, `size` is in bytes. `slot` is the sink's own: a place in a batch array, or how many requests
    this one counts for.
    """

    __slots__ = (
        "_sink",
        "_timer",
        "begun",
        "client",
        "deadline",
        "done",
        "error",
        "id",
        "method",
        "numbered",
        "on_queued",
        "on_result",
        "params",
        "proposed",
        "queued",
        "route",
        "size",
        "slot",
        "spec",
        "started",
        "ticket",
        "uncertain",
        "writes",
    )

    def __init__(self, sink: Sink, id: bytes | None, method: str, params: Any, begun: float, slot: int) -> None:
        self._sink = sink
        self._timer: asyncio.TimerHandle | None = None
        self.id = id
        self.method = method
        self.params = params
        self.begun = begun
        self.started = begun
        """When it was carried out, in monotonic seconds; a call that had to wait was later than it had begun."""
        self.deadline = begun
        self.slot = slot
        self.size = 0
        self.ticket = 0
        """Its place among the writes of this node, from 1."""
        self.spec = spec = METHODS.get(method)
        """The record of its method; None where there is none of that name, and for the node's own commands."""
        self.route: Route = "write" if spec is None else spec.route
        self.writes = spec is not None and spec.writes
        """Whether it changes the store, which a dry run does not."""
        self.client: Client | None = None
        """Who asks; None for the node's own calls."""
        self.queued = False
        """Whether a write has its place in the order of all writes; some are prepared before they get one."""
        self.on_queued: Callable[[], None] | None = None
        """Called when it is queued, unless it was answered before."""
        self.on_result: Callable[[], None] | None = None
        """Called when it was carried out, also where its client was told before that the time is up."""
        self.proposed = False
        """Whether a write may have got into the log, so that an error cannot say that it was not applied."""
        self.numbered = False
        """Whether a write has a number in a session, so that carrying it out twice does no more than once."""
        self.uncertain = False
        """Whether a numbered write is under way again, as nobody knows what became of it before."""
        self.done = False
        """Whether it was answered."""
        self.error = ""
        """The kind of the error that it was answered with."""

    def mark_queued(self) -> None:
        """Note that a write has got its place in the order of all writes."""
        self.queued = True
        if self.on_queued is not None and not self.done:
            self.on_queued()

    def fail_at_deadline(self, error: RequestError) -> None:
        """Answer with `error` at the deadline, unless it is answered before, which also lets go of the timer."""
        delay = max(self.deadline - time.monotonic(), 0)
        self._timer = asyncio.get_running_loop().call_later(delay, self.fail, error)

    def answer(self, result: bytes) -> None:
        """Answer with the JSON of the result."""
        if self.on_result is not None:
            self.on_result()
        if not self.done:
            self.done = True
            if self._timer is not None:
                self._timer.cancel()
            id = self.id
            self._sink.answered(self, None if id is None else b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, result))

    def fail(self, error: RequestError) -> None:
        """Answer with an error; `data.applied` is added to that of a write where it does not say it."""
        found = error.wire()
        if self.spec is not None and self.spec.writes:
            found["data"].setdefault("applied", "unknown" if self.proposed else "no")
            if self.uncertain and error.kind not in APPLY_KINDS:
                found["data"]["applied"] = "unknown"
        self._fail(encode_json(found), error.kind)

    def fail_raw(self, error: bytes) -> None:
        """Answer with the JSON of an error object."""
        self._fail(error, error_from_wire(decode_json(error)).kind)

    def _fail(self, error: bytes, kind: str) -> None:
        if not self.done:
            self.done, self.error = True, kind
            if self._timer is not None:
                self._timer.cancel()
            self._sink.answered(self, None if self.id is None else error_text(self.id, error))

    def result(self, result: Any) -> None:
        """Answer with a result that is not JSON yet."""
        try:
            raw = encode_json(result)
        except (ValueError, TypeError) as exc:
            self.fail(Internal(f"the answer to {self.method} cannot be written: {exc}"))
            return
        self.answer(raw)


def error_text(id: bytes, error: bytes) -> bytes:
    """The text of an answer, from the JSON of the id and of the error object."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, error)
