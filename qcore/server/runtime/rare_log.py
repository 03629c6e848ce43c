"""A kind of log line of which there may be many for nothing: few lines tell of all of them."""

from __future__ import annotations

import time
from typing import Any, Literal

import structlog

from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Debounce

__all__ = ["RareLog"]


class RareLog:
    """Tells of `event` at most once in a while, and says how many cases were left out; the last of these is told later.

    The event loop runs.
    """

    def __init__(self, log: structlog.stdlib.BoundLogger, event: str, level: Literal["info", "warning"]) -> None:
        self._log = log
        self._level = level
        self._event = event
        self._logged = -budgets.SLOW_LOG_SECONDS
        self._left_out = 0
        self._details: dict[str, Any] = {}
        """Of the last case left out."""
        self._later = Debounce(budgets.SLOW_LOG_SECONDS, self._tell_last)

    def tell(self, **details: Any) -> None:
        """Log a line, or count the case."""
        if time.monotonic() - self._logged >= budgets.SLOW_LOG_SECONDS:
            self._tell(details)
        else:
            self._left_out += 1
            self._details = details
            self._later.trigger()

    def _tell_last(self) -> None:
        self._left_out -= 1
        self._tell(self._details)

    def _tell(self, details: dict[str, Any]) -> None:
        self._later.cancel()
        self._logged = time.monotonic()
        left_out, self._left_out = self._left_out, 0
        getattr(self._log, self._level)(self._event, **details, left_out=left_out)
