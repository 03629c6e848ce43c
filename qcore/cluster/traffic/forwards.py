"""Requests of clients that go on to the node that leads: what the two ends see of the link.

The sender hands over what is ready as one batch, which travels in as few frames as it fits in. At the receiver all that
came in one turn of its loop is one batch again. Each call is answered by itself, as soon as it is done, so that a slow
one holds up nobody; answers that are ready together travel together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from qcore.cluster.traffic.questions import Answering
from qcore.model.errors import RequestError

__all__ = ["Forward", "ForwardDone", "Forwarded", "TakeForwards"]

ForwardDone = Callable[[int, bytes, RequestError | None], None]
"""Hears the place of a call in its batch, and its answer or error; exactly once for each.

It is called on the link's thread; where the link has ended, at once on the caller's.

An error of the link says by `data.applied` whether the call may have been carried out: `no` if it never left.
"""


class Forward(msgspec.Struct, frozen=True):
    """One call on its way to the leader.

    Attributes:
        body: the call, which only server rooms can read.
        left: seconds until its deadline.
        session: the session of a numbered write, None where it has none.
        epoch: the history its sender is in.
    """

    body: bytes
    left: float
    session: int | None = None
    epoch: str = ""


class Forwarded:
    """One call that came from another node: `node` is its Raft NodeId. Exactly one of `answer` and `fail` follows.

    `cancelled` turns true when nobody waits for the answer any more.
    """

    __slots__ = ("_done", "call", "cancelled", "node")

    def __init__(self, node: int, call: Forward, done: Answering) -> None:
        self.node = node
        self.call = call
        self.cancelled = False
        self._done = done

    def answer(self, body: bytes) -> None:
        """Answer it; from any thread."""
        self._done(body)

    def fail(self, error: RequestError) -> None:
        """Answer it by an error; from any thread."""
        self._done(b"", error)


TakeForwards = Callable[[Sequence[Forwarded]], None]
"""Takes a batch of calls, on the link's thread, and answers each of them later: it must not block."""
