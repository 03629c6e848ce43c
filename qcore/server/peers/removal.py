"""What a node does that hears that it was removed from its cluster: it stops, unless a member talks to it."""

from __future__ import annotations

from collections.abc import Callable

from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Alarm

__all__ = ["Removal"]


class Removal:
    """Hears members that do not talk to this node any more.

    One of them may not know yet that the node was let in again, so it is given a moment to find others. `is_linked`
    says whether Raft can reach any; `stop` gets what a member said.
    """

    def __init__(self, is_linked: Callable[[], bool], stop: Callable[[str], None]) -> None:
        self._is_linked = is_linked
        self._stop = stop
        self._alarm = Alarm()
        self._waiting = False
        self._ended = False

    def hear(self, message: str) -> None:
        """A member has said that this node was removed."""
        if not self._waiting and not self._ended:
            self._waiting = True
            self._alarm.set(budgets.REMOVED_PATIENCE_SECONDS, lambda: self._judge(message))

    def end(self) -> None:
        """Hear nothing more."""
        self._ended = True
        self._alarm.cancel()

    def _judge(self, message: str) -> None:
        self._waiting = False
        if not self._is_linked():
            self._stop(message)
