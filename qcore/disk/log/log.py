"""The log: one file per entry in a folder, from the purge mark + 1 upwards without a gap.

`append`, `truncate` and `purge` block until they are durable and belong to one writer thread, in the order in
which they were asked for; any thread may read. Files for the next entries are made ready, and purged ones taken
away, by the slow thread beside it (`qcore.disk.log.preallocator`), with which the writer shares the list of ready
files. The bytes of an entry are `qcore.disk.log.record`'s business, its meaning is nobody's in this room.
"""

from __future__ import annotations

from collections.abc import Iterator

from qcore.disk.damage import damaged
from qcore.disk.files import Files
from qcore.disk.log import record
from qcore.disk.log.blanks import blanks, padded, reusable_size
from qcore.disk.log.cache import RecordCache
from qcore.disk.log.log_ids import follows
from qcore.disk.log.reader import LogReader
from qcore.disk.log.ready_files import ReadyFiles
from qcore.disk.log.record import RawEntry
from qcore.disk.log.survey import Survey, entry_path
from qcore.disk.marks import Marks
from qcore.model.entry import Entry, LogId

__all__ = ["Log"]

_BLANKED_AT_START = 8
"""Files for entries to come that are blanked anew at start, each by itself; more than these are made afresh later."""


class Log:
    """A node's log on disk, as a survey found it; nothing is changed before `settle`.

    Attributes:
        found: the survey.
        ready_files: the prepared files.
        cache: the newest records, in memory.
        max_spares: how many purged files may wait to be used again.
    """

    def __init__(self, files: Files, folder: str, marks: Marks, found: Survey) -> None:
        self.ready_files = ReadyFiles(found.ids.next_index)
        self.max_spares = 1_000
        self._files = files
        self._folder = folder
        self._marks = marks
        self._ids = found.ids
        self.found = found
        self.cache = RecordCache()
        self._reader = LogReader(files, folder, self._ids, self.cache)

    def settle(self) -> None:
        """Make what was read at start durable, after the purge mark is: until then no entry may go.

        Purged files are removed. Files for entries to come are blanked anew or removed: what they hold was perhaps
        never on the disk. So was the last entry, which is stored anew, never written over.
        """
        for index in self.found.purged:
            self._files.unlink(self._path(index))
        for index in self.found.unwritten:
            if index >= self._ids.next_index + _BLANKED_AT_START or not self._blank(index):
                self._files.unlink(self._path(index))
        last = self._ids.next_index - 1
        if last >= self._ids.first_index:
            self._files.store(self._path(last), self._content(last).rstrip(b" "))
        else:
            self._files.sync_folder(self._folder)

    def last_size(self) -> int:
        """Bytes that the file of the last entry takes; 0 without one."""
        last = self._ids.next_index - 1
        shape = self._files.shape(self._path(last)) if last >= self._ids.first_index else None
        return 0 if shape is None else shape[0]

    def drop_ready(self) -> None:
        """Before `settle`: remove the files above the last entry, from the highest down."""
        while self.found.unwritten:
            self._files.unlink(self._path(self.found.unwritten.pop()))

    def drop_purged(self) -> None:
        """Before `settle`: remove purged files, once the mark is durable; that takes no room."""
        if self._marks.purged is not None:
            self._marks.save_purged_without_room(self._marks.purged)
        while self.found.purged:
            self._files.unlink(self._path(self.found.purged.pop()))

    def purge_at_once(self, upto: LogId) -> None:
        """Before `settle`: drop the entries up to and including `upto`, which a durable snapshot holds."""
        self.found.purged += range(self._ids.first_index, min(upto.index + 1, self._ids.next_index))
        self._marks.purged = upto
        self._ids.purge(upto)
        self.drop_purged()

    @property
    def first(self) -> LogId | None:
        """Log id of the first entry, None if there is none."""
        return self._ids.at(self._ids.first_index)

    @property
    def last(self) -> LogId | None:
        """Log id of the last durable entry; the purge mark if nothing is above it; None in an empty log."""
        return self._ids.last

    @property
    def purged(self) -> LogId | None:
        """Log id up to which entries are gone, None if none are."""
        return self._ids.purged

    def leaders(self) -> list[LogId]:
        """Return the first log id of each leader (term, node) that has entries in the log, ascending."""
        return self._ids.leaders()

    def log_id(self, index: int) -> LogId | None:
        """Return the log id at `index`, None if it is not in the log; the purge mark counts as in it."""
        return self._ids.at(index)

    def append(self, log_id: LogId, data: bytes) -> None:
        """Store the record of the next entry; it is durable on return.

        An entry at or below the purge mark is covered by a snapshot already: nothing is written.

        Raises:
            ValueError: it does not follow the last entry.
            DiskFailed: nothing more can be stored.
        """
        if log_id.index < self._ids.first_index:
            return
        if not follows(self._ids.last, log_id):
            raise ValueError(f"{log_id} cannot follow {self._ids.last}")
        path = self._path(log_id.index)
        if self.ready_files.take(log_id.index, len(data)):
            self._files.overwrite(path, padded(data), sync=True)
        else:
            self._files.store(path, data)
        self.cache.push(log_id.index, data)
        self._ids.push(log_id)

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the entries from `start` up to, not including, `stop` or the end; one file at a time.

        A truncate meanwhile ends it.

        Raises:
            Compacted: the next one is at or below the purge mark.
            Damaged: a file fails its checks, or a newer version wrote it.
        """
        return self._reader.read(start, stop)

    def read_range(self, start: int, stop: int, max_bytes: int) -> list[RawEntry]:
        """Return the entries from `start` up to, not including, `stop` or the end, bodies as they were stored.

        They are at most `max_bytes` of bodies, but at least one entry where there is one; fewer if the log is
        truncated or purged meanwhile.

        Raises:
            Compacted: `start` is at or below the purge mark.
            Damaged: a file fails its checks.
        """
        return self._reader.read_range(start, stop, max_bytes)

    def replay(self, after: LogId | None, upto: LogId | None) -> Iterator[Entry]:
        """Yield the entries behind `after` up to and including `upto`, as the start found them; never the tail.

        Once, before anything is appended or removed. `after` is where a snapshot leaves off, None without one; `upto`
        is how far the log is committed, None if nothing is.

        Raises:
            Damaged: a file fails its checks, or a newer version wrote it.
        """
        kept, self.found.kept = self.found.kept, {}
        start = max(self._ids.first_index, 0 if after is None else after.index + 1)
        stop = min(self._ids.next_index, 0 if upto is None else upto.index + 1)
        for index in range(start, stop):
            data, id = kept.pop(index, None), self._ids.at(index)
            if data is None or id is None:
                yield from self.read(index, index + 1)
            else:
                yield record.decode_checked(data, id, self._path(index))

    def truncate(self, index: int) -> None:
        """Remove entry `index` and all above it, from the highest down, each durably before the next.

        Raises:
            ValueError: `index` is at or below the purge mark.
        """
        if index < self._ids.first_index:
            raise ValueError(f"cannot truncate at {index}: entries up to {self._ids.first_index - 1} are purged")
        if index >= self._ids.next_index:
            return
        last, end = self._ids.at(index - 1), self._ids.next_index
        committed = self._marks.committed
        if committed is not None and committed.index >= index:
            committed = last
        self._marks.save_committed(committed, last, sync=True)
        self._ids.truncate(index)
        self.cache.truncate(index)
        for each in range(end - 1, index - 1, -1):
            if not self._blank(each):
                self._files.unlink(self._path(each))
                self._files.sync_folder(self._folder)

    def purge(self, upto: LogId) -> None:
        """Drop the entries up to and including `upto`: the mark is durable on return, the files go later.

        A mark above the last entry empties the log, and the next entry is the one after the mark. One at the present
        mark replaces it, one below it changes nothing.
        """
        purged = self._ids.purged
        if purged is not None and (upto.index < purged.index or upto == purged):
            return
        self._marks.save_purged(upto)
        entries = range(self._ids.first_index, min(upto.index + 1, self._ids.next_index))
        self._ids.purge(upto)
        self.cache.purge(upto.index)
        self.ready_files.free(entries, upto.index, self.max_spares)

    def _path(self, index: int) -> str:
        return entry_path(self._folder, index)

    def _blank(self, index: int) -> bool:
        """Make the file of `index` a prepared one, durably; False if it is not made for that."""
        size = reusable_size(self._files.shape(self._path(index)))
        if size is None:
            return False
        self._files.overwrite(self._path(index), blanks(size), sync=True)
        self.ready_files.add(index, size)
        return True

    def _content(self, index: int) -> bytes:
        data = self._files.read(self._path(index))
        if data is None:
            raise damaged(self._path(index), f"expected entry {index}, found no such file")
        return data
