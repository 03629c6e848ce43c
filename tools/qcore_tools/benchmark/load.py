"""A closed loop of requests on many connections: each sends as many as may be under way, and the next when all of them
are answered. What an answer took is the time from the write to the moment it is read.
"""

from __future__ import annotations

import select
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec

from qcore.model.errors import ConnectionFailed
from qcore_tools.benchmark.client import Client, dial
from qcore_tools.benchmark.messages import Go, Prepare, RoundDone
from qcore_tools.benchmark.workloads import WORKLOADS, delete_frames, listen_frame

__all__ = ["LOST", "SILENT", "Load"]

LOST = "connection_lost"
"""The kind of error of requests whose answers will not come, as their connection is gone."""

SILENT = "no_answer"
"""The same where the connection is there and nothing comes."""

UNEXPECTED = "unexpected_answer"
"""An answer that is neither what it should be nor an error."""

PATIENCE_NS = 30_000_000_000
"""How long a server may say nothing at all; it answers each request within 10 seconds."""

PROGRESS_NS = 100_000_000
NEVER = 1 << 62

_READABLE, _WRITABLE = select.EPOLLIN, select.EPOLLOUT

_EVENT, _CHANGED, _LISTENER_LOST = b'"method":"event"', b'"kind":"changed"', b'"kind":"lost"'


class _Answer(msgspec.Struct):
    error: dict[str, Any] | None = None
    params: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Answer).decode


class Load:
    """The connections of one process; `poll` watches them, `on_progress` is told how many more were answered.

    Raises:
        ConnectionFailed: one of the connections cannot be opened, and why.
    """

    def __init__(self, given: Prepare, poll: select.epoll, on_progress: Callable[[int], None]) -> None:
        self._given = given
        self._poll = poll
        self._on_progress = on_progress
        self._workload = WORKLOADS[given.test]
        self._expected = self._workload.expected
        self._listens = self._workload.listens
        self._clients: dict[int, Client] = {}
        self._running = 0
        """Connections with requests under way."""
        self._lost = False
        self._answered = 0
        self._told = 0
        """How many of these the tool was told of."""
        self._begin_round(Go(0, None))
        shared = self._workload.frames(given) if not self._listens else iter(())
        try:
            for number in range(given.clients):
                self._open(number, shared)
        except ConnectionFailed as exc:
            self.close()
            raise ConnectionFailed(
                f"connection {number + 1} of {given.clients} to {given.url}: {exc.message}"
            ) from None

    def close(self) -> None:
        """Let go of all connections."""
        for client in list(self._clients.values()):
            self._drop(client)

    def begin(self, go: Go) -> None:
        """Begin a round: `is_running` says how long it goes on."""
        self._begin_round(go)
        if self._workload.draw is None:
            frames = delete_frames(go.stock)
            for client in self._clients.values():
                client.frames = frames
        self._begun = self._heard = self._told_at = self._ended = time.monotonic_ns()
        self._ends = NEVER if go.seconds is None else self._begun + round(go.seconds * 1e9)
        for client in list(self._clients.values()):
            client.active = True
            self._running += 1
            self._send_on(client)

    @property
    def is_running(self) -> bool:
        """Whether the round goes on."""
        return self._running > 0

    def owns(self, fileno: int) -> bool:
        """Whether this is one of its connections."""
        return fileno in self._clients

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Wait until something happens on what is polled: descriptors and events."""
        before = time.monotonic_ns()
        found = self._poll.poll(seconds)
        self._waited += time.monotonic_ns() - before
        return found

    def serve(self, fileno: int, events: int) -> None:
        """Something has happened on a connection."""
        client = self._clients[fileno]
        try:
            if events & _WRITABLE and client.flush():
                self._poll.modify(fileno, _READABLE)
            if events & ~_WRITABLE:
                self._take(client, client.read())
                if client.goodbye:
                    raise ConnectionFailed(client.goodbye)
        except ConnectionFailed as exc:
            self._give_up(client, LOST, exc.message)

    def look_around(self) -> None:
        """Tell of progress now and then, and end the round where the server has fallen silent."""
        now = time.monotonic_ns()
        if now - self._told_at >= PROGRESS_NS:
            self._told_at = now
            self._on_progress(self._answered - self._told)
            self._told = self._answered
        if now - self._heard > PATIENCE_NS:
            for client in list(self._clients.values()):
                self._give_up(client, SILENT, f"the server said nothing for {PATIENCE_NS // 1_000_000_000} s")

    def result(self) -> RoundDone:
        """What came of the round."""
        self._on_progress(self._answered - self._told)
        return RoundDone(
            self._microseconds,
            dict(self._errors),
            self._samples,
            self._begun,
            self._ended,
            self._waited / 1e9,
            self._lost,
        )

    def _begin_round(self, go: Go) -> None:
        self._left = NEVER if go.requests is None else go.requests
        self._microseconds: dict[int, int] = {}
        self._errors: Counter[str] = Counter()
        self._samples: dict[str, str] = {}
        self._answered = 0
        self._told = 0
        self._begun = self._ended = self._heard = self._told_at = self._ends = 0
        self._waited = 0

    def _open(self, number: int, frames: Iterator[bytes]) -> None:
        client = dial(self._given.url)
        self._clients[client.fileno] = client
        self._poll.register(client.fileno, _READABLE)
        client.frames = frames
        if self._listens:
            client.frames = self._workload.frames(self._given, number)
            self._listen(client, self._given.ids[number])

    def _listen(self, client: Client, entity: int) -> None:
        """Ask for the events of an entity, and wait until they would come."""
        client.write(listen_frame(entity))
        with select.epoll() as poll:
            poll.register(client.fileno, _READABLE)
            while True:
                if not poll.poll(PATIENCE_NS / 1e9):
                    raise ConnectionFailed("no answer to a request to listen")
                for text in client.read():
                    if b'"token":' in text:
                        return
                    raise ConnectionFailed(f"it was refused to listen: {_error(text)[1]}")

    def _send_on(self, client: Client) -> None:
        """Send the next requests of a connection, as long as the round goes on."""
        more = time.monotonic_ns() < self._ends
        burst = list(islice(client.frames, min(self._given.pipeline, self._left))) if more else []
        if not burst:
            client.active = False
            self._running -= 1
            return
        self._left -= len(burst)
        client.unanswered = len(burst)
        client.unheard = len(burst) if self._listens else 0
        data = b"".join(burst)
        client.sent_at = time.monotonic_ns()
        try:
            if not client.write(data):
                self._poll.modify(client.fileno, _READABLE | _WRITABLE)
        except ConnectionFailed as exc:
            self._give_up(client, LOST, exc.message)

    def _take(self, client: Client, texts: list[bytes]) -> None:
        """Take what has come on a connection."""
        if not client.unanswered and not client.unheard:
            return  # between rounds
        self._heard = now = time.monotonic_ns()
        good = 0
        for text in texts:
            if self._listens and _EVENT in text:
                good += self._take_event(client, text)
                continue
            client.unanswered -= 1
            if self._expected in text:
                good += not self._listens
            else:
                client.unheard -= self._listens
                self._fail(*_error(text))
        if good:
            microseconds = (now - client.sent_at) // 1000
            self._microseconds[microseconds] = self._microseconds.get(microseconds, 0) + good
            self._answered += good
        if texts:
            self._ended = now
            if not (client.unanswered or client.unheard or client.goodbye):
                self._send_on(client)

    def _take_event(self, client: Client, text: bytes) -> int:
        """How many writes have come back by an event."""
        if _LISTENER_LOST in text:
            reason = _decode(text).params.get("reason")
            raise ConnectionFailed(f"the server has ended the listener: {reason}")
        if _CHANGED not in text:
            return 0
        client.unheard -= 1
        return 1

    def _fail(self, kind: str, message: str, count: int = 1) -> None:
        self._errors[kind] += count
        self._answered += count
        self._samples.setdefault(kind, message)

    def _give_up(self, client: Client, kind: str, message: str) -> None:
        """A connection is gone, or is of no use any more: what is under way on it has failed."""
        self._lost = True
        under_way = max(client.unanswered, client.unheard)
        if client.active:
            self._running -= 1
            self._ended = time.monotonic_ns()
            self._fail(kind, message, max(1, under_way))
        self._drop(client)

    def _drop(self, client: Client) -> None:
        del self._clients[client.fileno]
        self._poll.unregister(client.fileno)
        client.close()


def _error(text: bytes) -> tuple[str, str]:
    """The kind and the message of an answer that is not as expected."""
    try:
        error = _decode(text).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = None
    if error is None:
        return UNEXPECTED, text[:200].decode("utf-8", "replace")
    data = error.get("data")
    kind = data.get("kind") if isinstance(data, dict) else None
    return str(kind or "internal"), str(error.get("message"))
