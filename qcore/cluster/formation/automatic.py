"""When a node proposes a cluster by itself, without an operator: `--auto-init`."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from qcore.cluster.formation.seen_nodes import SeenNode, SeenNodes
from qcore.cluster.formation.wish import nodes_text
from qcore.model.initial_cluster import Candidate

__all__ = ["Automatic"]


class Automatic(msgspec.Struct, frozen=True):
    """After so many ticks of listening the lowest of at least `min_nodes` blank nodes proposes all that it sees.

    One that has met a member of a cluster never proposes, also where that member is gone again: it may come back.

    Attributes:
        min_nodes: this node counts.
        settle_ticks: before a node proposes alone, those that start at the same time can be found.
    """

    min_nodes: int
    settle_ticks: int

    def members(self, own: Candidate, peers: Collection[str], seen: SeenNodes) -> tuple[Candidate, ...] | None:
        """Whom `own` proposes now, None while it must not."""
        others = _others(own, seen)
        if seen.ever_in_clusters() or _unmet(peers, seen) or len(others) + 1 < self.min_nodes:
            return None
        if any(each.candidate.node < own.node or not each.is_blank() for each in others):
            return None
        return (own, *(each.candidate for each in others))

    def gathered(self, own: Candidate, seen: SeenNodes) -> tuple[int, int]:
        """How many nodes are there, and how many are needed."""
        return len(_others(own, seen)) + 1, self.min_nodes

    def missing(self, own: Candidate, peers: Collection[str], seen: SeenNodes) -> str:
        """A sentence on what is waited for."""
        found, others = seen.ever_in_clusters(), _others(own, seen)
        if found:
            gone = "" if any(each.up for each in found) else ", which cannot be reached"
            return f"{own} waits to be taken in by cluster {found[0].cluster} of {found[0].candidate}{gone}"
        unmet, count = _unmet(peers, seen), len(others) + 1
        if count < self.min_nodes:
            more = self.min_nodes - count
            return f"{count} of at least {self.min_nodes} nodes are there (min_nodes): {more} more must be started"
        if unmet:
            return f"a cluster is formed once all peers have answered: {', '.join(unmet)} was not reached"
        lower = [each.candidate for each in others if each.candidate.node < own.node]
        if lower:
            return f"a cluster is about to be formed by {lower[0]}"
        silent = nodes_text(each.candidate for each in others if not each.is_blank())
        return f"a cluster is about to be formed; {silent or 'nobody'} has not answered"


def _others(own: Candidate, seen: SeenNodes) -> list[SeenNode]:
    """The blank nodes that are linked and may form a cluster, by Raft NodeId."""
    found = (each for each in seen.linked() if not each.cluster and not each.only_joins())
    return [each for each in found if not each.candidate.is_same_disk(own)]


def _unmet(peers: Collection[str], seen: SeenNodes) -> list[str]:
    """The addresses of `--peers` behind which nobody is linked."""
    return [address for address in peers if (each := seen.at(address)) is None or not each.up]
