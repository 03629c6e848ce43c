"""What was asked over one connection and has not been answered, sans-I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

from qcore.model.errors import RequestError

__all__ = ["Asked", "Done"]

Done = Callable[[bytes, RequestError | None], None]
"""Hears the answer to a request, or the error that it ended with."""


class _Open(msgspec.Struct):
    done: Done
    deadline: float


class Asked:
    """Requests by id, each ended exactly once: answered, failed, cancelled, too late, or with the connection."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._deadlines: list[tuple[float, int]] = []
        """A heap; those of requests that have ended are dropped when they come up."""
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, done: Done, deadline: float) -> int:
        """Note a request; returns its id."""
        self._last += 1
        self._open[self._last] = _Open(done, deadline)
        heapq.heappush(self._deadlines, (deadline, self._last))
        if len(self._deadlines) > 64 + 2 * len(self._open):
            self._deadlines = [(open.deadline, id) for id, open in self._open.items()]
            heapq.heapify(self._deadlines)
        return self._last

    def end(self, id: int, body: bytes, error: RequestError | None = None) -> None:
        """End a request with its answer; nothing if it has ended already."""
        open = self._open.pop(id, None)
        if open is not None:
            open.done(body, error)

    def forget(self, id: int) -> bool:
        """End a request of which nobody wants to hear; False if it has ended already."""
        return self._open.pop(id, None) is not None

    def next_deadline(self) -> float | None:
        """When `late` is to be asked, None while nothing is open."""
        while self._deadlines and self._deadlines[0][1] not in self._open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def late(self, now: float) -> list[int]:
        """The requests whose deadline has passed; they are still open."""
        found = []
        deadline = self.next_deadline()
        while deadline is not None and deadline <= now:
            found.append(heapq.heappop(self._deadlines)[1])
            deadline = self.next_deadline()
        return found

    def end_all(self, error: RequestError) -> None:
        """End all with an error; what is asked meanwhile stays open."""
        open, self._open = self._open, {}
        for one in open.values():
            one.done(b"", error)
