"""What clients have begun to send and not finished: bounded over all connections, in bytes and in time.

A message is not there for anybody before its last byte has come, and a client may never send that one.
"""

from __future__ import annotations

import time
from typing import Protocol

from websockets.frames import CloseCode

from qcore.server.runtime import budgets, logs
from qcore.server.runtime.rare_log import RareLog
from qcore.server.runtime.timers import Periodic

__all__ = ["Sender", "Unfinished"]

log = logs.get("qcore.websocket")


class Sender(Protocol):
    """What is needed of a connection whose message is not finished."""

    peer: str
    """Host and port of the client."""

    def is_reading(self) -> bool:
        """Whether the message could be finished: nothing is read from a client that has too much under way."""

    def cut_off_unfinished(self, code: int, reason: str) -> None:
        """Let go of the message, and of the client with it."""


class Unfinished:
    """The unfinished messages of all connections: at most `max_bytes` together, else the oldest one goes.

    Each is to be finished within `budgets.MESSAGE_SECONDS`.
    """

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        """Bytes of all of them."""
        self._max_bytes = max_bytes
        self._sizes: dict[Sender, int] = {}
        self._begun: dict[Sender, float] = {}
        """Monotonic time at which each began, the oldest first."""
        self._log = RareLog(log, "message_cut_off", "warning")
        self._sweep = Periodic(budgets.MESSAGE_SECONDS / 4, self._look)

    def note(self, sender: Sender, size: int, anew: bool) -> None:
        """Note that `size` bytes of its message have come; `anew` where the one that was noted before is finished."""
        if not size:
            self.forget(sender)
            return
        self.size += size - self._sizes.get(sender, 0)
        self._sizes[sender] = size
        if anew or sender not in self._begun:
            self._begin(sender)
        self._sweep.start()
        while self.size > self._max_bytes:
            self._cut_off(
                next(iter(self._begun)),
                CloseCode.TRY_AGAIN_LATER,
                f"all unfinished messages together have more than {self._max_bytes} bytes, and this is the oldest",
            )

    def forget(self, sender: Sender) -> None:
        """Its message is finished, or nobody waits for it any more."""
        self.size -= self._sizes.pop(sender, 0)
        self._begun.pop(sender, None)

    def _begin(self, sender: Sender) -> None:
        self._begun.pop(sender, None)
        self._begun[sender] = time.monotonic()

    def _cut_off(self, sender: Sender, code: int, reason: str) -> None:
        size = self._sizes.get(sender, 0)
        self._log.tell(message=f"Client {sender.peer} is cut off: {reason}", bytes=size)
        self.forget(sender)
        sender.cut_off_unfinished(code, reason)

    def _look(self) -> bool:
        """Cut off those that take too long; where the server does not read, the time begins anew."""
        latest = time.monotonic() - budgets.MESSAGE_SECONDS
        for sender, begun in list(self._begun.items()):
            if not sender.is_reading():
                self._begin(sender)
            elif begun <= latest:
                reason = f"a message was not finished within {budgets.MESSAGE_SECONDS:g} s"
                self._cut_off(sender, CloseCode.POLICY_VIOLATION, reason)
        return bool(self._sizes)
