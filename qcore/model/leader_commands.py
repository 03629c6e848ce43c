"""Commands that no client sends: the leader proposes them for its own ends, and every replica applies them.

A command too long for one entry travels as parts: its JSON is cut into `StagePart` commands, and a `RunStaged` behind
them carries it out as if it stood there itself.
"""

from __future__ import annotations

import msgspec

from qcore.model.requests.commands import Command

__all__ = [
    "CheckDigest",
    "OpenEpoch",
    "RaiseLevel",
    "ReadmitDisk",
    "RemoveDisk",
    "RestDigest",
    "RunStaged",
    "StagePart",
]


class RestDigest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is replicated and not in the digest, when the log was applied up to an index: it goes with that, not with
    the revision.

    Attributes:
        time: that of the state, ns since 1970, UTC.
        level: the feature level in force.
        sessions: hash of all sessions and of which of their numbers were answered, 128 bits in hex.
        staged: the same of the parts of long commands.
        epochs: the same of the names of histories.
        removed: the same of the disks that were removed; empty at levels without them.
    """

    time: int
    level: int
    sessions: str
    staged: str
    epochs: str
    removed: str = ""


class StagePart(Command, tag="stage"):
    """Part number `part`, from 0, of the command that is staged under a name the leader made up."""

    method = "stage"

    stage: str
    part: int
    text: str


class RunStaged(Command, tag="commit"):
    """Carry out the command whose `parts` are staged."""

    method = "commit"

    stage: str
    parts: int


class CheckDigest(Command, tag="check"):
    """The leader's digest in hex when it had applied the log up to `index`: who has another one stops.

    From level 4 on it goes for what is not in the digest, too.
    """

    method = "check"

    index: int
    digest: str
    rest: RestDigest | None = None


class RaiseLevel(Command, tag="raise"):
    """Put the rules of feature level `level` in force, as every node knows them."""

    method = "raise"

    level: int


class OpenEpoch(Command, tag="epoch"):
    """Open a leadership: 16 lower hex digits by chance that name the history from the next revision on."""

    method = "epoch"

    epoch: str


class RemoveDisk(Command, tag="remove_disk"):
    """Take a disk out of the cluster for good: the node `node` (Raft NodeId) with that incarnation."""

    method = "remove_disk"

    node: int
    incarnation: str


class ReadmitDisk(Command, tag="readmit_disk"):
    """Let a disk that was removed be a member again."""

    method = "readmit_disk"

    incarnation: str
