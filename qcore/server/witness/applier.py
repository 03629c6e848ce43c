"""Passes over committed entries: of what they say only the membership and the feature level are kept."""

from __future__ import annotations

from collections.abc import Callable

from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import Entry, LogId
from qcore.server.calls import Call
from qcore.server.writes.applier import Applier
from qcore.store.state.state import State

__all__ = ["WitnessApplier"]


class WitnessApplier(Applier):
    """An `Applier` to which every entry is applied at once; its state stays empty."""

    def replay(self, entry: Entry) -> None:
        """Pass over an entry of the log at a start."""
        self._pass_over(entry.id, entry.body.feature)
        self._note_membership(entry)

    def apply(self, entry: Entry, calls: list[Call] | None) -> None:
        """Pass over a committed entry."""
        if not self._failed:
            self.replay(entry)
            self._host.entry_applied(entry.id)
            self._host.caught_up()

    def install(self, found: SnapshotFile, state: State, done: Callable[[], None]) -> None:
        """Take a snapshot for everything up to it; nothing of it is read but the header."""
        if not self._failed:
            header = found.header
            self.membership = header.membership, header.membership_id
            self._pass_over(header.last, header.feature)
            self._host.entry_applied(header.last)
            done()
            self._host.caught_up()

    def _pass_over(self, id: LogId, level: int) -> None:
        self._state.raise_level(level)
        self._state.entry_applied(id.index, self._state.time)
