"""Calls that wait until the node has come up to a number: a log index for a barrier, a revision a client has seen."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from qcore.model.errors import RequestError
from qcore.server.calls import Call

__all__ = ["WaitingReads"]


class WaitingReads:
    """Waiting calls, found by the lowest number, so that coming up by one costs nothing for those who wait longer."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Call]] = []
        self._ticket = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, number: int, call: Call) -> None:
        """Let a call wait for a number."""
        heapq.heappush(self._heap, (number, next(self._ticket), call))

    def due(self, reached: int) -> list[Call]:
        """Take out those who need wait no more."""
        calls = []
        while self._heap and self._heap[0][0] <= reached:
            calls.append(heapq.heappop(self._heap)[2])
        return calls

    def sweep(self, now: float, late: Callable[[int], RequestError]) -> None:
        """Drop whose client is gone, and fail whose deadline has passed; `late` says so to who waits for a number."""
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
        """Fail all of them."""
        waiting, self._heap = self._heap, []
        for _, _, call in waiting:
            call.fail(error)
