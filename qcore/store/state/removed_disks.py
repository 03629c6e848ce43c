"""The disks that were removed from the cluster: no member talks to them until they are readmitted.

A disk is known by its incarnation, so that another disk under the same node id is none of this list's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qcore.store.state.digest import removed_hash

__all__ = ["MAX_REMOVED", "REMOVED_LEVEL", "RemovedDisks"]

REMOVED_LEVEL = 6
"""Feature level from which on there is such a list."""

MAX_REMOVED = 1_000
"""The newest ones are kept."""


class RemovedDisks:
    """Of a state: Raft NodeIds by incarnation, the oldest first; `nodes` is replaced as a whole with each change."""

    def __init__(self) -> None:
        self.nodes: Mapping[str, int] = {}
        self.sum = 0
        """Of the hashes of all disks, for comparisons of replicas."""

    @property
    def all(self) -> list[tuple[str, int]]:
        """Each incarnation with the Raft NodeId that it had."""
        return list(self.nodes.items())

    def add(self, incarnation: str, node: int) -> None:
        """Note a disk; one that is listed already stays where it is."""
        if incarnation in self.nodes:
            return
        self.load([*self.all, (incarnation, node)][-MAX_REMOVED:])

    def readmit(self, incarnation: str) -> None:
        """Forget a disk, if it is listed."""
        self.load(each for each in self.all if each[0] != incarnation)

    def load(self, listed: Iterable[tuple[str, int]]) -> None:
        """Take the list of a snapshot."""
        self.nodes = dict(listed)
        self.sum = sum(removed_hash(*each) for each in self.all)
