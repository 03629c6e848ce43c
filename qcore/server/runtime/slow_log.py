"""Warnings of slow work, few enough that they do not make it slower."""

from __future__ import annotations

import time

from qcore.server.runtime import logs

__all__ = ["SlowLog"]

_PAUSE = 1.0
"""Seconds between two lines of one event."""

log = logs.get("qcore.node")


class SlowLog:
    """Logs an event at most once in a while; the next line says how many were left out since the last."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def tell(self, event: str, message: str, method: str, seconds: float) -> None:
        """Warn that a call of `method` took `seconds`."""
        now = time.monotonic()
        if now - self._told.get(event, -_PAUSE) < _PAUSE:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._told[event] = now
        left_out = self._left_out.pop(event, 0)
        log.warning(event, message=message, method=method, ms=round(seconds * 1000), left_out=left_out)
