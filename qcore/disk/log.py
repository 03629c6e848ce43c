"""The log: one file per entry in a folder, from the purge mark + 1 upwards without a gap.

`append`, `truncate` and `purge` block until they are durable and belong to one writer thread, in the order in
which they were asked for. `Log.open` and `read` belong to the thread that starts the node. The bytes of an
entry are `qcore.disk.record`'s business, its meaning is nobody's in this room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from qcore.disk import record
from qcore.disk.damage import damaged
from qcore.disk.files import Files
from qcore.disk.log_ids import LogIds, follows
from qcore.disk.marks import Marks
from qcore.model.entry import Entry, LogId
from qcore.model.errors import Compacted

__all__ = ["Log"]

_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")


class Log:
    """A node's log on disk.

    Attributes:
        warnings: one sentence for each file in the folder that is no entry.
    """

    def __init__(self, files: Files, folder: str, marks: Marks) -> None:
        self._files = files
        self._folder = folder
        self._marks = marks
        self._ids = LogIds(marks.purged)
        self._leftovers: list[int] = []
        self.warnings: list[str] = []

    @classmethod
    def open(cls, files: Files, folder: str, marks: Marks) -> Log:
        """Check every byte of the log in `folder`; nothing is changed before `settle`.

        Raises:
            Damaged: a file is missing or fails its checks.
        """
        log = cls(files, folder, marks)
        found = log._scan()
        entries = [index for index in found if index >= log._ids.first_index]
        blank = log._blank_tail(entries)
        log._verify(entries[: len(entries) - len(blank)])
        log._check_marks()
        log._leftovers = [index for index in found if index < log._ids.first_index] + blank
        return log

    def settle(self) -> None:
        """Make what was read at start durable, after the purge mark is: until then no entry may go.

        Files that are no entries are removed. The last entry is stored anew, as it may not be on the disk yet.
        """
        for index in self._leftovers:
            self._files.unlink(self._path(index))
        self._leftovers.clear()
        last = self._ids.next_index - 1
        if last >= self._ids.first_index:
            self._files.store(self._path(last), self._content(last).rstrip(b" "))
        else:
            self._files.sync_folder(self._folder)

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
        self._files.store(self._path(log_id.index), data)
        self._ids.push(log_id)

    def read(self, start: int, stop: int) -> Iterator[Entry]:
        """Yield the entries from `start` up to, not including, `stop` or the end; one file at a time.

        Raises:
            Compacted: `start` is at or below the purge mark.
            Damaged: a file fails its checks.
        """
        if start < self._ids.first_index:
            raise Compacted(f"entry {start} was purged; the log begins at {self._ids.first_index}")
        for index in range(start, min(stop, self._ids.next_index)):
            path = self._path(index)
            entry = record.decode(self._content(index), index, path)
            if entry.id != self._ids.at(index):
                raise damaged(path, f"expected {self._ids.at(index)}, found {entry.id}")
            yield entry

    def truncate(self, index: int) -> None:
        """Remove entry `index` and all above it, from the highest down, each durably before the next.

        Raises:
            ValueError: `index` is at or below the purge mark.
        """
        if index < self._ids.first_index:
            raise ValueError(f"cannot truncate at {index}: entries up to {self._ids.first_index - 1} are purged")
        if index >= self._ids.next_index:
            return
        self._marks.save_committed(self._marks.committed, self._ids.at(index - 1), sync=True)
        for each in range(self._ids.next_index - 1, index - 1, -1):
            self._files.unlink(self._path(each))
            self._files.sync_folder(self._folder)
        self._ids.truncate(index)

    def purge(self, upto: LogId) -> None:
        """Drop the entries up to and including `upto`: the mark first, durably, then files from the lowest.

        A mark above the last entry empties the log, and the next entry is the one after the mark.
        """
        if upto.index < self._ids.first_index:
            return
        self._marks.save_purged(upto)
        for index in range(self._ids.first_index, min(upto.index + 1, self._ids.next_index)):
            self._files.unlink(self._path(index))
        self._ids.purge(upto)

    def _path(self, index: int) -> str:
        return f"{self._folder}/{index}.json"

    def _content(self, index: int) -> bytes:
        data = self._files.read(self._path(index))
        if data is None:
            raise damaged(self._path(index), f"expected entry {index}, found no such file")
        return data

    def _scan(self) -> list[int]:
        """Return the numbers of all files named like entries, ascending."""
        found = []
        for name in self._files.names(self._folder):
            match = _NAME.fullmatch(name)
            if match:
                found.append(int(match[1]))
            else:
                self.warnings.append(f"{os.path.join(self._folder, name)} is not named like an entry and is ignored")
        return sorted(found)

    def _blank_tail(self, entries: list[int]) -> list[int]:
        """Return the highest of `entries`, from the highest down, that were made ready but never written."""
        blank = []
        for index in reversed(entries):
            if not record.is_blank(self._content(index)):
                break
            blank.append(index)
        return blank

    def _verify(self, entries: list[int]) -> None:
        """Read every entry and fill in its log id."""
        for index in entries:
            if index != self._ids.next_index:
                missing = self._path(self._ids.next_index)
                raise damaged(missing, f"expected this entry below entry {index}, found no such file")
            log_id = record.check(self._content(index), index, self._path(index))
            if not follows(self._ids.last, log_id):
                raise damaged(self._path(index), f"expected an entry that follows {self._ids.last}, found {log_id}")
            self._ids.push(log_id)

    def _check_marks(self) -> None:
        """Refuse a log that is shorter or newer than the files beside it say."""
        last, stored, vote = self._ids.last, self._marks.stored, self._marks.vote
        if stored is not None and stored.index >= self._ids.next_index:
            missing = self._path(self._ids.next_index)
            raise damaged(missing, f"expected entries up to {stored.index}, which were stored, found no such file")
        if last is not None and last.term > (0 if vote is None else vote.term):
            found = "no such file" if vote is None else f"term {vote.term}"
            raise damaged(self._marks.vote_path, f"expected a vote of at least term {last.term}, found {found}")
