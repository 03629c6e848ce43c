"""Whether a silent client is still there: it is pinged after a while, and given up where it does not answer."""

from __future__ import annotations

import asyncio
from typing import Protocol

from qcore.server.runtime.timers import Alarm

__all__ = ["KeepAlive", "Pinged"]


class Pinged(Protocol):
    """What is needed of a connection to look after it."""

    def last_heard(self) -> float:
        """The loop's time when bytes came last: whoever sends is alive, pong or not."""

    def is_reading(self) -> bool:
        """Whether a pong could be heard."""

    def ping(self) -> None:
        """Ask the client for a pong."""

    def give_up(self) -> None:
        """Drop the client, which did not answer."""


class KeepAlive:
    """Pings after `interval` seconds of silence, and gives up where nothing was heard `timeout` seconds later."""

    def __init__(self, connection: Pinged, interval: float, timeout: float) -> None:
        self._connection = connection
        self._interval = interval
        self._timeout = timeout
        self._pinged: float | None = None
        """The loop's time of the last ping, until it is known to be answered or in vain."""
        self._alarm = Alarm()

    def start(self) -> None:
        """Look after the client from now on."""
        self._alarm.set(self._interval, self._check)

    def stop(self) -> None:
        """Look no more."""
        self._alarm.cancel()

    def _check(self) -> None:
        connection, now = self._connection, asyncio.get_running_loop().time()
        heard = connection.last_heard()
        pinged, self._pinged = self._pinged, None
        if not connection.is_reading():
            self._alarm.set(self._interval, self._check)
        elif pinged is not None and heard < pinged:
            connection.give_up()
        elif now - heard < self._interval:
            self._alarm.set(self._interval - (now - heard), self._check)
        else:
            self._pinged = now
            connection.ping()
            self._alarm.set(self._timeout, self._check)
