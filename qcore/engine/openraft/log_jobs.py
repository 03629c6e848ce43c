"""The log's thread between OpenRaft and the disk: what the border wants of the log becomes jobs of the one writer.

The writer's FIFO stays what it is; its thread waits at the border for the next item and completes towards Rust by
itself, so that no write waits for the loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty
from typing import TYPE_CHECKING

from qcore.disk.log.record import HEAD_SIZE
from qcore.disk.writer import Completion, DiskWriter, Job
from qcore.engine.openraft.entries import raw_entry
from qcore.model.entry import LogId, Vote

if TYPE_CHECKING:
    from qcore_openraft import Border, EntryParts

__all__ = ["LogItems", "LogJobs", "complete"]


class LogJobs:
    """See `qcore.disk.writer.Jobs`: jobs put here by any thread, and those that come over the border.

    `items` hears of the latter, and puts them here.
    """

    def __init__(self, border: Border) -> None:
        self.items: LogItems
        self._border = border
        self._jobs: deque[Job | None] = deque()

    def put(self, item: Job | None, /) -> None:
        """See `Jobs.put`."""
        self._jobs.append(item)
        self._border.wake_log()

    def get(self, block: bool = True, timeout: float | None = None) -> Job | None:
        """See `Jobs.get`. The end comes behind everything that waits at the border."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._jobs:
            left = None if end is None else end - time.monotonic()
            if not block or (left is not None and left <= 0):
                raise Empty
            self._border.wait_log(left)
            self._border.deliver_log(self.items)
        job = self._jobs.popleft()
        if job is None:
            self._border.deliver_log(self.items)
            if self._jobs:
                self._jobs.append(None)
                return self._jobs.popleft()
        return job

    def empty(self) -> bool:
        """See `Jobs.empty`; of what was put here."""
        return not self._jobs


class LogItems:
    """What the border wants of the log, asked of `writer`. `level` is the state's feature level.

    Attributes:
        appended: bytes of the entries that were asked for.
    """

    def __init__(self, writer: DiskWriter, level: Callable[[], int]) -> None:
        self.appended = 0
        self._writer = writer
        self._level = level

    def append(self, id: int, entries: list[EntryParts], /) -> None:
        """Store entries; one that no record may hold fails as a write of it would."""
        level = self._level()
        raws = [raw_entry(parts, level) for parts in entries]
        self.appended += sum(HEAD_SIZE + len(raw.body) for raw in raws)
        self._writer.append(raws, id)

    def truncate(self, id: int, index: int, /) -> None:
        """Remove entry `index` and all above it."""
        self._writer.truncate(index, id)

    def save_vote(self, id: int, term: int, node: int, committed: bool, /) -> None:
        """Store the vote."""
        self._writer.save_vote(Vote(term, node, committed), id)

    def purge(self, term: int, node: int, index: int, /) -> None:
        """Drop the log up to there."""
        self._writer.purge(LogId(term, node, index))

    def note_committed(self, term: int, node: int, index: int, /) -> None:
        """Take a hint for the next start."""
        self._writer.note_committed(LogId(term, node, index))


def complete(border: Border, completions: Sequence[Completion]) -> None:
    """Tell the border what is done, in the order in which it was."""
    border.complete([each.token for each in completions if each.error is None])
    for each in completions:
        if each.error is not None:
            border.fail(each.token, each.error.message)
