"""What is committed and not on this node's own disk yet: a quorum of others commits without it. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["MOST_BYTES", "Unwritten"]

MOST_BYTES = 16 << 20
"""A leader takes so much ahead of its own disk: all of it is kept in memory until it is written."""

_ENTRY_BYTES = 512
"""What an entry takes beside its text."""


class Unwritten:
    """Committed entries of this leader that it has not written. `written` gives the index of the last that it has.

    Attributes:
        was_full: whether somebody may wait for room: who has written more asks again. Read by the log's thread.
    """

    def __init__(self, written: Callable[[], int]) -> None:
        self.was_full = False
        self._written = written
        self._sizes: deque[tuple[int, int]] = deque()
        self._bytes = 0

    def add(self, index: int, size: int) -> None:
        """An entry with so many bytes of text is committed."""
        self._sizes.append((index, size + _ENTRY_BYTES))
        self._bytes += size + _ENTRY_BYTES
        self._forget()

    def is_full(self) -> bool:
        """Tell whether the disk must catch up first."""
        if self._bytes < MOST_BYTES:
            return False
        self.was_full = True  # before the look: what is written after it asks again
        self._forget()
        self.was_full = self._bytes >= MOST_BYTES
        return self.was_full

    def _forget(self) -> None:
        written = self._written()
        while self._sizes and self._sizes[0][0] <= written:
            self._bytes -= self._sizes.popleft()[1]
