"""The numbers by which the border knows snapshot files; for any thread."""

from __future__ import annotations

import threading

from qcore.disk.snapshot_files import KEPT, SnapshotFile

__all__ = ["SnapshotKeys"]

_KNOWN = 4 * KEPT
"""So many of the latest are known: the disk keeps fewer."""


class SnapshotKeys:
    """Gives each file a number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[int, SnapshotFile] = {}
        self._last = 0

    def add(self, found: SnapshotFile) -> int:
        """Return the number of a file."""
        with self._lock:
            self._last += 1
            self._files[self._last] = found
            self._files.pop(self._last - _KNOWN, None)
            return self._last

    def file(self, key: int) -> SnapshotFile:
        """Return the file of a number.

        Raises:
            LookupError: it was given too long ago.
        """
        with self._lock:
            return self._files[key]
