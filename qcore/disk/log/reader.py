"""Reading entries beside the writer that appends, truncates and purges them; for any thread.

What is read is an entry of the log as it was at one moment of the call: a truncate meanwhile ends it early, and
what is gone below the purge mark is compacted. Only a file that is wrong in spite of both is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator

from qcore.disk.damage import damaged
from qcore.disk.files import Files
from qcore.disk.log import record
from qcore.disk.log.cache import RecordCache
from qcore.disk.log.log_ids import LogIds
from qcore.disk.log.record import RawEntry
from qcore.disk.log.survey import entry_path
from qcore.model.entry import Entry, LogId
from qcore.model.errors import Compacted, Damaged

__all__ = ["LogReader"]


class LogReader:
    """Reads the entries that `ids` names from memory or from the files in `folder`."""

    def __init__(self, files: Files, folder: str, ids: LogIds, cache: RecordCache) -> None:
        self._files = files
        self._folder = folder
        self._ids = ids
        self._cache = cache

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """See `Log.read`."""
        truncations = self._ids.truncations
        for index in range(start, min(stop, self._ids.next_index)):
            raw = self._entry(index, truncations)
            if raw is None:
                self._refuse_purged(index)
                return
            yield Entry(raw.id, record.decode_body(raw.body, entry_path(self._folder, index)))

    def read_range(self, start: int, stop: int, max_bytes: int) -> list[RawEntry]:
        """See `Log.read_range`."""
        truncations = self._ids.truncations
        found: list[RawEntry] = []
        room = max_bytes
        for index in range(start, stop):
            raw = self._entry(index, truncations)
            if raw is None:
                break
            room -= len(raw.body)
            if found and room < 0:
                break
            found.append(raw)
        if not found and start < stop:
            self._refuse_purged(start)
        return found

    def _refuse_purged(self, index: int) -> None:
        if index < self._ids.first_index:
            raise Compacted(f"entry {index} was purged; the log begins at {self._ids.first_index}")

    def _entry(self, index: int, truncations: int) -> RawEntry | None:
        """Return entry `index`, None if it is purged, not there yet, or the log was truncated since."""
        id = self._ids.at(index)
        if id is None or index < self._ids.first_index:
            return None
        data = self._cache.get(index) or self._from_file(id, truncations)
        # Looked at last: the id and the bytes before it are of the same log.
        if data is None or self._ids.truncations != truncations:
            return None
        return RawEntry(id, record.body_of(data))

    def _from_file(self, id: LogId, truncations: int) -> bytes | None:
        """Return a record from its file; None once it is purged or truncated, which may blank or remove the file."""
        path = entry_path(self._folder, id.index)
        try:
            data = self._files.read(path)
            if data is None:
                raise damaged(path, f"expected entry {id.index}, found no such file")
            found = record.check(data, id.index, path)
            if found != id:
                raise damaged(path, f"expected {id}, found {found}")
        except Damaged:
            if id.index < self._ids.first_index or self._ids.truncations != truncations:
                return None
            raise
        return data
