"""Requests about the cluster, as typed records, and their answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.requests.queries import Query

__all__ = [
    "ClusterAdd",
    "ClusterFormed",
    "ClusterInit",
    "ClusterMember",
    "ClusterPromote",
    "ClusterRemove",
    "ClusterState",
    "ClusterStatus",
    "ClusterTransfer",
    "ClusterTransferred",
    "MemberState",
]


class ClusterStatus(Query, tag="cluster.status"):
    """Who is in the cluster, how they fare, and what the next failure would do."""


class ClusterInit(Query, tag="cluster.init"):
    """Form a cluster of blank nodes: of exactly these `ids`, or of all `--peers` and all others that are linked."""

    ids: list[int] = []


class ClusterTransfer(Query, tag="cluster.transfer"):
    """Hand leadership to the voter with this id."""

    id: int


class ClusterAdd(Query, tag="cluster.add"):
    """Have the node with this id be a member; one that was removed is let in again."""

    id: int


class ClusterRemove(Query, tag="cluster.remove"):
    """Take the node with this id out of the cluster; it stops, and only `cluster.add` brings its disk back."""

    id: int


class ClusterPromote(Query, tag="cluster.promote"):
    """Give the learner with this id a vote as soon as it has caught up, however many nodes vote already."""

    id: int


class ClusterMember(msgspec.Struct):
    """A member: `lag` counts log entries behind the leader, as far as this node knows; `waiting` why it has no vote.

    `disk` is why its disk takes nothing but deletions, where it says so; such a voter holds the writes of all. A
    `witness` votes and keeps no state.
    """

    node: int
    addr: str
    role: str
    vote: Literal["voter", "learner"]
    lag: int
    alive: bool
    waiting: str | None = None
    disk: str | None = None
    witness: bool = False


class ClusterState(msgspec.Struct):
    """Answer of `cluster.status`, as `node` sees it.

    `formation` is where the node stands: blank, proposing, promised, or member of `cluster`. `tolerates` counts the
    voters that may fail now before nothing can be written, below 0 where that is so; `outlook` says in a sentence what
    the next failure does and what to do against it, `waiting` what this node waits for.
    """

    node: int
    cluster: str
    formation: Literal["blank", "proposing", "promised", "member"]
    role: str
    leader: int | None
    term: int
    members: list[ClusterMember]
    tolerates: int
    outlook: str
    waiting: str | None = None


class ClusterFormed(msgspec.Struct):
    """Answer of `cluster.init`: the id of the cluster that begins."""

    cluster: str


class ClusterTransferred(msgspec.Struct):
    """Answer of `cluster.transfer`: the id of the node that leads now."""

    leader: int


class MemberState(msgspec.Struct):
    """Answer of `cluster.add`, `cluster.remove` and `cluster.promote`: what the node is now.

    `vote` is none for a node that is no member; `waiting` says why it has no vote.
    """

    node: int
    vote: Literal["voter", "learner", "none"]
    waiting: str | None = None
