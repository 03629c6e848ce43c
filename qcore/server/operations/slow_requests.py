"""The requests that took long, the last ones: what the API's `slowlog` shows."""

from __future__ import annotations

import time
from collections import deque

from qcore.model.requests.results import SlowRequest
from qcore.model.times import format_time
from qcore.model.wire import decode_json, encode_json
from qcore.server.calls import Call
from qcore.server.runtime import budgets
from qcore.server.runtime.slow_log import SlowLog

__all__ = ["SlowRequests"]

_LEFT_OUT = frozenset({"method", "session", "seq", "acked", "hash"})
"""A session is its client's own."""


class SlowRequests:
    """Keeps the newest requests that took longer than `threshold` seconds, and warns of them in the log.

    Attributes:
        total: how many there were since the start.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.total = 0
        self._kept: deque[SlowRequest] = deque(maxlen=budgets.SLOW_REQUESTS)
        self._log = SlowLog()

    def add(self, call: Call, now: float) -> None:
        """Note a call that was answered at `now`, in monotonic seconds."""
        seconds = now - call.begun
        self.total += 1
        self._log.tell("slow_request", "A request took long", call, seconds)
        client, waited = call.client, min(call.started - call.begun, seconds)
        if call.writes and not waited:  # it never came to be applied
            waited = seconds
        self._kept.append(
            SlowRequest(
                time=format_time(time.time_ns() - int(seconds * 1e9)),
                method=call.method,
                seconds=round(seconds, 6),
                waited=round(waited, 6),
                carried_out=round(seconds - waited, 6),
                client="" if client is None else client.name,
                address="" if client is None else client.address,
                size=call.size,
                params=_shown(call),
                error=call.error or None,
            )
        )

    def newest(self, limit: int | None) -> list[SlowRequest]:
        """The newest ones, those first; at most `limit` of them."""
        found = list(reversed(self._kept))
        return found if limit is None else found[:limit]


def _shown(call: Call) -> str:
    """The beginning of the params, without what numbers a write; those of a long request are not written out."""
    if call.params is None or call.size > budgets.SLOW_PARAMS_BYTES:
        return ""
    try:
        params = decode_json(encode_json(call.params))
        text = encode_json({key: value for key, value in params.items() if key not in _LEFT_OUT}).decode()
    except (ValueError, TypeError):
        return ""
    most = budgets.SLOW_PARAMS_CHARACTERS
    return text if len(text) <= most else f"{text[:most]} ..."
