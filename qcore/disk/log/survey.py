"""What a start finds in the folder of the log, and what it refuses. Nothing is changed here.

A folder holds, from the lowest number up: files at or below the purge mark, which are no longer of interest; the
entries, without a gap; at most one torn file, whose write was cut off by a crash and never acknowledged; files made
ready for entries to come. Anything else is damage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from qcore.disk.damage import damaged
from qcore.disk.files import TEMPORARY, Files
from qcore.disk.log import record
from qcore.disk.log.blanks import is_torn
from qcore.disk.log.log_ids import LogIds, follows
from qcore.disk.marks import Marks
from qcore.model.entry import LogId
from qcore.model.errors import Damaged

__all__ = ["Survey", "entry_numbers", "entry_path", "survey"]

_KEPT = 64 << 20
"""Bytes of entries that stay in memory until they are replayed."""

_MISSING = 10
"""Missing files that are named, beside the last."""

_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")


class Survey:
    """What lies in a folder of entries.

    Attributes:
        ids: the log ids of the entries, up to the first that is damaged.
        purged: numbers of the files at or below the purge mark, ascending.
        unwritten: numbers of the files above the last entry, ascending.
        torn: whether the lowest of these was being written when the machine stopped.
        kept: the content of the first entries by number, as far as `_KEPT` goes, so that they need not be read again.
        size: bytes of the entries.
        foreign: paths of files that are not named like entries.
        warnings: one sentence for each of them.
        problems: what is wrong with files; with any, the directory may not be used.
    """

    def __init__(self, ids: LogIds) -> None:
        self.ids = ids
        self.purged: list[int] = []
        self.unwritten: list[int] = []
        self.torn = False
        self.kept: dict[int, bytes] = {}
        self.size = 0
        self.foreign: list[str] = []
        self.warnings: list[str] = []
        self.problems: list[Damaged] = []


def entry_path(folder: str, index: int) -> str:
    """Return the name of the file of entry `index`."""
    return f"{folder}/{index}.json"


def entry_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers of the files among `names` that are named like entries, ascending."""
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def survey(files: Files, folder: str, marks: Marks, covered: int = -1) -> Survey:
    """Check every byte of the log in `folder` against itself and the marks.

    `covered` is the log index up to which there is a snapshot, -1 without one: up to there the log may be purged.
    """
    return _Surveyor(files, folder, marks, covered).run()


class _Surveyor:
    """One survey under way."""

    def __init__(self, files: Files, folder: str, marks: Marks, covered: int) -> None:
        self._files = files
        self._folder = folder
        self._marks = marks
        self._covered = covered
        self._found = Survey(LogIds(marks.purged))
        self._room = _KEPT
        self._previous = marks.purged
        """Log id of the last good entry."""
        self._unbroken = not marks.is_damaged(marks.purged_path)
        """Whether all below is good."""

    def run(self) -> Survey:
        found = self._found
        numbers = self._scan()
        first = found.ids.first_index
        found.purged = [index for index in numbers if index < first]
        entries = [index for index in numbers if index >= first]
        while entries and self._is_ready(entries[-1]):
            found.unwritten.insert(0, entries.pop())
        unread = self._take_ready_ones(entries)
        next_index = self._first_expected(entries)
        for index in entries:
            self._expect(range(next_index, index), index)
            self._verify(index, is_last=index == entries[-1] and not unread)
            next_index = index + 1
        self._check_stored(found.unwritten[0] if found.torn else next_index)
        self._check_vote()
        return found

    def _scan(self) -> list[int]:
        """Return the numbers of all files named like entries, ascending."""
        names = self._names()
        for name in sorted(names):
            if not _NAME.fullmatch(name) and not name.endswith(TEMPORARY):
                path = os.path.join(self._folder, name)
                self._found.foreign.append(path)
                self._found.warnings.append(f"{path} is not named like an entry and is ignored")
        return entry_numbers(names)

    def _names(self) -> list[str]:
        try:
            return self._files.names(self._folder)
        except Damaged as problem:
            self._problem(problem)
            return []

    def _path(self, index: int) -> str:
        return entry_path(self._folder, index)

    def _problem(self, problem: Damaged) -> None:
        self._unbroken = False
        self._found.problems.append(problem)

    def _content(self, index: int) -> bytes:
        data = self._files.read(self._path(index))
        if data is None:
            raise damaged(self._path(index), f"expected entry {index}, found no such file")
        return data

    def _is_ready(self, index: int) -> bool:
        try:
            return record.is_blank(self._content(index))
        except Damaged:
            return False

    def _take_ready_ones(self, entries: list[int]) -> bool:
        """Take files off the end of `entries` that were never entries: they lie above blank ones, and hold neither.

        Returns whether there were any. What `stored` reaches was an entry, whatever it holds now.
        """
        stored = -1 if self._marks.stored is None else self._marks.stored.index
        written = next((at for at in range(len(entries) - 1, -1, -1) if self._is_entry(entries[at])), -1)
        blank = next((at for at in range(written + 1, len(entries)) if self._is_ready(entries[at])), len(entries))
        ready = [index for index in entries[blank:] if index > stored]
        for index in ready:
            entries.remove(index)
            if self._is_ready(index):
                self._found.unwritten.append(index)
            else:
                self._problem(self._not_blank(index))
        self._found.unwritten.sort()
        return bool(ready)

    def _is_entry(self, index: int) -> bool:
        try:
            record.check(self._content(index), index, self._path(index))
        except Damaged:
            return False
        return True

    def _not_blank(self, index: int) -> Damaged:
        """What is wrong with a file that lies ready for entry `index`."""
        path = self._path(index)
        try:
            self._content(index)
        except Damaged as problem:
            return problem
        return damaged(path, "expected nothing but blanks in a file that lies ready, found other bytes")

    def _first_expected(self, entries: list[int]) -> int:
        """Return the lowest index that must be there."""
        found, marks = self._found, self._marks
        first = found.ids.first_index
        if not entries or marks.purged is not None or entries[0] == first:
            return first
        if not marks.is_damaged(marks.purged_path):
            if entries[0] > self._covered + 1:
                return first
            self._problem(
                damaged(
                    marks.purged_path,
                    f"expected the mark up to which the log is gone, as it begins at entry {entries[0]} and a snapshot "
                    f"reaches entry {self._covered}, found no such file",
                )
            )
        return entries[0]

    def _expect(self, missing: range, index: int) -> None:
        """Tell of the files that are missing below entry `index`; of many, the first ones and the last."""
        for each in [*missing[:_MISSING], *missing[_MISSING:][-1:]]:
            self._problem(damaged(self._path(each), f"expected this entry below entry {index}, found no such file"))

    def _verify(self, index: int, is_last: bool) -> None:
        """Read an entry and fill in its log id; the last one may be torn."""
        path = self._path(index)
        try:
            data = self._content(index)
            if is_last and is_torn(data, index):
                self._found.torn = True
                self._found.unwritten.insert(0, index)
                return
            log_id = record.check(data, index, path)
            self._check_order(log_id, path)
        except Damaged as problem:
            self._problem(problem)
            return
        self._previous = log_id
        if self._unbroken:
            self._found.ids.push(log_id)
            self._keep(index, data.rstrip(b" "))

    def _check_order(self, log_id: LogId, path: str) -> None:
        """Refuse an entry that cannot stand behind the last good one."""
        last = self._previous
        fits = (
            follows(last, log_id)
            if self._unbroken
            else last is None or (last.term, last.node) <= (log_id.term, log_id.node)
        )
        if not fits:
            raise damaged(path, f"expected an entry that follows {last}, found {log_id}")

    def _keep(self, index: int, record_alone: bytes) -> None:
        self._found.size += len(record_alone)
        self._room -= len(record_alone)
        if self._room >= 0:
            self._found.kept[index] = record_alone

    def _check_stored(self, end: int) -> None:
        """Refuse a log that ends below what the disk once said it holds: a torn or missing entry was acknowledged.

        `end` is the number above the last entry that is there.
        """
        stored = self._marks.stored
        if stored is None or stored.index < end:
            return
        for index in [end, *(each for each in self._found.unwritten if end < each <= stored.index)]:
            found = self._found_at(index)
            expected = f"expected entries up to {stored.index}, which were stored, found {found}"
            self._problem(damaged(self._path(index), expected))

    def _found_at(self, index: int) -> str:
        if index not in self._found.unwritten:
            return "no such file"
        return "parts of an entry" if self._found.torn and index == self._found.unwritten[0] else "a blank file"

    def _check_vote(self) -> None:
        """Refuse a vote older than the log."""
        last, vote, path = self._previous, self._marks.vote, self._marks.vote_path
        if last is None or self._marks.is_damaged(path) or last.term <= (0 if vote is None else vote.term):
            return
        found = "no such file" if vote is None else f"term {vote.term}"
        self._found.problems.append(damaged(path, f"expected a vote of at least term {last.term}, found {found}"))
