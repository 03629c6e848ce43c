"""Reads that wait until this node has applied the log up to an index, or the state has reached a revision."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable

from qcore.model.errors import RequestError
from qcore.server.calls import Call

__all__ = ["WaitingReads"]


class WaitingReads:
    """A heap of waiting reads by the number they wait for, so that those that wait longer cost nothing meanwhile."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Call]] = []
        self._ticket = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, number: int, call: Call) -> None:
        """Let a read wait until `number` is reached."""
        call.started = math.inf
        heapq.heappush(self._heap, (number, next(self._ticket), call))

    def due(self, reached: int) -> list[Call]:
        """Take out the reads that wait for `reached` or less, the lowest first."""
        calls = []
        while self._heap and self._heap[0][0] <= reached:
            call = heapq.heappop(self._heap)[2]
            call.started = time.monotonic()
            calls.append(call)
        return calls

    def sweep(self, now: float, late: Callable[[int], RequestError]) -> None:
        """Fail the reads whose client is gone or whose deadline has passed; `late` makes the error of their number."""
        kept = []
        for entry in self._heap:
            number, _, call = entry
            if (call.client is not None and call.client.closed) or call.deadline <= now:
                call.fail(late(number))
            else:
                kept.append(entry)
        if len(kept) < len(self._heap):
            heapq.heapify(kept)
            self._heap = kept

    def fail(self, error: RequestError) -> None:
        """Fail all that wait."""
        waiting, self._heap = self._heap, []
        for _, _, call in waiting:
            call.fail(error)
