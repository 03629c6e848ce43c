"""When a member that has started may say that it is ready: it has caught up, or nobody leads it. Sans-I/O."""

from __future__ import annotations

from collections.abc import Callable

from qcore.model.errors import RequestError
from qcore.server.reads.barriers import AskBarrier
from qcore.server.runtime import budgets

__all__ = ["CatchUp"]


class CatchUp:
    """Asks the leader how far the log is committed (`ask`), and waits until the node has `applied` that.

    It is given up when no leader has answered for a while: a node that waits for others is started all the same.
    `is_led` says whether this node knows a leader.
    """

    def __init__(self, ask: AskBarrier, applied: Callable[[], int], is_led: Callable[[], bool], now: float) -> None:
        self._ask = ask
        self._applied = applied
        self._is_led = is_led
        self._asked = False
        self._index: int | None = None
        self._led_at = now

    def is_over(self, now: float) -> bool:
        """Whether there is nothing to wait for any more; to be asked again until then."""
        if self._index is not None and self._applied() >= self._index:
            return True
        if self._index is not None and self._is_led():
            self._led_at = now
        if self._index is None and not self._asked:
            self._asked = True
            self._ask(self._answered, now + budgets.LEADER_ANSWER_SECONDS, False)
        return now - self._led_at >= budgets.LEADER_PATIENCE_SECONDS

    def _answered(self, index: int, error: RequestError | None) -> None:
        self._asked = False
        if error is None:
            self._index = index
