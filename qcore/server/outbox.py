"""The events that a client was not sent yet.

Answers go out at once; events wait here until the client's socket takes them, so that `size` says how much it has not
read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["Outbox"]


class Outbox:
    """The unsent events of one client, in order. `wake` is called when there is something to take."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.size = 0
        """Bytes not taken yet."""
        self.closed = False
        self._wake = wake
        self._messages: deque[tuple[int, bytes]] = deque()
        self._holds = 0
        self._waiting: dict[Callable[[], None], int] = {}

    def append(self, token: int, text: bytes) -> None:
        """Add one message of the listener `token`."""
        if self.closed:
            return
        self.size += len(text)
        self._messages.append((token, text))
        if len(self._messages) == 1 and not self._holds:
            self._wake()

    def take(self, most: int) -> list[bytes]:
        """Take the oldest messages out, up to `most` bytes and one message more."""
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
            self._call_waiting()
        return taken

    def discard(self, token: int) -> None:
        """Drop the messages of a listener that were not taken yet."""
        kept = [message for message in self._messages if message[0] != token]
        if len(kept) < len(self._messages):
            self._messages = deque(kept)
            self.size = sum(len(text) for _, text in kept)
            self._call_waiting()

    def call_when_below(self, size: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, when at most `size` bytes are left or the client is gone."""
        self._waiting[callback] = size

    def cancel_call(self, callback: Callable[[], None]) -> None:
        """Do not call `callback` any more."""
        self._waiting.pop(callback, None)

    def hold(self) -> None:
        """Let nothing be taken until `release` was called as often as this."""
        self._holds += 1

    def release(self) -> None:
        """End one `hold`."""
        self._holds -= 1
        if self._messages and not self._holds:
            self._wake()

    def close(self) -> None:
        """Drop everything and take nothing more: the client is gone."""
        self.closed = True
        self._messages.clear()
        self.size = 0
        self._call_waiting()

    def _call_waiting(self) -> None:
        for callback in [callback for callback, size in self._waiting.items() if self.size <= size]:
            del self._waiting[callback]
            callback()
