"""Calls from other threads to the thread of an event loop: one wake-up for all that wait, none for a closed loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Crossing"]


class Crossing:
    """Made on the loop's thread; `call` comes from any thread, and on the loop's own it is a plain call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False
        self._closed = False
        self._lock = threading.Lock()

    def call(self, function: Callable[..., object], *args: Any) -> bool:
        """Have the loop's thread call a function; False if nobody will, as it is closed."""
        here = threading.get_ident() == self._thread
        with self._lock:
            if self._closed:
                return False
            if not here:
                self._calls.append((function, args))
        if here:
            function(*args)
            return True
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # closed this moment: `close` has made the call
                self._loop.call_soon_threadsafe(self._drain)
        return True

    def close(self) -> None:
        """Take no more calls, and make those that wait; on the loop's thread."""
        with self._lock:
            self._closed = True
        self._drain()

    def _drain(self) -> None:
        """Make the calls that wait; one that fails does not keep the others from being made."""
        self._woken = False
        while self._calls:
            function, args = self._calls.popleft()
            try:
                function(*args)
            except Exception as exc:
                self._loop.call_exception_handler({"message": f"a call of {function!r} failed", "exception": exc})
