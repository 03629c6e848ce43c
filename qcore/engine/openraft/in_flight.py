"""Proposals that the core has and nobody has heard of, and whether the next one may be made. No I/O.

The core takes proposals of one *stretch*: it ends when one is returned, or a leadership ends, and takes with it all
that was proposed and not appended. None is made in the next one while any of those are still to come back.
"""

from __future__ import annotations

from qcore.engine.base import Proposal

__all__ = ["InFlight"]

_SMALL_BYTES = 512
"""Proposals of fewer bytes together leave room for another one. What comes while larger ones are under way makes one
entry after them: each entry is written, flushed and sent by itself, and fifty writes in one cost little more."""


class InFlight:
    """Open proposals by token, in their order.

    Attributes:
        most: how many there may be.
        stretch: what the next one belongs to.
    """

    def __init__(self) -> None:
        self.most = 1
        self.stretch = 0
        self._open: dict[int, tuple[Proposal, int]] = {}
        self._bytes = 0
        self._last = 0
        self._returned = 0
        """The latest token that came back."""

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self) -> bool:
        """Tell whether there may be another one."""
        if len(self._open) >= self.most or self._bytes >= _SMALL_BYTES:
            return False
        return not self._open or not self._returned or self._newest() < self._returned

    def _newest(self) -> int:
        return next(reversed(self._open))

    def add(self, proposal: Proposal, size: int) -> int:
        """Take in one of so many bytes; returns its token."""
        self._last += 1
        self._open[self._last] = proposal, size
        self._bytes += size
        self._returned = 0
        return self._last

    def size(self, token: int) -> int:
        """Bytes of an open one; 0 if it is not open."""
        return self._open[token][1] if token in self._open else 0

    def take(self, token: int) -> Proposal | None:
        """Take out one of which was heard; None if it is not open: it was given up."""
        found = self._open.pop(token, None)
        if found is None:
            return None
        self._bytes -= found[1]
        return found[0]

    def take_returned(self, token: int, stretch: int) -> Proposal | None:
        """Take out one that was returned, which began a new stretch."""
        self.stretch = stretch
        self._returned = token
        return self.take(token)

    def take_all(self) -> list[Proposal]:
        """Take out all of them, in their order."""
        found = [proposal for proposal, _ in self._open.values()]
        self._open.clear()
        self._bytes = 0
        return found
