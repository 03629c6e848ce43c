"""A call of the API on its way: its text, its number in a session, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qcore.client.params import encode_params
from qcore.model.api import METHODS
from qcore.model.errors import APPLY_KINDS, QcoreError
from qcore.model.wire import encode_json

__all__ = ["WINDOW", "Request", "RequestGroup", "Session", "as_arrays"]

WINDOW = 128
"""Numbered writes that may be out at a time: how many answers the server keeps for a session."""

ARRAY_BYTES = 256 * 1024
"""Batch arrays are cut at this size, far below what a server refuses."""

_ONCE = ("listen", "unlisten", "cluster.init", "cluster.transfer")
"""Neither writes nor to be sent twice: what means one connection, and orders to a cluster."""


class Session:
    """A session of the server and the numbers in it that wait for an answer."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.next = 1
        self.unanswered: dict[int, None] = {}  # a dict is an ordered set: the first key is the lowest number

    @property
    def lowest(self) -> int:
        return next(iter(self.unanswered), self.next)

    def has_room(self, writes: int) -> bool:
        return self.next + writes <= self.lowest + WINDOW


class Request:
    """One call: `result` (JSON text) or `error` is there once `done`.

    Raises:
        BadParams: the params cannot be written as JSON, or would become something else there.
    """

    def __init__(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        self.params = encode_params(method, params or {})
        known = METHODS.get(method)
        self.method = method
        self.writes = known is not None and known.writes and not (params or {}).get("dry_run")
        self.numbered = self.writes and method != "session.open" and "session" not in (params or {})
        self.repeatable = self.numbered or (known is not None and not self.writes and method not in _ONCE)
        self.result = b""
        self.error: QcoreError | None = None
        self.done = False
        self.attempts = 0
        """How often it was sent where it may have been carried out."""
        self.aside = False
        """Whether the server refused it and named no reason that holds elsewhere: it goes to the next one."""
        self.text = b""
        self.session: Session | None = None
        self.seq = 0
        self.sessions = 0

    def write(self, id: int, session: Session | None) -> None:
        """Make the text that goes over the wire, with the next number of `session`."""
        params = self.params
        if session is not None:
            self.session, self.seq = session, session.next
            self.sessions += 1
            session.next += 1
            session.unanswered[self.seq] = None
            rest = params[1:] if params == b"{}" else b"," + params[1:]
            number = b'{"session":%d,"seq":%d,"acked":%d' % (session.id, self.seq, session.lowest)
            params = number + rest
        self.text = b'{"jsonrpc":"2.0","id":%d,"method":%s,"params":%s}' % (id, encode_json(self.method), params)

    def expire(self) -> None:
        """Its session was unknown to the server on the first attempt: nothing was done, another number is to come."""
        if self.session is not None:
            self.session.unanswered.pop(self.seq, None)
        self.session, self.attempts = None, 0

    def put_aside(self, *, not_done: bool) -> None:
        """It was refused here and is for the next server; `not_done`: nothing came of this attempt."""
        self.aside = True
        if not_done:
            self.attempts -= 1

    def finish(self, result: bytes, error: QcoreError | None) -> None:
        """It ends. That a retry was not applied says nothing of the attempts before it, whatever the error says."""
        if error is not None and self.writes and self.attempts > 1 and not _is_of_apply(error):
            error.data["applied"] = "unknown"
        self.result, self.error, self.done = result, error, True
        if self.session is not None:
            self.session.unanswered.pop(self.seq, None)


def _is_of_apply(error: QcoreError) -> bool:
    """Whether apply itself found that a write cannot be done; that an upload is elsewhere is found before."""
    return error.kind in APPLY_KINDS and "upload" not in error.data


class RequestGroup:
    """Requests that go out in one frame, as an array or alone."""

    def __init__(self, requests: Sequence[Request], *, array: bool) -> None:
        self.requests = list(requests)
        self.array = array

    def open_requests(self) -> list[Request]:
        """Those that still wait for an answer."""
        return [request for request in self.requests if not request.done]

    def frame(self) -> bytes:
        """The text of what is still open; counts as an attempt."""
        requests = self.open_requests()
        for request in requests:
            request.attempts += 1
            request.aside = False
        text = b",".join(request.text for request in requests)
        return b"[%s]" % text if self.array else text


def as_arrays(requests: Sequence[Request]) -> Iterator[RequestGroup]:
    """Cut a batch into arrays that fit the window and a server's limits."""
    array: list[Request] = []
    size = 0
    for request in requests:
        if array and (len(array) == WINDOW or size + len(request.params) > ARRAY_BYTES):
            yield RequestGroup(array, array=True)
            array, size = [], 0
        array.append(request)
        size += len(request.params)
    if array:
        yield RequestGroup(array, array=True)
