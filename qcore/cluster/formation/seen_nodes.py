"""The other nodes as formation sees them: who was met where, and where each one said that it stands."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qcore.cluster.formation.messages import Standing
from qcore.model.initial_cluster import Candidate, InitialCluster

__all__ = ["SeenNode", "SeenNodes"]


class SeenNode(msgspec.Struct):
    """One node on one disk.

    Attributes:
        candidate: who it is.
        cluster: id of the cluster that it is in, "" while it is blank.
        up: whether there is a link to it.
        standing: what it said last, None before.
        asked: what it says is awaited anew.
    """

    candidate: Candidate
    cluster: str = ""
    up: bool = False
    standing: Standing | None = None
    asked: bool = False

    def is_blank(self) -> bool:
        """Whether it has answered, since it was asked last, that it may be named in an initial cluster."""
        standing = self.standing
        return standing is not None and not self.asked and not (self.cluster or standing.promise or standing.joins)

    def only_joins(self) -> bool:
        """Whether it has said that it never forms a cluster."""
        return self.standing is not None and self.standing.joins


class SeenNodes:
    """By Raft NodeId; where a node comes back on another disk, the newest."""

    def __init__(self) -> None:
        self._nodes: dict[int, SeenNode] = {}
        self._at: dict[str, int] = {}
        """Raft NodeId by address that was dialled."""

    def met(self, candidate: Candidate, cluster: str, address: str | None) -> None:
        """A node was linked, at this address if it was dialled."""
        seen = self._entry(candidate)
        seen.up = True
        seen.cluster = seen.cluster or cluster
        if address is not None:
            self._at[address] = candidate.node

    def lost(self, node: int) -> None:
        """There is no link to a node any more."""
        if node in self._nodes:
            self._nodes[node].up = False

    def heard(self, sender: Candidate, standing: Standing) -> None:
        """A node has said where it stands."""
        seen = self._entry(sender)
        seen.cluster = seen.cluster or standing.cluster
        seen.standing, seen.asked = standing, False

    def ask_anew(self) -> None:
        """What was said so far does not count as an answer any more."""
        for seen in self._nodes.values():
            seen.asked = True

    def find(self, candidate: Candidate) -> SeenNode | None:
        """The node, if it was seen on this disk."""
        seen = self._nodes.get(candidate.node)
        return seen if seen is not None and seen.candidate.is_same_disk(candidate) else None

    def at(self, address: str) -> SeenNode | None:
        """The node that was met at an address."""
        return self._nodes.get(self._at.get(address, 0))

    def by_id(self, id: int) -> SeenNode | None:
        """The linked node with the id that people see."""
        return next((seen for seen in self.linked() if seen.candidate.id == id), None)

    def linked(self) -> Iterable[SeenNode]:
        """Those to which there is a link, by Raft NodeId."""
        return [seen for _, seen in sorted(self._nodes.items()) if seen.up]

    def in_clusters(self, cluster: str = "") -> list[SeenNode]:
        """Those that are linked and members of another cluster than this one."""
        return [seen for seen in self.linked() if seen.cluster not in ("", cluster)]

    def ever_in_clusters(self) -> list[SeenNode]:
        """Members of any cluster that were met, those that are linked first."""
        return sorted((seen for seen in self._nodes.values() if seen.cluster), key=lambda seen: not seen.up)

    def strangers(self, initial: InitialCluster) -> list[SeenNode]:
        """Those that are linked and blank, may form a cluster, and are not on a list."""
        found = (seen for seen in self.linked() if not seen.cluster and not seen.only_joins())
        return [seen for seen in found if not initial.names(seen.candidate)]

    # -- of an initial cluster -------------------------------------------------------------------------------

    def without_promise(self, initial: InitialCluster, own: Candidate) -> list[Candidate]:
        """The members but `own` whose promise is not known: that of the proposer is what the proposal began with."""
        return [
            member
            for member, seen in self._members(initial, own)
            if member.incarnation != initial.proposer and (seen is None or seen.promise != initial)
        ]

    def refusal(self, initial: InitialCluster, own: Candidate) -> str:
        """Why a member but `own` refuses for ever, "" while none does."""
        for member, seen in self._members(initial, own):
            if seen is not None and seen.refuses(initial):
                return seen.objection or f"{member} is part of another cluster"
        return ""

    def formed(self, initial: InitialCluster, own: Candidate) -> bool:
        """Whether a member but `own` is known to be in the cluster already: then all promises were there."""
        found = (self.find(member) for member in initial.members if member.node != own.node)
        return any(seen is not None and seen.cluster == initial.cluster for seen in found)

    def _members(self, initial: InitialCluster, own: Candidate) -> Iterable[tuple[Candidate, Standing | None]]:
        for member in initial.members:
            if member.node != own.node:
                seen = self.find(member)
                yield member, None if seen is None else seen.standing

    def _entry(self, candidate: Candidate) -> SeenNode:
        seen = self.find(candidate)
        if seen is None:
            seen = self._nodes[candidate.node] = SeenNode(candidate, asked=True)
        elif candidate.addr:
            seen.candidate = candidate
        return seen
