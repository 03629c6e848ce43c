"""A service manager's end of NOTIFY_SOCKET: a real socket, and what daemons have said on it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.process import DEADLINE

__all__ = ["ServiceManager"]


class ServiceManager:
    """Listens at `path` in a thread until it is closed; `env` is for the daemon.

    Attributes:
        heard: each message so far as its words, in their order.
    """

    def __init__(self, path: Path) -> None:
        self.env: Mapping[str, str] = {"NOTIFY_SOCKET": str(path)}
        self.heard: list[dict[str, str]] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def wait(self, condition: Callable[[dict[str, str]], bool], after: int = 0) -> int:
        """Wait for a message for which the condition holds, from number `after` on; returns its number."""
        end = time.monotonic() + DEADLINE
        with self._changed:
            while True:
                for number, words in enumerate(self.heard[after:], after):
                    if condition(words):
                        return number
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"not heard; but {self.heard[after:]}")

    def wait_for(self, word: str, after: int = 0) -> dict[str, str]:
        """Wait for a message with this word, such as READY; returns it."""
        return self.heard[self.wait(lambda words: word in words, after)]

    def said(self, word: str) -> list[str]:
        """The values of a word so far."""
        return [words[word] for words in self.heard if word in words]

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(65_536):
            words = dict(line.split("=", 1) for line in data.decode("ascii").splitlines())
            with self._changed:
                self.heard.append(words)
                self._changed.notify_all()
