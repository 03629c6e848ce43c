"""A write that another node sent to this one, as it leads."""

from __future__ import annotations

from typing import Any, Protocol

from qcore.server.calls import Call

__all__ = ["ForwardedCall", "Sender"]


class Sender(Protocol):
    """Where the outcomes of forwarded writes go."""

    def outcome(self, call: ForwardedCall, result: bytes | None, error: bytes | None) -> None:
        """The JSON of its result or error; with neither it was not appended, and goes back where it came from."""

    def over(self) -> bool:
        """Whether this node does not lead any more in the term that the write was sent for."""


class ForwardedCall(Call):
    """A call whose answer is no text of a conversation; exactly one outcome goes to its sender.

    It stands in the log of the term that it was sent for or in none: else a client's writes could change their order.
    `place` is the sender's own.
    """

    __slots__ = ("_sender", "place")

    def __init__(self, sender: Sender, method: str, params: Any, begun: float, deadline: float, place: int) -> None:
        super().__init__(self, None, method, params, begun, 0)
        self.deadline = deadline
        self.place = place
        self._sender = sender

    def answered(self, call: Call, text: bytes | None) -> None:
        """See `Sink.answered`: nobody waits for a text."""

    def answer(self, result: bytes) -> None:
        """See `Call.answer`."""
        self._tell(result, None)

    def _fail(self, error: bytes, kind: str) -> None:
        self._tell(None, error)

    def go_back(self) -> bool:
        """Send it back if its leadership is over and it was not answered; whether it has nothing to wait for here."""
        if not self.done and self._sender.over():
            self._tell(None, None)
        return self.done

    def _tell(self, result: bytes | None, error: bytes | None) -> None:
        if not self.done:
            self.done = True
            self._sender.outcome(self, result, error)
