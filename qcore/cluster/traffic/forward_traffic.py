"""Clients' requests on the link: those that go to other nodes, and those that come from them in batches."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from qcore.cluster.connections.connection import Connection
from qcore.cluster.connections.linked_nodes import LinkedNodes
from qcore.cluster.connections.messages import Request
from qcore.cluster.crossing import Crossing
from qcore.cluster.traffic.forwards import Forward, ForwardDone, Forwarded, TakeForwards
from qcore.model.errors import NoQuorum, NotInitialized, RequestError

__all__ = ["CALL", "ForwardTraffic"]

CALL = "call"
"""The kind of request on a connection."""


class ForwardTraffic:
    """All on the link's thread, but the answers to what came, which cross to it."""

    def __init__(self, nodes: LinkedNodes, take: TakeForwards, crossing: Crossing) -> None:
        self._nodes = nodes
        self._take = take
        self._crossing = crossing
        self._open: dict[Connection, dict[int, Forwarded]] = {}
        """What came and is not answered."""
        self._batch: list[Forwarded] = []
        """What came in this turn of the loop."""

    def ask(self, node: int, calls: Sequence[Forward], done: ForwardDone) -> None:
        """Send calls to a node; `done` hears of each of them once, by its deadline at the latest.

        They leave on one connection in their order; behind one for which there is no room none leaves.
        """
        connection = self._nodes.find(node, "forward")
        sending = connection is not None
        for place, call in enumerate(calls):
            hear = functools.partial(done, place)
            if connection is None or not sending:
                hear(b"", NoQuorum("the node that leads cannot be reached", applied="no"))
            else:
                sending = connection.ask(CALL, call.body, call.left, hear, call.session, call.epoch) is not None

    def asked(self, connection: Connection, request: Request) -> None:
        """Take a call from another node; all that come in one turn of the loop are one batch."""
        hello = connection.hello
        if hello is None or not self._nodes.same_cluster(hello):
            connection.fail(request.id, NotInitialized("the two nodes are not in one cluster", applied="no"))
            return
        call = Forward(request.body, request.left, request.session, request.epoch)
        forwarded = Forwarded(hello.node, call, functools.partial(self._answer, connection, request.id))
        self._open.setdefault(connection, {})[request.id] = forwarded
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._batch.append(forwarded)

    def cancelled(self, connection: Connection, id: int) -> None:
        """Nobody waits for the answer to a call any more."""
        forwarded = self._open.get(connection, {}).pop(id, None)
        if forwarded is not None:
            forwarded.cancelled = True

    def lost(self, connection: Connection) -> None:
        """Nobody waits for the answers to what came on a connection."""
        for forwarded in self._open.pop(connection, {}).values():
            forwarded.cancelled = True

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, []
        self._take(batch)

    def _answer(self, connection: Connection, id: int, body: bytes, error: RequestError | None = None) -> None:
        self._crossing.call(self._send_answer, connection, id, body, error)

    def _send_answer(self, connection: Connection, id: int, body: bytes, error: RequestError | None) -> None:
        if self._open.get(connection, {}).pop(id, None) is not None:
            connection.reply(id, body, error)
