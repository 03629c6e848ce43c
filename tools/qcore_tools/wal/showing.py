"""Showing the lines of a log: from where, how many of the last, and for how long."""

from __future__ import annotations

import dataclasses
import select
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from qcore.disk.live_directory import LiveDirectory
from qcore.disk.log.live_reader import RETRY
from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.errors import Compacted, Damaged, DiskFailed, Fatal
from qcore_tools.console import DONE, FAILED
from qcore_tools.progress import Progress
from qcore_tools.terminal import note, write_result
from qcore_tools.wal.lines import Describer, Line, plain_lines
from qcore_tools.wal.reading import Break, CaughtUp, Found, Reading, told
from qcore_tools.wal.replay import Replay
from qcore_tools.wal.selection import Selection
from qcore_tools.wal.values import Names, Shown
from qcore_tools.wal.wording import Render, for_people, for_programs

__all__ = ["LAST", "Show"]

LAST = 10
"""Lines that `--follow` begins with where nothing says from where on."""

_AT_ONCE = 1 << 16
"""Characters that are written at a time."""


class Show:
    """Shows the log of the node in `path`."""

    def __init__(self, path: Path, selection: Selection, last: int | None, follow: bool, as_text: bool) -> None:
        self._path = path
        self._selection = selection
        self._follow = follow
        self._as_text = as_text
        self._render: Render = _for_reader if as_text else for_programs
        self._tail: deque[str] | None = None if last is None else deque(maxlen=last)
        """The last lines, until the end was reached for the first time."""
        self._waiting: list[str] = []
        self._size = 0
        self._damaged = False
        self._told = False
        """Whether it was told that names are not known."""
        self._time: int | None = None
        """The newest time of an entry."""

    def run(self) -> int:
        """Show it; returns the exit code: whether there was damage."""
        begin: int | None = None
        with Progress("entries read") as self._progress:
            while True:
                with closing(self._opened(begin is not None)) as directory:
                    if not self._show(directory, begin):
                        break
                begin = 0
            self._flush_tail()
            self._flush()
        return FAILED if self._damaged else DONE

    def _opened(self, again: bool) -> LiveDirectory:
        """The directory, `again` in the place of one that was followed: it may be gone for a while."""
        is_told = False
        while True:
            try:
                return LiveDirectory(self._path)
            except (DiskFailed, Damaged) as problem:
                if not again:
                    raise
                if not is_told:
                    self._note(problem.message)
                    is_told = True
                self._pause()

    def _show(self, directory: LiveDirectory, begin: int | None) -> bool:
        """Show what is in a directory; whether another one is in its place now."""
        purged = directory.entries.purged()
        first = 0 if purged is None else purged.index + 1
        want = max(first, self._begin(directory, first) if begin is None else begin)
        if begin is None and self._selection.index[0] < want and self._selection.index[0] > 0 and want == first:
            self._note(f"entries up to {first - 1} are purged")
        while True:
            end = self._leg(directory, first, want)
            if end is None:
                return False
            self._note(end.message)
            self._damaged |= end.damage
            if end.moved:
                self._time = None
                return True
            first, want = end.first, end.next

    def _begin(self, directory: LiveDirectory, first: int) -> int:
        """The first entry that can be wanted."""
        wanted = self._selection
        begin = wanted.index[0]
        if wanted.start is not None:
            before = (found for found in directory.snapshots().found if found.header.time < wanted.start)
            begin = max(begin, max((_last(found) for found in before), default=-1) + 1)
        if self._tail is not None and self._tail.maxlen is not None and wanted.whole and wanted.index[1] is None:
            begin = max(begin, _end(directory, first) - self._tail.maxlen)
        return begin

    def _leg(self, directory: LiveDirectory, first: int, want: int) -> Break | None:
        """Show entries from `want` on, up to the end or to where they do not go on."""
        replay = Replay.begin(directory, first, want, lambda: self._progress.advance(0))
        for problem in replay.problems:
            self._damaged = True
            self._note(told(problem))
        start = want
        if replay.state is not None and replay.next <= want:
            start = replay.next
            self._time = max(self._time or 0, replay.state.time) or None
        for item in Reading(directory, start, first, self._follow).items():
            if isinstance(item, Break):
                return dataclasses.replace(item, next=max(item.next, want))
            if isinstance(item, CaughtUp):
                if self._follow:
                    self._flush_tail()
                self._flush()
                self._progress.clear()
                self._pause()
            elif not self._take(replay, item, want):
                break
        return None

    def _take(self, replay: Replay, found: Found, want: int) -> bool:
        """Show an entry, if it is wanted; whether one behind it may be, too."""
        self._progress.advance(1)
        entry, wanted, id = found.entry, self._selection, found.entry.id
        if entry.body.kind == "commands":
            self._time = max(self._time or 0, entry.body.time)
        if wanted.has_ended(id.index, id.term, self._time):
            return False
        shown = id.index >= want and wanted.wants_entry(id.index, id.term, self._time)
        plain = Line(entry, self._time, entry.body.kind, pending=found.pending)
        through = 0
        try:
            if replay.knows(id.index):
                for line in self._applied(replay, plain, shown):
                    through = line.number
                    self._write(self._render(line))
                return True
        except Fatal as problem:
            self._note(problem.message)
            self._damaged = True
        if shown:
            self._show_unapplied(plain, through)
        return True

    def _applied(self, replay: Replay, plain: Line, shown: bool) -> Iterator[Line]:
        """Apply an entry; gives its lines if it is shown."""
        assert replay.state is not None
        names = Names(replay.state)
        values = Shown(names, self._as_text)
        if not shown or not plain.entry.body.commands:
            replay.skip(plain.entry)
            if shown:
                yield from plain_lines(replace(plain, revision=replay.state.revision), values, self._selection)
            return
        describer = Describer(names, values, self._selection)
        for number, done in enumerate(replay.apply(plain.entry, describer.step), 1):
            yield from describer.lines(replace(plain, number=number), done)

    def _show_unapplied(self, plain: Line, through: int) -> None:
        """Show an entry by what it asks for, but for the commands that were shown already."""
        if plain.entry.body.commands and not self._told:
            self._told = True
            self._note(f"entry {plain.entry.id.index}: names and old values are not known, as no snapshot says them")
        for line in plain_lines(plain, Shown(None, self._as_text), self._selection):
            if line.number > through or not line.number:
                self._write(self._render(line))

    def _write(self, text: str) -> None:
        if self._tail is not None:
            self._tail.append(text)
            return
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= _AT_ONCE:
            self._flush()

    def _flush_tail(self) -> None:
        if self._tail is not None:
            self._waiting += self._tail
            self._tail = None

    def _flush(self) -> None:
        if self._waiting:
            self._progress.clear()
            write_result("".join(self._waiting))
            self._waiting.clear()
            self._size = 0

    def _note(self, message: str) -> None:
        """Tell something, behind the lines that came before it."""
        self._flush()
        self._progress.clear()
        note(message)

    def _pause(self) -> None:
        """Wait a moment, but no longer than somebody reads the output.

        Raises:
            BrokenPipeError: nobody does.
        """
        if sys.stdout is None:
            time.sleep(RETRY)
            return
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if poll.poll(RETRY * 1000):
            raise BrokenPipeError


def _for_reader(line: Line) -> str:
    """A line for people, folded where a terminal is not wide enough."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return for_people(line, shutil.get_terminal_size().columns if is_terminal else None)


def _last(found: SnapshotFile) -> int:
    return found.header.last.index


def _end(directory: LiveDirectory, first: int) -> int:
    """The index behind the last entry, found by halving: behind it are files that lie ready, or none."""
    numbers = [number for number in directory.numbers() if number >= first]
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        try:
            is_there = bool(directory.entries.read(numbers[middle], 1))
        except Compacted:
            is_there = True
        low, high = (middle + 1, high) if is_there else (low, middle)
    return numbers[low - 1] + 1 if low else first
