"""What the border wants of the main loop, turned into the engine's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Protocol

from qcore.disk.log.log import Log
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import Host
from qcore.engine.openraft.entries import raw_entry_parts
from qcore.engine.openraft.snapshots import SnapshotKeys
from qcore.model.entry import Entry, EntryBody, LogId
from qcore.model.errors import QcoreError

if TYPE_CHECKING:
    from qcore_openraft import AppliedParts, BodyParts, Border, RefusalParts

__all__ = ["CoreEvents", "MainItems"]


_BUILD_SECONDS = 1.0
"""After a snapshot that could not be taken."""


class CoreEvents(Protocol):
    """Who hears what becomes of proposals, calls and roles."""

    def committed(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Entries are committed, each with the token of its proposal or 0."""

    def returned(self, token: int, stretch: int) -> None:
        """A proposal was never appended."""

    def rejected(self, token: int, reason: str) -> None:
        """Nobody knows what becomes of a proposal."""

    def role(self, name: str, term: int, leader: int | None, leads: bool, members: list[int], stretch: int) -> None:
        """Who leads."""

    def done(self, call: int, index: int | None, refusal: RefusalParts | None) -> None:
        """What was asked is done."""

    def core_ended(self, reason: str | None) -> None:
        """The core is through."""


class MainItems:
    """See `qcore_openraft.MainHandler`."""

    def __init__(
        self,
        events: CoreEvents,
        border: Border,
        host: Host,
        log: Log,
        reader: Executor,
        snapshots: SnapshotKeys,
        read_body: Callable[[BodyParts, int, int], EntryBody],
    ) -> None:
        self._events = events
        self._border = border
        self._host = host
        self._log = log
        self._reader = reader
        self._snapshots = snapshots
        self._read_body = read_body
        self.returned = events.returned
        self.rejected = events.rejected
        self.done = events.done
        self.stopped = events.core_ended

    def started(self) -> None:
        """The core runs; what comes of it shows by itself."""

    def apply(self, entries: list[AppliedParts], /) -> None:
        """Entries are committed."""
        level = self._host.level()
        self._events.committed(
            [
                (token, Entry(LogId(term, node, index), self._read_body(body, index, level)))
                for term, node, index, token, body in entries
            ]
        )

    def role(
        self,
        name: str,
        term: int,
        leader: int | None,
        leads: bool,
        voters: list[int],
        learners: list[int],
        stretch: int,
        /,
    ) -> None:
        """Who leads."""
        self._events.role(name, term, leader, leads, [*voters, *learners], stretch)

    # -- the log's older entries, in a thread ----------------------------------------------------------------

    def read_log(self, id: int, start: int, stop: int, max_bytes: int, /) -> None:
        """Read entries that are not in memory any more."""
        self._reader.submit(self._read, id, start, stop, max_bytes)

    def _read(self, id: int, start: int, stop: int, max_bytes: int) -> None:
        try:
            found = self._log.read_range(start, stop, max_bytes)
            self._border.complete_read(id, [raw_entry_parts(raw) for raw in found])
        except QcoreError as error:
            self._border.fail(id, error.message)

    # -- snapshots -------------------------------------------------------------------------------------------

    def load(self, id: int, snapshot: int, /) -> None:
        """Have a received snapshot read."""

        def loaded(error: QcoreError | None) -> None:
            if error is None:
                self._border.complete([id])
            else:
                self._border.fail(id, error.message)

        self._host.load(self._snapshots.file(snapshot), loaded)

    def install(self, id: int, snapshot: int, /) -> None:
        """Have the snapshot that was read replace the state."""
        self._host.install(self._snapshots.file(snapshot), lambda: _complete(self._border, id))

    def build(self) -> None:
        """Have a snapshot taken; the host says so to the engine when it is durable, or is asked again later."""

        def built(found: SnapshotFile | None) -> None:
            if found is None:
                asyncio.get_running_loop().call_later(_BUILD_SECONDS, self.build)

        self._host.build(built)


def _complete(border: Border, id: int) -> None:
    border.complete([id])
