"""The log of a node that ran alone, before others are sent it.

At feature level 1 the time of blank and membership entries counts in the state. OpenRaft's own entries of these kinds
bear none, so whoever got such a log from it would come to another state. It is let go before anybody joins: a snapshot
is taken, and the log purged up to it.
"""

from __future__ import annotations

from collections.abc import Callable

from qcore.disk.log.log import Log
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.base import Engine
from qcore.model.entry import Membership
from qcore.store.apply import COMMAND_TIME_LEVEL

__all__ = ["LoneLog"]


class LoneLog:
    """`build` takes a snapshot now; see `Host.build`."""

    def __init__(
        self, log: Log, engine: Engine, build: Callable[[Callable[[SnapshotFile | None], None]], None]
    ) -> None:
        self._log = log
        self._engine = engine
        self._build = build
        self._shared = False
        self._building = False

    def may_be_shared(self, membership: Membership) -> bool:
        """Whether others may join; if not, what stands in the way is on its way out."""
        if not self._shared:
            self._shared = len(membership.nodes) > 1 or not self._is_old()
        if not self._shared and not self._building:
            self._building = True
            self._build(self._taken)
        return self._shared

    def _is_old(self) -> bool:
        first = self._log.first
        if first is None:
            return False
        entry = next(self._log.read(first.index, first.index + 1), None)
        return entry is not None and entry.body.feature < COMMAND_TIME_LEVEL

    def _taken(self, found: SnapshotFile | None) -> None:
        if found is None:
            self._building = False
        else:
            self._engine.purge(found.header.last)
