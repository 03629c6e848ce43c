"""The nodes that this one can ask: by Raft NodeId, with the connections that it has dialled to them."""

from __future__ import annotations

from collections.abc import Callable

from qcore.cluster.connections.connection import Connection
from qcore.cluster.handshake.hello import Channel, Hello

__all__ = ["LinkedNodes"]

RAFT: tuple[Channel, ...] = ("urgent", "append")
"""What Raft cannot do without: only with both a node counts as reachable."""


class LinkedNodes:
    """At most one connection of each channel to each node.

    `set_link` hears of each node of this one's cluster whether Raft can reach it.
    """

    def __init__(self, set_link: Callable[[int, bool], None]) -> None:
        self.cluster = ""
        self._set_link = set_link
        self._channels: dict[int, dict[Channel, Connection]] = {}
        self._up: set[int] = set()

    def add(self, connection: Connection) -> bool:
        """Take in a dialled connection; False if its node has one of that channel already."""
        hello, channel = connection.hello, connection.channel
        if hello is None or channel is None:
            return False
        channels = self._channels.setdefault(hello.node, {})
        if channel in channels:
            return False
        channels[channel] = connection
        self._judge(hello.node)
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was lost."""
        hello, channel = connection.hello, connection.channel
        if hello is None or channel is None:
            return
        channels = self._channels.get(hello.node, {})
        if channels.get(channel) is connection:
            del channels[channel]
            self._judge(hello.node)
            if not channels:
                self._channels.pop(hello.node, None)

    def find(self, node: int, channel: Channel) -> Connection | None:
        """The connection on which a node is asked."""
        return self._channels.get(node, {}).get(channel)

    def urgent(self) -> list[Connection]:
        """The urgent connections to all nodes that are linked."""
        return [channels["urgent"] for channels in self._channels.values() if "urgent" in channels]

    def is_up(self, node: int) -> bool:
        """Whether Raft can reach a node."""
        return node in self._up

    def same_cluster(self, hello: Hello) -> bool:
        """Whether a node belongs to this one's cluster; blank ones belong to none."""
        return bool(self.cluster) and hello.cluster == self.cluster

    def _judge(self, node: int) -> None:
        channels = self._channels.get(node, {})
        found = [channels.get(channel) for channel in RAFT]
        up = all(one is not None and one.hello is not None and self.same_cluster(one.hello) for one in found)
        if up != (node in self._up):
            self._up.symmetric_difference_update({node})
            self._set_link(node, up)
