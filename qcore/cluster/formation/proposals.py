"""The initial clusters that others propose to this node, and why it would not promise one."""

from __future__ import annotations

from collections.abc import Mapping

from qcore.cluster.formation.seen_nodes import SeenNodes
from qcore.cluster.formation.wish import nodes_text
from qcore.model.initial_cluster import Candidate, InitialCluster

__all__ = ["Proposals", "objection"]


class Proposals:
    """Those that name `own`: the newest of each proposer."""

    def __init__(self, own: Candidate) -> None:
        self._own = own
        self._newest: dict[str, InitialCluster] = {}

    def take(self, initial: InitialCluster) -> None:
        """Take one in; what does not concern this node, or an older one, is left out."""
        known = self._newest.get(initial.proposer)
        if initial.is_sound() and initial.names(self._own) and (known is None or known.number < initial.number):
            self._newest[initial.proposer] = initial

    def open(self, refused: Mapping[str, int]) -> list[InitialCluster]:
        """Those that are not refused yet, the one that goes on first."""
        found = (each for each in self._newest.values() if refused.get(each.proposer, 0) < each.number)
        return sorted(found, key=lambda initial: initial.rank)

    def clear(self) -> None:
        """None of them matters any more."""
        self._newest.clear()


def objection(own: Candidate, joins: bool, seen: SeenNodes, initial: InitialCluster) -> str:
    """Why a blank node does not promise, "" where it does."""
    if joins:
        return f"{own} only joins a cluster (bootstrap = join, or a cluster_id is set)"
    found = seen.in_clusters(initial.cluster)
    if found:
        return f"{own} sees {found[0].candidate} of cluster {found[0].cluster}, which blank nodes join"
    strangers = [] if initial.chosen else seen.strangers(initial)
    if strangers:
        listed = nodes_text(each.candidate for each in strangers)
        return f"{own} sees {listed}, blank and not on the list; name the ids, or all of --peers"
    return ""
