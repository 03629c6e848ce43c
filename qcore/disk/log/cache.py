"""The newest records of the log, kept in memory for whoever reads on close behind the writer. No I/O here."""

from __future__ import annotations

__all__ = ["CACHE_BYTES", "RecordCache"]

CACHE_BYTES = 64 << 20
"""Bytes of records that are kept."""


class RecordCache:
    """The records of the last entries, without a gap. The log's writer changes it, any thread may `get`.

    Attributes:
        max_bytes: how much is kept at most.
    """

    def __init__(self) -> None:
        self.max_bytes = CACHE_BYTES
        self._records: dict[int, bytes] = {}
        self._first = 0
        """Lowest index that is kept, if any is."""
        self._bytes = 0

    def get(self, index: int) -> bytes | None:
        """Return the record of entry `index`, None if it is not kept."""
        return self._records.get(index)

    def push(self, index: int, data: bytes) -> None:
        """Keep the record of the next entry; the oldest go for it."""
        if not self._records:
            self._first = index
        self._records[index] = data
        self._bytes += len(data)
        while self._bytes > self.max_bytes:
            self._drop(self._first)
            self._first += 1

    def truncate(self, index: int) -> None:
        """Forget entry `index` and all above it."""
        for each in range(self._first + len(self._records) - 1, max(index, self._first) - 1, -1):
            self._drop(each)

    def purge(self, upto: int) -> None:
        """Forget entry `upto` and all below it."""
        for each in range(self._first, min(upto + 1, self._first + len(self._records))):
            self._drop(each)
            self._first = each + 1

    def _drop(self, index: int) -> None:
        self._bytes -= len(self._records.pop(index))
