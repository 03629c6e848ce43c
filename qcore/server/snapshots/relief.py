"""Making room on a disk that is short of it, by letting old snapshots and the log go.

What a start does not need goes first: once the newest snapshot was read and is good, those before it, and the log up to
it. Where that is not enough and the state has shrunk, another snapshot is taken, and the same begins anew.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import Engine
from qcore.model.errors import Damaged
from qcore.server.runtime import budgets, logs

__all__ = ["Pause", "Relief", "Short", "Taker"]

log = logs.get("qcore.snapshots")


class Short(NamedTuple):
    """What the disk is short of.

    `last` is the last slice in bytes; `files` the same in files where it is short of these, else None. `urgent` says
    that deletions will have to wait if there is no more room soon. There are so many `entities`.
    """

    last: int
    files: int | None
    urgent: bool
    entities: int


class Pause:
    """When another try is worth it: a part of the time only, unless the state has become half of what it was."""

    def __init__(self) -> None:
        self._not_before = 0.0
        self._urgent_not_before = 0.0
        self._appended = -1
        self._entities = 0

    def is_over(self, now: float, appended: int, urgent: bool, entities: int) -> bool:
        """Whether to try now that so many bytes were appended; there is nothing new if none were."""
        if appended == self._appended:
            return False
        before = self._urgent_not_before if urgent else self._not_before
        return now >= before or 2 * entities <= self._entities

    def begun(self, appended: int, entities: int) -> None:
        """A try begins."""
        self._appended, self._entities = appended, entities

    def ended(self, now: float, took: float) -> None:
        """It took so many seconds."""
        self._urgent_not_before = now + max(budgets.RELIEF_SECONDS, took)
        self._not_before = now + max(budgets.RELIEF_SECONDS, budgets.RELIEF_PAUSE * took)


class Taker(Protocol):
    """Who takes snapshots."""

    async def in_thread(self, work: Callable[[], object]) -> None:
        """Have it done by the thread of snapshots."""

    def applied_index(self) -> int:
        """Log index up to which the state is applied."""

    async def measured(self) -> int:
        """Count the bytes of a snapshot of the present state."""

    def fits(self) -> bool:
        """Whether there is room for one, as far as is known."""

    async def taken(self) -> bool:
        """Take one; whether it is durable."""


class Relief:
    """Makes room when it is told to `begin`, one try at a time.

    Attributes:
        active: whether room is being made.
        in_vain: log index up to which it was found that a snapshot makes no room, -1 if it never was.
    """

    def __init__(self, directory: Directory, engine: Engine, taker: Taker) -> None:
        self._folder = directory.snapshots
        self._log = directory.log
        self._logs = str(directory.path / "logs")
        self._engine = engine
        self._taker = taker
        self._task: asyncio.Task[None] | None = None
        self._pause = Pause()
        self._stopped = False
        self._verified = ""
        """Path of the snapshot that was read last."""
        self._log_bytes = 0
        """What the entries take of the disk."""
        self._log_files = 0
        self.in_vain = -1

    def begin(self, short: Short) -> None:
        """Try unless it is done already, was just tried, or nothing was appended since."""
        now = time.monotonic()
        appended = self._engine.status().appended
        if self._task is None and self._pause.is_over(now, appended, short.urgent, short.entities):
            self._pause.begun(appended, short.entities)
            self._task = asyncio.get_running_loop().create_task(self._run(short, now))

    @property
    def active(self) -> bool:
        return self._task is not None

    async def stop(self) -> None:
        """End what is under way."""
        self._stopped = True
        task = self._task
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, short: Short, begun: float) -> None:
        try:
            await self._let_go()
            applied = self._taker.applied_index()
            if await self._is_worth_it(short) and self._taker.fits() and await self._taker.taken():
                await self._let_go()
            else:
                self.in_vain = applied
        except Exception as exc:
            log.error("relief_failed", message=f"Room could not be made on the disk: {exc!r}", exc_info=True)
        finally:
            self._task = None
            now = time.monotonic()
            self._pause.ended(now, now - begun)

    async def _is_worth_it(self, short: Short) -> bool:
        """Whether another snapshot makes room: instead of the newest one, and of the log up to now."""
        if short.files is not None and self._log_files > short.files // 2:
            return True
        newest = self._newest()
        gone = self._log_bytes + (0 if newest is None else newest.size)
        gain = gone - await self._taker.measured()
        return gain >= short.last // 2 and (short.urgent or 4 * gain >= gone)

    async def _let_go(self) -> None:
        """Remove what a start from the newest good snapshot does not need."""
        while (newest := self._newest()) is not None:
            try:
                await self._taker.in_thread(partial(self._examine, newest))
            except Damaged as problem:
                if newest in self._folder.found:
                    self._folder.discard(newest, problem)
                log.warning("snapshot_damaged", message=problem.message)
                continue
            if newest == self._newest():
                old = self._folder.older()
                self._engine.purge(newest.header.last)
                await self._taker.in_thread(partial(self._folder.remove, old))
            return
        await self._taker.in_thread(self._measure_log)

    def _newest(self) -> SnapshotFile | None:
        return self._folder.found[0] if self._folder.found else None

    def _examine(self, found: SnapshotFile) -> None:
        """Blocking: read a snapshot unless it was read before, and see how much the log takes."""
        if found.path != self._verified:
            for _ in self._folder.lines(found):
                if self._stopped:
                    return
            self._verified = found.path
        self._measure_log(found.header.last.index)

    def _measure_log(self, above: int = -1) -> None:
        """Blocking: count what the files of the log take, entry `above` and those below it left out."""
        size, count, last = 0, 0, self._log.last
        entries = range(above + 1, 0 if last is None else last.index + 1)
        with os.scandir(self._logs) as found:
            for each in found:
                number, _, _ = each.name.partition(".")
                if number.isdecimal() and int(number) in entries:
                    with suppress(OSError):  # purged meanwhile
                        size += each.stat(follow_symlinks=False).st_blocks * 512
                        count += 1
        self._log_bytes, self._log_files = size, count
