"""Who is connected, and how connections ended."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from qcore.server.client import Client

__all__ = ["ConnectedClients", "CutOff"]

CutOff = Literal["unread", "unfinished", "silent"]
"""Why this node ends a connection: answers are not read, a message is not finished, a ping is not answered."""


class ConnectedClients:
    """All clients of a node, those that came first in front.

    Attributes:
        opened: how many there have been since the start.
        cut_off: how many were cut off, by reason.
        requests: what those that are gone have asked for.
    """

    def __init__(self) -> None:
        self.all: dict[Client, None] = {}
        self.opened = 0
        self.cut_off: Counter[CutOff] = Counter()
        self._requests = 0

    def connected(self, client: Client) -> None:
        """Take in a client."""
        self.all[client] = None
        self.opened += 1

    def disconnected(self, client: Client) -> None:
        """Its connection is gone; nothing where it was known already."""
        if client in self.all:
            del self.all[client]
            self._requests += client.requests

    @property
    def requests(self) -> int:
        """Requests of all clients since the start."""
        return self._requests + sum(client.requests for client in self.all)
