"""Read barriers: one question to a quorum serves all reads that were waiting when it was asked. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from qcore.engine.base import BarrierDone
from qcore.model.errors import RequestError

__all__ = ["Barriers"]

Ask = Callable[[Callable[[int, RequestError | None], None], float], None]
"""Asks for a log index by a deadline, and hears it."""


class Barriers:
    """Collects reads until `flush`, which `later` schedules, and then asks for all of them."""

    def __init__(self, ask: Ask, later: Callable[[Callable[[], None]], object]) -> None:
        self._ask = ask
        self._later = later
        self._waiting: list[tuple[BarrierDone, float]] = []
        self._groups: dict[int, list[BarrierDone]] = {}
        self._last = 0

    def add(self, done: BarrierDone, deadline: float) -> None:
        """Take in a read."""
        if not self._waiting:
            self._later(self.flush)
        self._waiting.append((done, deadline))

    def flush(self) -> None:
        """Ask for all that wait, with the latest of their deadlines."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        self._last += 1
        number = self._last
        self._groups[number] = [done for done, _ in waiting]
        self._ask(lambda index, error: self._answer(number, index, error), max(deadline for _, deadline in waiting))

    def give_up(self, error: RequestError) -> None:
        """Answer all that wait."""
        waiting, self._waiting = self._waiting, []
        for done, _ in waiting:
            done(-1, error)
        for number in list(self._groups):
            self._answer(number, -1, error)

    def _answer(self, number: int, index: int, error: RequestError | None) -> None:
        for done in self._groups.pop(number, ()):
            done(index, error)
