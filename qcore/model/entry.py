"""What the log orders: log ids, entries, votes and membership, as typed records.

No I/O here: `qcore.disk` gives these records their bytes on disk, `qcore.engine` their order.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.leader_commands import (
    CheckDigest,
    OpenEpoch,
    RaiseLevel,
    ReadmitDisk,
    RemoveDisk,
    RunStaged,
    StagePart,
)
from qcore.model.requests.commands import (
    Bootstrap,
    Create,
    Delete,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SessionOpen,
    SetFields,
)
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.restore import Restore

__all__ = [
    "FEATURE_LEVEL",
    "GENERATIONS",
    "Entry",
    "EntryBody",
    "LogId",
    "Logged",
    "Member",
    "Membership",
    "Vote",
    "generation_of",
    "public_id",
    "raft_node_id",
]

FEATURE_LEVEL = 6
"""Highest rules of apply this code knows; the level in force is part of the state.

2: epochs, session ids made of them, the state's time from `commands` entries alone.
3: what one command may do is bounded, complete types have so many fields, values are reset only where that is wanted.
4: digest checks compare what is replicated beside the digest, too.
6: the state lists the disks that were removed from the cluster.
"""

GENERATIONS = 65_536
"""Raft's NodeId is node id x GENERATIONS + generation: a new disk is a new node to Raft."""


def raft_node_id(node: int, generation: int) -> int:
    """Raft's NodeId of public id `node` on its `generation`-th disk."""
    return node * GENERATIONS + generation


def public_id(raft_node: int) -> int:
    """The id people see, from Raft's NodeId."""
    return raft_node // GENERATIONS


def generation_of(raft_node: int) -> int:
    """The number of the disk, from Raft's NodeId."""
    return raft_node % GENERATIONS


class LogId(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """Full log id; ordered by term, node, index, as OpenRaft orders leader ids."""

    term: int
    node: int
    index: int


class Vote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`committed`: a quorum granted it, so `node` led in `term`."""

    term: int
    node: int
    committed: bool


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Address hint ``host:port``, the disk's 128-bit incarnation in hex, and whether it is a witness, without state."""

    addr: str
    incarnation: str
    witness: bool = False


class Membership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Voter sets (two while joint) and every known node, voters and learners, by Raft NodeId."""

    configs: list[list[int]]
    nodes: dict[int, Member]

    @property
    def witnesses(self) -> set[int]:
        """Raft NodeIds of the witnesses."""
        return {node for node, member in self.nodes.items() if member.witness}

    def is_alone(self, node: int) -> bool:
        """Whether a node is the only voter, and there are no learners."""
        return self.configs == [[node]] and list(self.nodes) == [node]


Logged = (
    Create
    | Delete
    | SetFields
    | SchemaSet
    | SchemaDelete
    | FieldSet
    | SessionOpen
    | Bootstrap
    | Pipeline
    | Transaction
    | Restore
    | StagePart
    | RunStaged
    | CheckDigest
    | RaiseLevel
    | OpenEpoch
    | RemoveDisk
    | ReadmitDisk
)
"""Everything an entry may hold."""


class EntryBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An entry without its log id, in the order of its JSON on disk. `time` is ns since 1970, UTC.

    From level 2 on only the time of commands counts.
    """

    feature: int
    time: int
    kind: Literal["blank", "membership", "commands"]
    commands: list[Logged] = []
    membership: Membership | None = None


class Entry(msgspec.Struct):
    """One entry of the log; group commit puts the commands of many clients into one."""

    id: LogId
    body: EntryBody
