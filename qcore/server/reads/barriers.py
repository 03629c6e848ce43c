"""Read barriers in rounds: one is under way for all reads that wait, and those that come meanwhile share the next.

A round that finds no leader is asked again until the deadlines of its reads: an election takes a moment.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from qcore.engine.base import BarrierDone
from qcore.model.errors import Busy, NoQuorum, RequestError
from qcore.server.calls import Call
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Alarm

__all__ = ["AskBarrier", "Barriers"]

AskBarrier = Callable[[BarrierDone, float, bool], None]
"""Asks for the log index that a read must have applied; deadline in monotonic seconds, and whether a lease will do."""


class Barriers:
    """Calls `passed` with each read and the log index that it has to wait for; at most `max_waiting` wait."""

    def __init__(
        self, ask: AskBarrier, max_waiting: int, passed: Callable[[Call, int], None], lease: bool = False
    ) -> None:
        self.ask = ask
        self._max_waiting = max_waiting
        self._lease = lease
        self._passed = passed
        self._round: list[Call] = []
        """The reads of the barrier that is under way."""
        self._next: list[Call] = []
        self._question = 0
        """Counts: an error that is the answer to an earlier one says nothing any more."""
        self._retry = Alarm()

    def __len__(self) -> int:
        return len(self._round) + len(self._next)

    def enter(self, call: Call) -> bool:
        """Take a read, which passes behind a barrier that was asked for after this; whether it has to wait."""
        if not self._round:
            self._round = [call]
            self._ask(call.deadline)
            return bool(self._round)
        if len(self) >= self._max_waiting:
            call.fail(Busy(f"{len(self)} reads are waiting for a read barrier already (max_pending)"))
        else:
            self._next.append(call)
        return True

    def ask_again(self) -> None:
        """Another node may lead: do not wait for what the one before has to say."""
        if self._round:
            self._ask(max(call.deadline for call in self._round))

    def sweep(self, now: float) -> None:
        """Answer the reads whose deadline has passed, and let go of those whose client is gone."""
        for call in (*self._round, *self._next):
            if call.deadline <= now or (call.client is not None and call.client.closed):
                call.fail(NoQuorum("no leader answered with a quorum in time", elsewhere=True))
        self._next = [call for call in self._next if not call.done]

    def fail(self, error: RequestError) -> None:
        """Answer all."""
        for call in self.take_back():
            call.fail(error)

    def take_back(self) -> list[Call]:
        """Let all go that wait; whoever asks has them."""
        self._retry.cancel()
        calls, self._round, self._next = [*self._round, *self._next], [], []
        return calls

    def _ask(self, deadline: float) -> None:
        self._question += 1
        self.ask(functools.partial(self._done, self._question, self._round), deadline, self._lease)

    def _done(self, question: int, calls: list[Call], index: int, error: RequestError | None) -> None:
        """The barrier of `calls` is passed, or there is none; an index that comes late is one all the same."""
        if calls is not self._round or (error is not None and question != self._question):
            return
        if isinstance(error, NoQuorum) and self._may_ask_again(error):
            self._retry.set(budgets.FORWARD_RETRY_SECONDS, self.ask_again)
            return
        self._round = self._next
        if self._round:
            self._next = []
            self._ask(max(call.deadline for call in self._round))
        for call in calls:
            if error is not None:
                call.fail(error)
            elif not call.done:
                self._passed(call, index)

    def _may_ask_again(self, error: RequestError) -> bool:
        """Answer those of the round whose time is up; whether any are left."""
        now = time.monotonic()
        for call in self._round:
            if call.deadline <= now:
                call.fail(NoQuorum(error.message, elsewhere=True))
        self._round[:] = [call for call in self._round if not call.done]
        return bool(self._round)
