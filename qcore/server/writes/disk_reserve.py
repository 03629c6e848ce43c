"""The last of the disk, kept so that it never is so full that the log cannot be written: that would end the node.

It is kept in bytes and in files (inodes), as each entry is a file; where a file system has no bound of these, in bytes.

Free space has three parts. Above what is `kept` every write is taken; below it only what deletes, and a snapshot is
asked for, since with it the log can go. The last slice is left by deletions too: it is that snapshot's and the purge's.

A leader goes by the disks of the other voters likewise, as they say: all of them write the same entries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from qcore.disk.space import Space, files_reserve, kept, last_files, last_slice, space, wanted_reserve
from qcore.model.errors import DiskFull
from qcore.model.requests.commands import Command, Delete, SessionOpen
from qcore.model.requests.compound import COMPOUND
from qcore.server.runtime import budgets, logs
from qcore.server.writes.full_disks import DiskReport

__all__ = ["DiskReserve", "NextSnapshot"]

_FREEING = frozenset({Delete, SessionOpen, *COMPOUND})
"""Commands that may be taken on a full disk, compounds if they do nothing but delete."""

log = logs.get("qcore.reserve")


class NextSnapshot(Protocol):
    """What the reserve is kept for."""

    def expected(self) -> int:
        """Bytes that a snapshot of the present state may take."""

    def pending(self, found: Space) -> int:
        """Bytes that the one under way, or about to be, still takes of what was found; 0 without one."""

    def deletes(self, size: int) -> None:
        """A deletion of so many bytes was taken: it makes no snapshot larger."""

    def relieve(self, found: Space) -> None:
        """Make room: what was found is too little for writes."""


class DiskReserve:
    """Watches the file system of `folder`; `wanted` megabytes are kept, None for the default.

    `set_room` is told how many bytes may be used for what only makes writes faster.
    """

    def __init__(
        self, folder: str, wanted: int | None, snapshot: NextSnapshot, set_room: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._wanted = None if wanted is None else wanted * budgets.MEGABYTE
        self._snapshot = snapshot
        self._set_room = set_room
        self._looked = -budgets.DISK_LOOK_SECONDS
        self._left = 0
        """Bytes that may be taken before the next look."""
        self._left_to_deletions = 0
        self._full: str | None = None
        self._last: str = ""
        """Why not even deletions are taken, where they are not."""
        self.others: Callable[[], Mapping[int, DiskReport]] = dict
        """The other voters below their reserve, by public id, where this node leads."""

    @property
    def report(self) -> DiskReport:
        """What the last look has found, for other nodes."""
        if self._full is None:
            return DiskReport()
        return DiskReport(self._full, self._last if self._left_to_deletions < 0 else "")

    def look(self) -> str | None:
        """See how full the disk is before anything is asked for; why writes are refused, None if they are not."""
        self._look(0)
        return self._full

    def problem(self, command: Command, size: int, waiting: int) -> DiskFull | None:
        """Why a command of `size` bytes cannot be taken now, with so many `waiting`; deletions nearly always can."""
        now = time.monotonic()
        cost = max(size, budgets.FILE_BLOCK_BYTES)
        self._left -= cost
        if now - self._looked >= budgets.DISK_LOOK_SECONDS or self._left < 0:
            self._looked = now
            self._look(cost + waiting)
        frees = type(command) in _FREEING and _frees(command)
        problem = _refused(self.report, frees) or self._refused_elsewhere(frees)
        if problem is None and frees:
            self._snapshot.deletes(size)
        return problem

    def _refused_elsewhere(self, frees: bool) -> DiskFull | None:
        for node, report in self.others().items():
            problem = _refused(report, frees, f"node {node}: ")
            if problem is not None:
                problem.data["node"] = node
                return problem
        return None

    def _look(self, coming: int) -> None:
        found = space(self._folder)
        if found is None:
            return
        reserve = wanted_reserve(found, self._wanted)
        keep = kept(reserve, self._snapshot.expected())
        left = found.free - coming - keep
        full = None if left >= 0 or not reserve else _full_disk(self._folder, found, coming, keep, reserve)
        if reserve and found.free_files is not None:
            left_files = found.free_files - files_reserve(found.total_files)
            left = min(left, left_files * budgets.FILE_BLOCK_BYTES)  # which is what a command costs at least
            if left_files < 0 and full is None:
                full = _no_files(self._folder, found.free_files, files_reserve(found.total_files))
        self._left = left
        self._note(full, found)
        self._set_room(max(left, 0) // budgets.READY_FILES_SHARE if reserve else found.free)
        if full is not None:
            self._look_further(found, coming, last_slice(reserve))

    def _look_further(self, found: Space, coming: int, last: int) -> None:
        """What deletions may take; a start stores the last entry once more, so there is room for it twice."""
        self._snapshot.relieve(found)
        last += self._snapshot.pending(found)
        self._left_to_deletions = found.free - 2 * coming - last
        self._last = (
            f"the disk of {self._folder} is full: {_down(found.free)} are free, {_up(last)} are left to a snapshot "
            f"that makes room, {_up(2 * coming)} are to be written; try again in a moment, or make room on the disk"
        )
        least = last_files(found.total_files) + 2
        if self._left_to_deletions >= 0 and found.free_files is not None and found.free_files < least:
            self._left_to_deletions = -1
            self._last = (
                f"{_no_files(self._folder, found.free_files, least)} for a snapshot that makes room; try again in a "
                "moment, or remove files from the disk"
            )

    def _note(self, full: str | None, found: Space) -> None:
        before, self._full = self._full, full
        if (before is None) != (full is None):
            word = full or f"the disk of {self._folder} has room again: writes are taken"
            log.warning("disk_full" if full else "disk_has_room", message=word, free=found.free)


def _refused(report: DiskReport, frees: bool, whose: str = "") -> DiskFull | None:
    """Why a command is refused that frees something, or does not."""
    if not frees and report.full:
        return DiskFull(f"{whose}{report.full}; deletions are taken all the same", applied="no")
    return DiskFull(f"{whose}{report.last}", applied="no") if report.last else None


def _full_disk(folder: str, found: Space, coming: int, keep: int, reserve: int) -> str:
    """Say why; what is free is rounded down and the rest up, so that the numbers never say there is room."""
    whom = "in reserve (disk_reserve_mb)" if keep <= reserve else "for the next snapshot, which lets old entries go"
    written = f", {_up(coming)} are to be written" if coming else ""
    return f"the disk of {folder} is full: {_down(found.free)} are free, {_up(keep)} are kept {whom}{written}"


def _no_files(folder: str, free: int, keep: int) -> str:
    return (
        f"the disk of {folder} has no room for more files: {free} more (inodes) can be made, {keep} are kept in reserve"
    )


def _down(size: int) -> str:
    return f"{size * 10 // budgets.MEGABYTE / 10:.1f} MB"


def _up(size: int) -> str:
    return f"{-(-size * 10 // budgets.MEGABYTE) / 10:.1f} MB"


def _frees(command: Command) -> bool:
    if isinstance(command, COMPOUND):
        return all(isinstance(step, Delete) or not isinstance(step, Command) for step in command.commands)
    return True
