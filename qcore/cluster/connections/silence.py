"""Whether the other side of a connection is still there, sans-I/O.

A peer is heard by whatever comes from it. While something big is on its way to it, its answer to a ping stands behind
that, so there it is progress that counts: bytes that the other machine has confirmed while more are under way. Where
nothing is under way, what its kernel confirms says nothing of the process.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Silence"]


class Silence:
    """Looked at from time to time; pings after `ping` seconds of silence, gives up after `limit` seconds of it."""

    def __init__(self, ping: float, limit: float, now: float) -> None:
        self._ping = ping
        self._limit = limit
        self._alive = now
        """When there was a sign of life or of progress."""
        self._pinged: float | None = None
        self._delivered = 0

    def heard(self, now: float) -> None:
        """Bytes came."""
        self._alive = now
        self._pinged = None

    def look(self, now: float, delivered: int, outstanding: int) -> Literal["alive", "ping", "silent"]:
        """Judge, by the bytes that the other machine has confirmed since the beginning and those that it has not."""
        if outstanding and delivered > self._delivered:
            self._alive = now
        self._delivered = delivered
        if now - self._alive >= self._limit:
            return "silent"
        since = self._alive if self._pinged is None else self._pinged
        if now - since >= self._ping:
            self._pinged = now
            return "ping"
        return "alive"
