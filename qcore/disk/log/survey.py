"""What a start finds in the folder of the log, and what it refuses. Nothing is changed here.

A folder holds, from the lowest number up: files at or below the purge mark, which are no longer of interest; the
entries, without a gap; at most one torn file, whose write was cut off by a crash and never acknowledged; files made
ready for entries to come. Anything else is damage.
"""

from __future__ import annotations

import os
import re

from qcore.disk.damage import damaged
from qcore.disk.files import TEMPORARY, Files
from qcore.disk.log import record
from qcore.disk.log.blanks import is_torn
from qcore.disk.log.log_ids import LogIds, follows
from qcore.disk.marks import Marks

__all__ = ["Survey", "entry_path", "survey"]

_KEPT = 64 << 20
"""Bytes of entries that stay in memory until they are replayed."""

_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")


class Survey:
    """What lies in a folder of entries.

    Attributes:
        ids: the log ids of the entries.
        purged: numbers of the files at or below the purge mark, ascending.
        unwritten: numbers of the files above the last entry, ascending.
        torn: whether the lowest of these was being written when the machine stopped.
        kept: the content of the first entries by number, as far as `_KEPT` goes, so that they need not be read again.
        warnings: one sentence for each file that is no entry.
    """

    def __init__(self, ids: LogIds) -> None:
        self.ids = ids
        self.purged: list[int] = []
        self.unwritten: list[int] = []
        self.torn = False
        self.kept: dict[int, bytes] = {}
        self.warnings: list[str] = []


def entry_path(folder: str, index: int) -> str:
    """Return the name of the file of entry `index`."""
    return f"{folder}/{index}.json"


def survey(files: Files, folder: str, marks: Marks) -> Survey:
    """Check every byte of the log in `folder` against itself and the marks.

    Raises:
        Damaged: a file is missing or fails its checks.
    """
    return _Surveyor(files, folder, marks).run()


class _Surveyor:
    """One survey under way."""

    def __init__(self, files: Files, folder: str, marks: Marks) -> None:
        self._files = files
        self._folder = folder
        self._marks = marks
        self._found = Survey(LogIds(marks.purged))
        self._room = _KEPT

    def run(self) -> Survey:
        found = self._found
        numbers = self._scan()
        first = found.ids.first_index
        found.purged = [index for index in numbers if index < first]
        entries = [index for index in numbers if index >= first]
        while entries and record.is_blank(self._content(entries[-1])):
            found.unwritten.insert(0, entries.pop())
        for index in entries:
            self._verify(index, is_last=index == entries[-1])
        self._check_stored()
        self._check_vote()
        return found

    def _scan(self) -> list[int]:
        """Return the numbers of all files named like entries, ascending."""
        numbers = []
        for name in self._files.names(self._folder):
            match = _NAME.fullmatch(name)
            if match:
                numbers.append(int(match[1]))
            elif not name.endswith(TEMPORARY):
                path = os.path.join(self._folder, name)
                self._found.warnings.append(f"{path} is not named like an entry and is ignored")
        return sorted(numbers)

    def _path(self, index: int) -> str:
        return entry_path(self._folder, index)

    def _content(self, index: int) -> bytes:
        data = self._files.read(self._path(index))
        if data is None:
            raise damaged(self._path(index), f"expected entry {index}, found no such file")
        return data

    def _verify(self, index: int, is_last: bool) -> None:
        """Read an entry and fill in its log id; the last one may be torn."""
        ids, path = self._found.ids, self._path(index)
        if index != ids.next_index:
            missing = self._path(ids.next_index)
            raise damaged(missing, f"expected this entry below entry {index}, found no such file")
        data = self._content(index)
        if is_last and is_torn(data, index):
            self._found.torn = True
            self._found.unwritten.insert(0, index)
            return
        log_id = record.check(data, index, path)
        if not follows(ids.last, log_id):
            raise damaged(path, f"expected an entry that follows {ids.last}, found {log_id}")
        ids.push(log_id)
        record_alone = data.rstrip(b" ")
        self._room -= len(record_alone)
        if self._room >= 0:
            self._found.kept[index] = record_alone

    def _check_stored(self) -> None:
        """Refuse a log that ends below what the disk once said it holds: a torn or missing entry was acknowledged."""
        stored, index = self._marks.stored, self._found.ids.next_index
        if stored is not None and stored.index >= index:
            raise damaged(
                self._path(index),
                f"expected entries up to {stored.index}, which were stored, found {self._found_at(index)}",
            )

    def _found_at(self, index: int) -> str:
        if index not in self._found.unwritten:
            return "no such file"
        return "parts of an entry" if self._found.torn else "a blank file"

    def _check_vote(self) -> None:
        """Refuse a vote older than the log."""
        last, vote = self._found.ids.last, self._marks.vote
        if last is not None and last.term > (0 if vote is None else vote.term):
            found = "no such file" if vote is None else f"term {vote.term}"
            raise damaged(self._marks.vote_path, f"expected a vote of at least term {last.term}, found {found}")
