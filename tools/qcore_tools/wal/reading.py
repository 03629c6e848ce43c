"""The entries of a log in order, beside whoever writes them, and what keeps them from being in order.

An entry is held back until it is known to be committed, but no longer than `GRACE`: the node notes a second after the
last one at the latest how far that is.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from qcore.disk.live_directory import LiveDirectory
from qcore.disk.log.log_ids import follows
from qcore.model.entry import Entry, LogId
from qcore.model.errors import Compacted, Damaged

__all__ = ["GRACE", "Break", "CaughtUp", "Found", "Reading", "told"]

GRACE = 1.5
"""Seconds after which an entry that is not known to be committed is shown as pending."""

_BATCH = 256
_PENDING = 4_096
"""Entries that are held back, or remembered as they may be taken back, at most."""
_PATIENCE = 20
"""Looks in vain for the next entry after which it is asked whether there is one behind it."""


@dataclass(frozen=True)
class Found:
    """An entry."""

    entry: Entry
    pending: bool


@dataclass(frozen=True)
class CaughtUp:
    """There is no further entry; look again after a pause."""


@dataclass(frozen=True)
class Break:
    """The log does not go on as it should; whoever reads begins anew at entry `next`.

    Attributes:
        message: what is told.
        first: the lowest index from which on entries are there.
        damage: whether that is one.
        moved: another directory is in the place of this one.
    """

    message: str
    next: int
    first: int
    damage: bool = False
    moved: bool = False


class Reading:
    """Reads `directory` from entry `start` on, whose log begins at `first`; with `follow` without an end."""

    def __init__(self, directory: LiveDirectory, start: int, first: int, follow: bool) -> None:
        self._directory = directory
        self._next = start
        self._first = first
        self._follow = follow
        self._last: LogId | None = None
        self._held: deque[tuple[Entry, float]] = deque()
        """Entries that were not given yet, and when they were seen."""
        self._open: deque[LogId] = deque()
        """Log ids of entries that were read and are not known to be committed."""
        self._committed = directory.committed()
        self._waits = 0

    def items(self) -> Iterator[Found | CaughtUp | Break]:
        """Entries; then the end, or `CaughtUp` again and again. A `Break` is the last item.

        Raises:
            Damaged: it cannot be known where the log begins.
        """
        while True:
            found = self._read()
            if not isinstance(found, Break):
                found = self._look_at_committed() or found
            if isinstance(found, Break):
                yield from self._release(at_once=True)
                yield found
                return
            yield from self._release(at_once=not self._follow)
            if found:
                continue
            if not self._follow and not self._directory.entries.unsettled:
                return
            yield CaughtUp()

    def _read(self) -> bool | Break:
        """Read what is there; whether anything was."""
        if len(self._held) >= _PENDING:
            return False
        start = self._next
        try:
            entries = self._directory.entries.read(start, _BATCH)
        except Compacted:
            return self._missed()
        except Damaged as problem:
            if str(problem.data.get("path")).endswith("/purged.json"):
                raise
            return self._damaged(problem)
        for entry in entries:
            if self._is_other_leader(entry.id) and (back := self._taken_back()) is not None:
                return back
            if self._last is not None and not follows(self._last, entry.id):
                here = entry.id.index
                return Break(f"entry {here} does not follow {self._last}", here, here, damage=True)
            self._take(entry)
        return bool(entries) or self._end()

    def _take(self, entry: Entry) -> None:
        self._last = entry.id
        self._next = entry.id.index + 1
        self._waits = 0
        self._held.append((entry, time.monotonic()))
        self._open.append(entry.id)
        if len(self._open) > 2 * _PENDING:  # in their order and without a gap
            self._open.popleft()

    def _release(self, at_once: bool) -> Iterator[Found]:
        """Give the entries that are known to be committed, or have waited for that."""
        upto = -1 if self._committed is None else self._committed.index
        now = time.monotonic()
        while self._held:
            entry, seen = self._held[0]
            pending = entry.id.index > upto
            if pending and not at_once and now - seen < GRACE:
                break
            self._held.popleft()
            yield Found(entry, pending)
        while self._open and self._open[0].index <= upto:
            self._open.popleft()

    def _look_at_committed(self) -> Break | None:
        """Find out how far the log is committed, and whether what was read up to there still is what is there."""
        if not self._open:
            return None
        self._committed = committed = self._directory.committed()
        if committed is None or committed.index < self._open[0].index:
            return None
        # what is before an entry is the same wherever that is
        last = self._open[min(committed.index, self._open[-1].index) - self._open[0].index]
        if last == committed or (last.index != committed.index and self._is_there(last)):
            return None
        return self._taken_back()

    def _is_there(self, id: LogId) -> bool:
        """Whether an entry that was read is still in the log, or purged, or no more to be read."""
        try:
            again = self._directory.entries.read(id.index, 1)
        except (Compacted, Damaged):
            return True
        return bool(again) and again[0].id == id

    def _end(self) -> bool | Break:
        """What it means that there is no next entry."""
        directory = self._directory
        self._waits += 1
        if self._follow and not directory.is_in_place():
            return Break("another directory is in its place: beginning with what is there", 0, 0, moved=True)
        if directory.entries.unsettled or (self._follow and self._waits != _PATIENCE):
            return False
        return self._hole() or False

    def _is_other_leader(self, id: LogId) -> bool:
        last = self._last
        return bool(self._open) and last is not None and (last.term, last.node) != (id.term, id.node)

    def _taken_back(self) -> Break | None:
        """What was read and is there no more, as another leader's entries took its place."""
        for id in list(self._open):
            if not self._is_there(id):
                self._held = deque(each for each in self._held if each[0].id.index < id.index)
                last = self._open[-1].index
                return Break(f"{_entries(id.index, last)} taken back by another leader", id.index, self._first)
        return None

    def _missed(self) -> Break:
        mark, self._committed = self._directory.entries.purged(), self._directory.committed()
        next = self._next if mark is None else max(mark.index + 1, self._next)
        return Break(f"{_entries(self._next, next - 1)} missed: the log is purged up to {next - 1}", next, next)

    def _damaged(self, problem: Damaged) -> Break:
        return Break(told(problem), self._next + 1, self._next + 1, damage=True)

    def _hole(self) -> Break | None:
        """An entry behind one that is not there."""
        directory, start = self._directory, self._next
        above = next((number for number in directory.numbers() if number > start), None)
        if above is None:
            return None
        try:
            # one after the other: they may come and go while they are looked at, but never an upper one alone
            looks = [directory.entries.read(index, 1) for index in (above, start, above)]
        except (Compacted, Damaged):
            return None
        if not looks[0] or looks[1] or not looks[2]:
            return None
        path = os.path.join(directory.path, "logs", f"{start}.json")
        return Break(f"{path} is damaged: expected an entry, as there is one above it", above, above, damage=True)


def told(problem: Damaged) -> str:
    """What is wrong with a file, without the way out."""
    path, words = problem.data.get("path"), problem.data.get("problem")
    return f"{path} is damaged: {words}" if words else problem.message


def _entries(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first}..{last} were"
