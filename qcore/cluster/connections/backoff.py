"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Pauses in seconds that double from `first` to `longest`, each shortened by chance to spread the attempts.

    `chance` answers a number in [0, 1).
    """

    def __init__(self, first: float, longest: float, chance: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self._next = first

    def pause(self) -> float:
        """The next pause."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return self.spread(pause)

    def spread(self, pause: float) -> float:
        """A pause shortened by up to half of it."""
        return pause * (1 - self._chance() / 2)

    def reset(self) -> None:
        """Begin with the first one again: an attempt was good."""
        self._next = self._first
