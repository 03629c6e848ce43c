"""Reading the entries of a node that is running, from another process, without disturbing it.

A write is not atomic to who reads beside it: a file that fails its checks may be whole a moment later, as may a
blank one. An entry read here is neither durable nor committed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from qcore.disk.checksummed import decode_checksummed, is_checksummed
from qcore.disk.files import Files
from qcore.disk.log.record import decode, is_blank
from qcore.disk.log.survey import entry_path
from qcore.model.entry import Entry, LogId
from qcore.model.errors import Compacted, Damaged

__all__ = ["RETRY", "Sightings", "read_live"]

RETRY = 0.05
"""Seconds between two looks at a file that fails its checks."""

_STILL = 1.0
"""Seconds without a change after which such a file is damaged."""


class Sightings:
    """What is seen of the file of entry `index`, `path` in messages, one look after the other; no I/O here."""

    def __init__(self, index: int, path: str) -> None:
        self._index = index
        self._path = path
        self._seen: bytes | None = None
        self._since = 0.0

    def look(self, data: bytes | None, now: float) -> Entry | None:
        """Return the entry in `data`, the whole file read at `now` (seconds), None as long as it fails its checks.

        Raises:
            Damaged: it fails them since a second, and did not change.
        """
        if data is None:
            self._seen = None
            return None
        try:
            return decode(data, self._index, self._path)
        except Damaged:
            if data != self._seen:
                self._seen, self._since = data, now
            elif now - self._since >= _STILL and not is_blank(data):
                raise
            return None


def read_live(directory: Path, index: int) -> Entry | None:
    """Return entry `index` of the node in `directory`, running or not; None if it is not there yet.

    Blocks for a second at most while the file is being written.

    Raises:
        Compacted: the entry is purged.
        Damaged: the file fails its checks and does not change.
        DiskFailed: it cannot be read.
    """
    files = Files()
    path = entry_path(str(directory / "logs"), index)
    sightings = Sightings(index, path)
    while True:
        data = files.read(path)
        try:
            entry = sightings.look(data, time.monotonic())
        except Damaged:
            _refuse_purged(files, directory, index)
            raise
        _refuse_purged(files, directory, index)
        if entry is not None or data is None or is_blank(data):
            return entry
        time.sleep(RETRY)


def _refuse_purged(files: Files, directory: Path, index: int) -> None:
    """Raise Compacted for an entry at or below the purge mark, whose file may hold anything."""
    path = os.path.join(directory, "purged.json")
    data = files.read(path)
    if data is not None and is_checksummed(data) and index <= (mark := decode_checksummed(data, LogId, path)).index:
        raise Compacted(f"entry {index} was purged; the log begins at {mark.index + 1}")
