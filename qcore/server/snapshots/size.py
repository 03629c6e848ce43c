"""How large a snapshot of the present state may be: a running estimate that costs nothing to keep. No I/O here.

It is what was counted last, by writing a snapshot or by measuring one, and every byte of the log since but for those of
deletions: what is in the state has come through the log. An entity takes more than the command that made it. What was
deleted shows when it is counted again.
"""

from __future__ import annotations

__all__ = ["SnapshotSize"]

_ENTITY = 200
"""Bytes that the line of a small entity is longer than its command."""


class SnapshotSize:
    """`counted` bytes, for so many entities; places of the log are told by the bytes that were appended before them."""

    def __init__(self, counted: int, entities: int) -> None:
        self.count(counted, 0, entities)

    def count(self, counted: int, appended: int, entities: int) -> None:
        """Take what was counted when so many bytes had been appended and there were so many entities."""
        self._counted, self._at, self._entities = counted, appended, entities
        self._deletions = 0

    def deletes(self, size: int) -> None:
        """So many bytes of what is appended are those of a deletion."""
        self._deletions += size

    def expected(self, appended: int, entities: int) -> int:
        """Bytes that may be needed by now."""
        grown = max(appended - self._at - self._deletions, 0)
        return self._counted + grown + _ENTITY * max(entities - self._entities, 0)

    def is_exact(self, appended: int) -> bool:
        """Tell whether nothing was appended since it was counted."""
        return appended == self._at
