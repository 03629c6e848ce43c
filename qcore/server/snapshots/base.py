"""What a node needs of its snapshots, whether it takes them or, as a witness, keeps those of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.space import Space
from qcore.model.entry import LogId
from qcore.server.calls import Call

__all__ = ["AskSnapshot", "Snapshots"]

AskSnapshot = Callable[[int], None]
"""Asks another node for a snapshot that goes beyond a log index; it comes later, or not."""


class Snapshots(Protocol):
    """The snapshots of a node.

    Attributes:
        succeeded, failures: how many became durable, and how many did not.
        seconds: how long the last one took.
    """

    succeeded: int
    failures: int
    seconds: float

    @property
    def running(self) -> bool:
        """Whether one is being written."""

    @property
    def newest(self) -> SnapshotFile | None:
        """The one with the highest log index."""

    def started(self) -> None:
        """The log is read."""

    def replayed(self, last: LogId) -> None:
        """An entry of the log on disk is applied."""

    def applied(self, last: LogId) -> None:
        """An entry is applied and nothing of the next one is."""

    def take(self, call: Call) -> None:
        """Take one for a client."""

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        """See `Host.build`."""

    def installed(self, found: SnapshotFile) -> None:
        """A snapshot that another node sent is installed."""

    async def stop(self, limit: float) -> bool:
        """End in `limit` seconds at the most; whether the disk let go."""

    def expected(self) -> int:
        """See `NextSnapshot.expected`."""

    def pending(self, found: Space) -> int:
        """See `NextSnapshot.pending`."""

    def deletes(self, size: int) -> None:
        """See `NextSnapshot.deletes`."""

    def relieve(self, found: Space) -> None:
        """See `NextSnapshot.relieve`."""
