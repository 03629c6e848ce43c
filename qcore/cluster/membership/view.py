"""What a leader knows of its cluster at one moment, and what it can do about the membership."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from qcore.model.entry import Membership, public_id

__all__ = [
    "AddLearner",
    "Admit",
    "Change",
    "HandOver",
    "LeaveJoint",
    "LinkedNode",
    "ListRemoved",
    "Promote",
    "Remove",
    "SetAddress",
    "View",
]


class LinkedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has proved the secret and is linked.

    Attributes:
        node: Raft NodeId.
        cluster: the one that it belongs to, "" for a blank node.
        addr: ``host:port`` that it tells others.
        reached: whether that address was found to lead to it.
        level: highest feature level that it can apply.
        lag: entries that it has to store yet, None where that is not known.
        witness: whether it keeps no state.
    """

    node: int
    incarnation: str
    cluster: str
    addr: str
    reached: bool = True
    level: int = 0
    lag: int | None = None
    witness: bool = False

    @property
    def id(self) -> int:
        """The id people see."""
        return public_id(self.node)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The committed membership, and all that decides how it is to change.

    Attributes:
        node, addr: of the leader itself.
        level: feature level of the state.
        removed: Raft NodeIds of the disks that were removed, by incarnation.
        linked: the other nodes that are linked now.
        last: index of the last entry of the leader's log.
        lists_removed: whether the state has a list of removed disks yet.
        max_voters: beyond it nodes stay learners.
    """

    node: int
    addr: str
    cluster: str
    level: int
    membership: Membership
    removed: Mapping[str, int]
    linked: tuple[LinkedNode, ...]
    last: int
    lists_removed: bool = True
    max_voters: int = 5

    @property
    def voters(self) -> list[int]:
        """Raft NodeIds of all that vote, in the old membership or the new one while it is joint."""
        return sorted({node for config in self.membership.configs for node in config})

    @property
    def learners(self) -> list[int]:
        """Raft NodeIds of the members without a vote."""
        return sorted(self.membership.nodes.keys() - set(self.voters))

    def is_witness(self, node: int) -> bool:
        """Whether a member keeps no state."""
        return self.membership.nodes[node].witness

    def is_removed(self, node: int) -> bool:
        """Whether a member is to be taken out."""
        return self.membership.nodes[node].incarnation in self.removed

    def member(self, node: int) -> LinkedNode | None:
        """A member that is linked, with the disk that it has in the membership."""
        for each in self.linked:
            if each.node == node and self.is_member(each) and each.cluster == self.cluster:
                return each
        return None

    def is_member(self, found: LinkedNode) -> bool:
        """Whether a linked node is in the membership with its disk."""
        known = self.membership.nodes.get(found.node)
        return known is not None and known.incarnation == found.incarnation

    def of_id(self, id: int) -> int | None:
        """Raft NodeId of the member that people know by an id."""
        return max((node for node in self.membership.nodes if public_id(node) == id), default=None)


class LeaveJoint(msgspec.Struct, frozen=True):
    """Finish a change that another leader has begun."""


class HandOver(msgspec.Struct, frozen=True):
    """Let the voter `node` lead, as this one is to be removed."""

    node: int


class ListRemoved(msgspec.Struct, frozen=True):
    """Put the disk of a member on the list of removed ones, as another disk has taken its place."""

    node: int
    incarnation: str


class Remove(msgspec.Struct, frozen=True):
    """Take a member out, whose disk is on the list of removed ones."""

    node: int


class SetAddress(msgspec.Struct, frozen=True):
    """Note the address at which a member is reached now."""

    node: int
    addr: str


class Admit(msgspec.Struct, frozen=True):
    """Offer the blank node `linked` to belong to this cluster, from then on as the Raft NodeId `node`."""

    linked: int
    node: int


class AddLearner(msgspec.Struct, frozen=True):
    """Let a node that belongs to this cluster be a member, without a vote at first."""

    node: int
    addr: str
    incarnation: str
    witness: bool = False


class Promote(msgspec.Struct, frozen=True):
    """Give a learner a vote."""

    node: int


Change = LeaveJoint | HandOver | ListRemoved | Remove | SetAddress | AddLearner | Promote
"""One step of the task; the next one is decided when it is committed."""
