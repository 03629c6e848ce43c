"""Exports: a client reads the JSON snapshot document of one revision in chunks, however much changes meanwhile.

An export pins the state until its last chunk was read, its client is gone, or nobody has read on for
`budgets.EXPORT_IDLE_SECONDS`. The chunk that was read last can be read again, so that a client may repeat a request
whose answer it lost.
"""

from __future__ import annotations

import re
import secrets

from qcore.model.errors import BadParams, Busy, NotFound
from qcore.model.requests.queries import SnapshotExport
from qcore.model.requests.results import ExportPage
from qcore.server.client import Client
from qcore.server.documents.kept import Kept
from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Work
from qcore.store.documents.export import Exported, export
from qcore.store.state.state import State

__all__ = ["Exports"]


_CURSOR = re.compile(r"c\.([0-9a-f]{1,16})\.([0-9]{1,9})")


class Exports:
    """The exports under way, at most `max_open` at a time."""

    def __init__(self, state: State, max_open: int) -> None:
        self._state = state
        self._max_open = max_open
        self._kept: Kept[_Export] = Kept(budgets.EXPORT_IDLE_SECONDS)

    def read(self, query: SnapshotExport, client: Client) -> Work[ExportPage]:
        """Read the chunk a cursor stands for, or the first one of a new export.

        Raises:
            NotFound: the export is over, or was not read on for too long.
            BadParams: the cursor is none, or that of a chunk long gone.
            Busy: too many exports are open.
        """
        if query.cursor is None:
            return self._begin(query, client).page(0)
        name, number = _parse(query.cursor)
        found = self._kept.use(name, client)
        if found is None:
            raise _gone()
        return found.page(number)

    def disconnected(self, client: Client) -> None:
        """End the exports of a client that is gone, unless it comes back in a moment."""
        self._kept.disconnected(client)

    def stop(self) -> None:
        """End all exports, so that the state is not pinned for them any more."""
        self._kept.stop()

    def _begin(self, query: SnapshotExport, client: Client) -> _Export:
        self._kept.drop_orphans(lambda: self._under_way() < self._max_open)
        if self._under_way() >= self._max_open:
            raise Busy(f"{self._max_open} exports are open already (max_exports); {self._kept.again()}")
        self._kept.drop_finished(lambda: len(self._kept) - self._under_way() <= self._max_open)
        name = secrets.token_hex(8)
        return self._kept.keep(name, lambda: _Export(self._state, name, query), client)

    def _under_way(self) -> int:
        return sum(not each.finished for each in self._kept.all())


class _Export:
    """One export; of the chunks that were read only the last one is kept."""

    def __init__(self, state: State, name: str, query: SnapshotExport) -> None:
        self._name = name
        self._view = state.pin()
        self._parts = export(self._view, runtime=query.runtime, ids=query.ids)
        self._released = False
        self._done: Exported | None = None
        self._number = 0
        self._next = bytearray()
        self._last: ExportPage | None = None

    @property
    def finished(self) -> bool:
        """Whether the last chunk was read."""
        return self._last is not None and self._last.cursor is None

    def page(self, number: int) -> Work[ExportPage]:
        """Read the chunk of this number, from 0: the next one, or the last one again.

        A read that is given up in the middle leaves what it made to the next one, and two may wait for the same chunk.
        """
        while number == self._number and self._done is None and len(self._next) < budgets.EXPORT_CHUNK_BYTES:
            self._make_more()
            yield
        if number == self._number and not self.finished:
            self._last = self._cut()
        if self._last is None or number != self._number - 1:
            raise BadParams(f"this export stands at chunk {self._number}; chunk {number} is asked")
        return self._last

    def _make_more(self) -> None:
        if self._released:
            raise _gone()
        try:
            self._next += next(self._parts)
        except StopIteration as end:
            self._done = end.value
            self.let_go()

    def _cut(self) -> ExportPage:
        page = ExportPage(self._view.revision, self._next.decode())
        self._next = bytearray()
        self._number += 1
        if self._done is None:
            page.cursor = f"c.{self._name}.{self._number}"
        else:
            page.entities, page.runtime, page.missing = self._done.entities, self._done.runtime, self._done.missing
        return page

    def let_go(self) -> None:
        """Pin the state no longer; the last chunk can still be read again."""
        self._released = True
        self._view.release()


def _gone() -> NotFound:
    return NotFound("this export is over, or was not read on for a minute; begin a new one without a cursor")


def _parse(cursor: str) -> tuple[str, int]:
    """Name of the export and number of the chunk."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise BadParams(f"{cursor[:60]!r} is no cursor of an export")
    return match[1], int(match[2])
