"""Who is connected: what the node knows of one client for as long as its connection lasts."""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.server.outbox import Outbox

__all__ = ["Client"]


class Client:
    """One connected client. Two connections of one program are two clients.

    `name` is what it calls itself, empty where it does not say; `address` is host and port of its end. `outbox` takes
    its events, `unsent` tells how many bytes its socket has not taken. `since` is when it connected, in ns, `requests`
    counts what it has asked for. `principal` is who it has proved to be: nobody, as there are no logins yet.
    """

    __slots__ = ("address", "name", "outbox", "principal", "requests", "since", "unsent")

    def __init__(self, name: str, address: str, outbox: Outbox, unsent: Callable[[], int] = lambda: 0) -> None:
        self.name = name
        self.address = address
        self.outbox = outbox
        self.unsent = unsent
        self.since = time.time_ns()
        self.requests = 0
        self.principal: None = None

    @property
    def closed(self) -> bool:
        """Whether its connection is gone."""
        return self.outbox.closed

    def close(self) -> None:
        """Its connection is gone: what it was not sent is forgotten."""
        self.outbox.close()
