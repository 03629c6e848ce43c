"""What connections and the node know of each other: the calls that go in, and the limits they come under."""

from __future__ import annotations

from typing import Protocol

import msgspec

from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.operations.request_counts import RequestCounts
from qcore.server.runtime.scheduler import Step

__all__ = ["Limits", "Service"]


class Limits(msgspec.Struct, frozen=True):
    """What a client may ask for.

    Args:
        request_timeout: seconds a request may take that names no time-out.
        max_batch: requests in a batch array.
        max_pipeline: commands in a pipeline or transaction.
        max_list: elements of a list.
        max_answer: bytes of answers after which a batch array gets no further ones.
    """

    request_timeout: float
    max_batch: int
    max_pipeline: int
    max_list: int
    max_answer: int


class Service(Protocol):
    """Where the calls of all connections are carried out; `counts` counts those that are answered."""

    counts: RequestCounts

    def connected(self, client: Client) -> None:
        """Take in a client: its connection is open."""

    def submit(self, call: Call) -> None:
        """Carry out a call whose params were read; it is answered at once or later, exactly once."""

    def schedule(self, step: Step) -> None:
        """Run `step` in slices of the loop's time until it returns False."""

    def disconnected(self, client: Client) -> None:
        """Free what is kept for a client: its connection is gone."""
