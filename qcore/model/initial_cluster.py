"""The initial cluster: the list of nodes that a new cluster is formed of, which each of them promises to be part of."""

from __future__ import annotations

import msgspec

from qcore.model.entry import Member, Membership, public_id

__all__ = ["Candidate", "InitialCluster"]


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node that may become a member.

    Attributes:
        node: Raft NodeId.
        incarnation: of its data directory, in hex: another disk is another candidate.
        addr: ``host:port`` at which it was reached.
    """

    node: int
    incarnation: str
    addr: str

    @property
    def id(self) -> int:
        """The id people see."""
        return public_id(self.node)

    def is_same_disk(self, other: Candidate) -> bool:
        """Whether both are one node on one disk, wherever it is reached."""
        return self.node == other.node and self.incarnation == other.incarnation

    def __str__(self) -> str:
        return f"node {self.id} ({self.addr})"


class InitialCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a node promises; known by proposer and number, and never changed.

    Attributes:
        proposer: incarnation of the member that proposed it.
        number: of its proposer's proposals, from 1; it makes another only when the one before can come to nothing.
        cluster: 128-bit id in hex that the cluster is going to have.
        members: all of them voters, by Raft NodeId.
        chosen: an operator has named the members, so that other blank nodes are none of their business.
    """

    proposer: str
    number: int
    cluster: str
    members: tuple[Candidate, ...]
    chosen: bool

    @property
    def ids(self) -> list[int]:
        """The ids that people see."""
        return [member.id for member in self.members]

    @property
    def rank(self) -> tuple[int, str, int]:
        """Of two that name the same node the lower one goes on: that of the lowest proposer."""
        node = next((member.node for member in self.members if member.incarnation == self.proposer), 0)
        return node, self.proposer, self.number

    def is_sound(self) -> bool:
        """Whether it is one at all: proposed by a member, and every id there once."""
        by_member = any(member.incarnation == self.proposer for member in self.members)
        return by_member and bool(self.cluster) and self.number > 0 and len(set(self.ids)) == len(self.ids)

    def names(self, candidate: Candidate) -> bool:
        """Whether this disk of this node is a member."""
        return any(member.is_same_disk(candidate) for member in self.members)

    def membership(self) -> Membership:
        """Entry 0 of the log that all members begin with."""
        nodes = {member.node: Member(member.addr, member.incarnation) for member in self.members}
        return Membership([sorted(nodes)], nodes)

    def __str__(self) -> str:
        *first, last = map(str, self.ids)
        listed = f"nodes {', '.join(first)} and {last}" if first else f"node {last} alone"
        return f"cluster {self.cluster[:8]} of {listed}"
