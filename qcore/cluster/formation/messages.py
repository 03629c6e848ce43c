"""What nodes say to each other while they form a cluster, and what the machine asks of the node around it."""

from __future__ import annotations

import msgspec

from qcore.disk.identity import Identity
from qcore.model.errors import RequestError
from qcore.model.initial_cluster import InitialCluster

__all__ = [
    "Action",
    "Ask",
    "InitDone",
    "Initialize",
    "Message",
    "Note",
    "Propose",
    "Save",
    "Send",
    "Standing",
    "decode",
    "encode",
]


class Ask(msgspec.Struct, tag="ask", frozen=True):
    """Where do you stand? Answered by a `Standing`."""


class Propose(msgspec.Struct, tag="propose", frozen=True):
    """Promise to be part of this initial cluster; sent by whoever has promised it. Answered by a `Standing`."""

    initial: InitialCluster


class Standing(msgspec.Struct, tag="standing", frozen=True, omit_defaults=True):
    """Where the sender stands, all of it durable there but the last two: promise, refusals, or the cluster it is in.

    Attributes:
        cluster: id of the cluster that it is a member of, "" while it is blank.
        promise: the initial cluster that it has promised to be part of.
        refused: by incarnation of the proposer the number up to which it refuses: none of these can ever be formed.
        joins: it never forms a cluster, and joins one only.
        objection: why it has refused last, for people.
    """

    cluster: str = ""
    promise: InitialCluster | None = None
    refused: dict[str, int] = {}
    joins: bool = False
    objection: str = ""

    def refuses(self, initial: InitialCluster) -> bool:
        """Whether the initial cluster can never be formed, for all that the sender has said."""
        elsewhere = self.cluster not in ("", initial.cluster)
        return elsewhere or self.refused.get(initial.proposer, 0) >= initial.number


Message = Ask | Propose | Standing

encode = msgspec.msgpack.Encoder(order="deterministic").encode
"""Give a message its bytes."""

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def decode(data: bytes) -> Message:
    """Return the message in these bytes.

    Raises:
        ValueError: they are none.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ValueError(f"no message of formation: {exc}") from None


class Save(msgspec.Struct, frozen=True):
    """Replace node.json durably, then say `saved`; until then the machine asks for nothing that depends on it."""

    identity: Identity


class Send(msgspec.Struct, frozen=True):
    """Send a message to a node, by Raft NodeId; it may get lost."""

    node: int
    message: Message


class Initialize(msgspec.Struct, frozen=True):
    """Have the engine begin the cluster with exactly this list, then say `initialized`.

    Others may do the same; an engine whose log is not empty is not asked again.
    """

    initial: InitialCluster


class InitDone(msgspec.Struct, frozen=True):
    """The operator's INIT is through, or why it is not."""

    error: RequestError | None


class Note(msgspec.Struct, frozen=True):
    """A line for the log: a stable word and a sentence."""

    event: str
    message: str


Action = Save | Send | Initialize | InitDone | Note
