"""What forwarding needs of the link between nodes; all of it on the loop's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from qcore.model.errors import RequestError

__all__ = ["Asked", "ForwardLink", "Forwarded", "ReplyDone"]

ReplyDone = Callable[[int, bytes, RequestError | None], None]
"""Hears the place of a body among those sent together, and its reply or why there is none: exactly once for each.

An error says by `data.applied` whether the body may have arrived: `no` if it never left.
"""


class ForwardLink(Protocol):
    """Sends requests to other nodes, which are named by Raft NodeId."""

    def forward(self, node: int, bodies: Sequence[bytes], left: float, done: ReplyDone) -> None:
        """Send requests to a node, in their order and on one connection; none behind one that was lost.

        `done` hears of each of them in `left` seconds at the latest.
        """


class Asked(Protocol):
    """A request as it was sent."""

    @property
    def body(self) -> bytes:
        """What was sent."""

    @property
    def left(self) -> float:
        """Seconds in which the answer is of use."""


class Forwarded(Protocol):
    """A request that came from another node; exactly one of `answer` and `fail` follows."""

    @property
    def node(self) -> int:
        """Raft NodeId of the sender."""

    @property
    def call(self) -> Asked:
        """What it asks."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""

    def answer(self, body: bytes) -> None:
        """Answer it."""

    def fail(self, error: RequestError) -> None:
        """Answer it by an error."""
