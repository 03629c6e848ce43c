"""Warnings of slow work, few enough that they do not make it slower."""

from __future__ import annotations

import time

from qcore.server.calls import Call
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Debounce

__all__ = ["SlowLog"]

log = logs.get("qcore.node")


class SlowLog:
    """Logs each kind of slow work at most once in a while, and says how many cases were left out.

    The slowest of those left out is logged when the while is over, also if nothing slow has happened since.
    """

    def __init__(self) -> None:
        self._events: dict[str, _Event] = {}

    def tell(self, event: str, message: str, call: Call, seconds: float) -> None:
        """Warn that a call took `seconds`; the event loop runs."""
        found = self._events.get(event)
        if found is None:
            found = self._events[event] = _Event(event, message)
        found.add(call, seconds)


class _Event:
    """One kind of slow work."""

    def __init__(self, event: str, message: str) -> None:
        self._event = event
        self._message = message
        self._logged = -budgets.SLOW_LOG_SECONDS
        self._left_out = 0
        self._details: dict[str, object] = {}
        self._seconds = 0.0
        """Of the slowest case left out."""
        self._later = Debounce(budgets.SLOW_LOG_SECONDS, self._log_left_out)

    def add(self, call: Call, seconds: float) -> None:
        now = time.monotonic()
        if now - self._logged >= budgets.SLOW_LOG_SECONDS:
            self._log(_details(call), seconds)
            return
        self._left_out += 1
        if seconds > self._seconds:
            self._details, self._seconds = _details(call), seconds
        self._later.trigger()

    def _log_left_out(self) -> None:
        self._left_out -= 1
        self._log(self._details, self._seconds)

    def _log(self, details: dict[str, object], seconds: float) -> None:
        self._later.cancel()
        self._logged = time.monotonic()
        left_out, self._left_out, self._seconds = self._left_out, 0, 0.0
        log.warning(self._event, message=self._message, **details, ms=round(seconds * 1000), left_out=left_out)


def _details(call: Call) -> dict[str, object]:
    """What was asked for, of which entity if it is one, and by whom."""
    entity, client = getattr(call.params, "id", None), call.client
    found: dict[str, object] = {"method": call.method}
    if entity is not None:
        found["entity"] = str(entity)[: budgets.SLOW_PARAMS_CHARACTERS]
    if client is not None:
        found["client"] = client.name
    return found
