"""Whether the threads of a node move, sans-I/O: each is asked, and what does not answer in time stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["Probe", "Watchdog", "WatchedThread"]

Probe = Callable[[Callable[[], None]], object]
"""Has a thread of the node call back as soon as it comes to it."""


class WatchedThread:
    """A thread that may take `patience` seconds for an answer.

    Time in which `waits_for` owes an answer itself, and may, does not count: this one waits for it.
    """

    def __init__(self, name: str, probe: Probe, patience: float, waits_for: WatchedThread | None = None) -> None:
        self.name = name
        self._probe = probe
        self._patience = patience
        self._waits_for = waits_for
        self._answered: threading.Event | None = None
        self._since = 0.0
        """When it was asked, or was last excused."""

    def ask(self, now: float) -> None:
        """Ask anew if it has answered."""
        if self._answered is None or self._answered.is_set():
            self._answered, self._since = threading.Event(), now
            self._probe(self._answered.set)

    def is_waited_for(self, now: float) -> bool:
        """Whether it owes an answer and has time for it yet."""
        return self._answered is not None and not self._answered.is_set() and self.moves(now)

    def moves(self, now: float) -> bool:
        """Whether it has answered, or may take that long."""
        if self._answered is None or self._answered.is_set():
            return True
        if self._waits_for is not None and self._waits_for.is_waited_for(now):
            self._since = now
        return now - self._since < self._patience


class Watchdog:
    """Looks at threads from time to time, on one thread."""

    def __init__(self, threads: Sequence[WatchedThread]) -> None:
        self._threads = threads

    def look(self, now: float) -> list[str]:
        """The names of the threads that stand still; asks the others anew."""
        stuck = [thread.name for thread in self._threads if not thread.moves(now)]
        for thread in self._threads:
            thread.ask(now)
        return stuck
