"""What a connection has been told but not been sent: the events of its listeners, apart from its answers.

The connection takes them as its socket has room, so that `size` says how far the client is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Outbox"]


class Outbox:
    """One connection's events on their way. `wake` is called when there is something to take."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.listeners: dict[int, Any] = {}
        """By token; these and the lane are the watching's business."""
        self.queue: Any = None
        self.size = 0
        """Bytes not taken yet."""
        self.closed = False
        self._wake = wake
        self._messages: deque[tuple[int, bytes]] = deque()
        self._holds = 0
        self._waiting: dict[Callable[[], None], int] = {}

    def put(self, token: int, text: bytes) -> None:
        """Add one message of a listener."""
        if self.closed:
            return
        self.size += len(text)
        self._messages.append((token, text))
        if len(self._messages) == 1 and not self._holds:
            self._wake()

    def take(self, most: int) -> list[bytes]:
        """The next messages, up to `most` bytes and one message more."""
        messages = self._messages
        taken: list[bytes] = []
        if self._holds or not messages:
            return taken
        size = 0
        while messages and size < most:
            text = messages.popleft()[1]
            size += len(text)
            taken.append(text)
        self.size -= size
        if self._waiting:
            self._tell()
        return taken

    def drop(self, token: int) -> None:
        """Forget what a listener has not been sent."""
        kept = [message for message in self._messages if message[0] != token]
        if len(kept) < len(self._messages):
            self._messages = deque(kept)
            self.size = sum(len(text) for _, text in kept)
            self._tell()

    def wait(self, size: int, then: Callable[[], None]) -> None:
        """Call `then` when at most `size` bytes are left, or the connection is gone."""
        self._waiting[then] = size

    def forget(self, then: Callable[[], None]) -> None:
        """Call it no more."""
        self._waiting.pop(then, None)

    def hold(self) -> None:
        """Keep everything back until as many `release`."""
        self._holds += 1

    def release(self) -> None:
        """See `hold`."""
        self._holds -= 1
        if self._messages and not self._holds:
            self._wake()

    def close(self) -> None:
        """The connection is gone; what it was not sent is forgotten."""
        self.closed = True
        self._messages.clear()
        self.size = 0
        self._tell()

    def _tell(self) -> None:
        for then in [then for then, size in self._waiting.items() if self.size <= size]:
            del self._waiting[then]
            then()
