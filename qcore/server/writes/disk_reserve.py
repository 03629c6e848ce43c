"""The last of the disk, kept so that it never is so full that the log cannot be written: that would end the node."""

from __future__ import annotations

import time

from qcore.disk.space import default_reserve, space
from qcore.model.errors import DiskFull
from qcore.model.requests.commands import Command, Delete, SessionOpen
from qcore.model.requests.compound import COMPOUND
from qcore.server.runtime import budgets, logs

__all__ = ["DiskReserve"]

log = logs.get("qcore.reserve")


class DiskReserve:
    """Watches the file system of `folder`; `wanted` megabytes are kept, None for the default."""

    def __init__(self, folder: str, wanted: int | None) -> None:
        self._folder = folder
        self._wanted = wanted
        self._looked = -budgets.DISK_LOOK_SECONDS
        self._left = 0
        """Bytes that may be taken before the next look."""
        self._full: str | None = None

    def problem(self, command: Command, size: int, waiting: int) -> DiskFull | None:
        """Why a command of `size` bytes cannot be taken now, with so many `waiting`; deletions always can."""
        now = time.monotonic()
        self._left -= size
        if now - self._looked >= budgets.DISK_LOOK_SECONDS or self._left < 0:
            self._looked = now
            self._look(size + waiting)
        if self._full is None or _frees(command):
            return None
        return DiskFull(f"{self._full}; deletions are taken all the same", applied="no")

    def _look(self, coming: int) -> None:
        found = space(self._folder)
        if found is None:
            return
        reserve = default_reserve(found.total) if self._wanted is None else self._wanted * budgets.MEGABYTE
        before = self._full
        self._full = None
        self._left = found.free - coming - reserve
        if reserve and self._left < 0:
            kept = f"{found.free // budgets.MEGABYTE} MB are free, {reserve // budgets.MEGABYTE} MB are kept in reserve"
            if coming >= budgets.MEGABYTE:
                kept = f"{coming // budgets.MEGABYTE} MB are to be written, {kept}"
            self._full = f"the disk of {self._folder} is full: {kept} (disk_reserve_mb)"
        if (before is None) != (self._full is None):
            word = self._full or f"the disk of {self._folder} has room again: writes are taken"
            log.warning("disk_full" if self._full else "disk_has_room", message=word, free=found.free)


def _frees(command: Command) -> bool:
    if isinstance(command, COMPOUND):
        return all(isinstance(step, Delete) or not isinstance(step, Command) for step in command.commands)
    return isinstance(command, Delete | SessionOpen)
