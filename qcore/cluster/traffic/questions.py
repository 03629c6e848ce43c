"""What nodes ask each other beside Raft and forwards, such as to form a cluster."""

from __future__ import annotations

from typing import Protocol

from qcore.cluster.handshake.hello import Hello
from qcore.model.errors import RequestError

__all__ = ["Answering", "Question"]


class Answering(Protocol):
    """Takes the answer to one request of another node; from any thread, once."""

    def __call__(self, body: bytes, error: RequestError | None = None) -> None: ...


class Question:
    """What another node asks; it knows the secret, and need not be of the same cluster.

    `asker` is what that node said of itself. Exactly one of `answer` and `fail` follows, on any thread.
    """

    __slots__ = ("_done", "asker", "body", "kind", "left")

    def __init__(self, asker: Hello, kind: str, body: bytes, left: float, done: Answering) -> None:
        self.asker = asker
        self.kind = kind
        self.body = body
        self.left = left
        self._done = done

    def answer(self, body: bytes) -> None:
        """Answer it."""
        self._done(body)

    def fail(self, error: RequestError) -> None:
        """Answer it by an error."""
        self._done(b"", error)
