"""Which other nodes have said that their disk is below its reserve, sans-I/O.

The same entries are written on all disks. So what would fill the disk of any voter is refused by the leader, which is
told by each node: as long as its disk is below the reserve, again and again. Of whom nothing is heard any more nothing
is waited for: a node that is gone holds no writes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qcore.model.entry import public_id

__all__ = ["DiskReport", "FullDisks"]


class DiskReport(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a node says of its disk.

    Attributes:
        full: why nothing but deletions should be written, empty where there is room.
        last: why not even deletions, empty where there is room for them.
    """

    full: str = ""
    last: str = ""


class FullDisks:
    """The reports of other nodes, by Raft NodeId; each counts for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heard: dict[int, tuple[DiskReport, float]] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def note(self, node: int, report: DiskReport, now: float) -> None:
        """A node reports, at a monotonic time."""
        if report.full:
            self._heard[node] = report, now + self._seconds
        else:
            self._heard.pop(node, None)

    def of(self, nodes: Iterable[int], now: float) -> dict[int, DiskReport]:
        """Which of these nodes are below their reserve, by public id."""
        for node in [node for node, (_, until) in self._heard.items() if until <= now]:
            del self._heard[node]
        return {public_id(node): self._heard[node][0] for node in sorted(nodes) if node in self._heard}
