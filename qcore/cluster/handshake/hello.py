"""What nodes tell each other before anything else, and why one of them may not be talked to."""

from __future__ import annotations

from typing import Literal

import msgspec

from qcore.model.entry import LogId, Vote, public_id

__all__ = ["CHANNELS", "PATH", "PROTOCOLS", "Channel", "Hello", "Reason", "Refusal", "common_protocol"]

PATH = "/raft"
"""Where a node's port takes peers, as a WebSocket."""

PROTOCOLS = ("qcore-link-1",)
"""WebSocket subprotocols of the link that this version speaks, the newest first; the number is the link's own."""

Channel = Literal["urgent", "append", "forward", "snapshot"]
"""What a connection is for. Each has a socket of its own, so that nothing big stands before a heartbeat."""

CHANNELS: tuple[Channel, ...] = ("urgent", "append", "forward", "snapshot")

Reason = Literal[
    "wrong_secret",
    "no_secret",
    "other_cluster",
    "removed",
    "second_incarnation",
    "second_run",
    "vote_behind",
    "log_behind",
    "no_common_version",
    "itself",
    "unreadable",
    "late",
    "crowded",
    "no_link",
    "stopping",
]
"""Why one node does not talk to another: a stable word."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who a node is. Covered by the proof of the secret as it was sent, byte for byte.

    Attributes:
        channel: what the connection is for; the answering side repeats it.
        nonce: 32 random bytes for this connection.
        cluster: 128-bit id of the cluster in hex, "" for a blank node.
        node: Raft NodeId, which holds the id that people see.
        incarnation: of its data directory.
        run: random hex of this start of the process.
        serial: number of this hello in that run; later ones have higher ones.
        levels: lowest and highest feature level that it can apply.
        vote: its durable vote, None while it has none.
        last: last log id that is durable there, None while the log is empty.
        addr: ``host:port`` at which it can be dialled.
        version: of qcore.
        clock: its time, ns since 1970.
        up: seconds since the process began, 0 where it does not say.
        witness: it is a witness, which keeps no state.
    """

    channel: Channel
    nonce: bytes
    cluster: str
    node: int
    incarnation: str
    run: str
    serial: int
    levels: tuple[int, int]
    vote: Vote | None
    last: LogId | None
    addr: str
    version: str
    clock: int
    up: float = 0.0
    witness: bool = False

    @property
    def id(self) -> int:
        """The id people see."""
        return public_id(self.node)


class Refusal(msgspec.Struct, frozen=True):
    """Why a node is not talked to; `message` says it to the operator in one line."""

    reason: Reason
    message: str


def common_protocol(offered: list[str]) -> str | Refusal:
    """The newest subprotocol of the link that both sides speak."""
    for protocol in PROTOCOLS:
        if protocol in offered:
            return protocol
    theirs = ", ".join(offered)[:100] or "none"
    return Refusal("no_common_version", f"this node speaks {', '.join(PROTOCOLS)}, the other one {theirs}")
