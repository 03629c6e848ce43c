"""Reading the entries of a node that is running, from another process, without disturbing it.

A write is not atomic to who reads beside it: a file that fails its checks may be whole a moment later, as may a
blank one. An entry read here is neither durable nor committed.
"""

from __future__ import annotations

import os
import time

from qcore.disk.checksummed import decode_checksummed
from qcore.disk.files import Files
from qcore.disk.log.record import decode, is_blank
from qcore.disk.log.survey import entry_path
from qcore.model.entry import Entry, LogId
from qcore.model.errors import Compacted, Damaged

__all__ = ["RETRY", "LiveReader", "Sightings"]

RETRY = 0.05
"""Seconds between two looks at a file that fails its checks."""

_STILL = 1.0
"""Seconds without a change after which such a file is damaged."""


class Sightings:
    """What is seen of the file of entry `index`, `path` in messages, one look after the other; no I/O here."""

    def __init__(self, index: int, path: str) -> None:
        self.index = index
        self._path = path
        self._seen: bytes | None = None
        self._since = 0.0

    @property
    def unsettled(self) -> bool:
        """Whether what was seen last is neither an entry nor a file without one."""
        return self._seen is not None and not is_blank(self._seen)

    def look(self, data: bytes | None, now: float) -> Entry | None:
        """Return the entry in `data`, the whole file read at `now` (seconds), None as long as it fails its checks.

        Raises:
            Damaged: it fails them since a second, and did not change.
        """
        if data is None:
            self._seen = None
            return None
        try:
            return decode(data, self.index, self._path)
        except Damaged:
            if data != self._seen:
                self._seen, self._since = data, now
            elif now - self._since >= _STILL and not is_blank(data):
                raise
            return None


class LiveReader:
    """Reads entries of the node in `directory` beside whoever writes them; never blocks for a file to change."""

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._folder = os.path.join(directory, "logs")
        self._mark_path = os.path.join(directory, "purged.json")
        self._next: Sightings | None = None

    @property
    def unsettled(self) -> bool:
        """Whether the entry behind those that were read is being written, or damaged: look again in a moment."""
        return self._next is not None and self._next.unsettled

    def read(self, start: int, most: int) -> list[Entry]:
        """Return at most so many entries from `start` on that are there; none if it is not there yet.

        Raises:
            Compacted: entry `start` is purged.
            Damaged: its file fails its checks since a second in which it was looked at, and did not change; or the
                purge mark's does.
            DiskFailed: it cannot be read.
        """
        found: list[Entry] = []
        try:
            while len(found) < most:
                entry = self._look(start + len(found))
                if entry is None:
                    break
                found.append(entry)
        except Damaged:
            if not found and not self._is_purged(start):
                raise
        if self._is_purged(start):  # looked at last: a file at or below the mark may hold anything
            raise Compacted(f"entry {start} was purged")
        return found

    def purged(self) -> LogId | None:
        """Return the purge mark, None without one.

        Raises:
            Damaged: its file fails its check.
        """
        data = self._files.read(self._mark_path)
        return None if data is None else decode_checksummed(data, LogId, self._mark_path)

    def _look(self, index: int) -> Entry | None:
        path = entry_path(self._folder, index)
        if self._next is None or self._next.index != index:
            self._next = Sightings(index, path)
        entry = self._next.look(self._files.read(path), time.monotonic())
        if entry is not None:
            self._next = None
        return entry

    def _is_purged(self, index: int) -> bool:
        mark = self.purged()
        return mark is not None and index <= mark.index
