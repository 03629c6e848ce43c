"""Committed entries applied in slices, in their order; each outcome answers the call that waits for it.

A snapshot that another node sent takes its place in the same order: it was read before, and replaces the state at once.
After a failure nothing more is applied, and nobody is answered.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import Entry, LogId, Membership
from qcore.model.errors import Fatal, Timeout, cut
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.recovery import cannot_apply, replay_entry
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import Scheduler
from qcore.server.runtime.slow_log import SlowLog
from qcore.server.runtime.timers import Periodic
from qcore.server.writes.inline_reads import InlineReads
from qcore.store.apply import Outcome, applying_entry
from qcore.store.state.state import State

__all__ = ["Applier", "ApplierHost"]

log = logs.get("qcore.node")


class ApplierHost(Protocol):
    """Who hears of what was applied."""

    def entry_applied(self, id: LogId) -> None:
        """An entry is applied whole, and nothing of the next one."""

    def paused(self) -> None:
        """A long command pauses, of which nothing is to be seen; what was applied before it may be told."""

    def caught_up(self) -> None:
        """Everything committed is applied, for now."""

    def state_loaded(self, loaded: State) -> None:
        """A received snapshot has its turn: replace the state."""

    def apply_failed(self, error: Fatal) -> None:
        """A command failed in a way no command may: the daemon must end."""


class _Applying:
    """An entry in the middle of being applied, `place` of its commands so far.

    `calls` are those of its commands that wait here, None for others'. `spent` is the time, in seconds, that the
    command at `place` has taken so far.
    """

    __slots__ = ("calls", "entry", "outcomes", "place", "spent")

    def __init__(self, entry: Entry, calls: list[Call] | None, outcomes: Iterator[Outcome | None]) -> None:
        self.entry = entry
        self.calls = calls
        self.outcomes = outcomes
        self.place = 0
        self.spent = 0.0


class _Installing:
    """A received snapshot that was read as `state`; `done` hears when it is the state."""

    __slots__ = ("done", "found", "state")

    def __init__(self, found: SnapshotFile, state: State, done: Callable[[], None]) -> None:
        self.found = found
        self.state = state
        self.done = done


class Applier:
    """Applies entries in the order they come in. `reads` carries out those within pipelines.

    Attributes:
        membership: the last one that was applied, and the log id of its entry; None before the first.
    """

    def __init__(
        self, settings: Settings, state: State, scheduler: Scheduler, reads: InlineReads, host: ApplierHost
    ) -> None:
        self.membership: tuple[Membership, LogId] | None = None
        self._state = state
        self._scheduler = scheduler
        self._reads = reads
        self._host = host
        self._queue: deque[_Applying | _Installing] = deque()
        self._scheduled = False
        self._failed = False
        self._slow_apply = settings.slow_apply_ms / 1000
        self._slow_log = SlowLog()
        self._sweeper = Periodic(budgets.DEADLINE_SWEEP_SECONDS, self._sweep)

    @property
    def idle(self) -> bool:
        """Whether everything is applied."""
        return not self._queue

    def replay(self, entry: Entry) -> None:
        """Apply an entry of the log at a start, whole; raises as `replay_entry` does."""
        replay_entry(self._state, entry)
        self._note_membership(entry)

    def apply(self, entry: Entry, calls: list[Call] | None) -> None:
        """Apply a committed entry, at once as far as a slice goes."""
        if not self._failed:
            read = self._reads.read if calls is not None else None
            self._enqueue(_Applying(entry, calls, applying_entry(self._state, entry, read)))

    def install(self, found: SnapshotFile, state: State, done: Callable[[], None]) -> None:
        """Go on as `state`, which is that of `found`, after everything that is committed before; then call `done`."""
        if not self._failed:
            self._enqueue(_Installing(found, state, done))

    def stop(self) -> None:
        """Apply nothing more, and answer whoever waits for it: it is in the log."""
        self._fail_calls(math.inf, "is in the log, but the node stops and has not applied it")
        self.abandon()

    def abandon(self) -> None:
        """Apply and answer nothing more."""
        self._failed = True
        self._sweeper.stop()
        self._queue.clear()

    def _sweep(self) -> bool:
        self._fail_calls(time.monotonic(), "is in the log, but was not applied before its deadline")
        return bool(self._queue)

    def _fail_calls(self, deadline: float, why: str) -> None:
        """Answer the calls with a deadline up to this one whose commands are not applied."""
        for work in self._queue:
            if isinstance(work, _Applying) and work.calls is not None:
                for call in work.calls[work.place :]:
                    if call.deadline <= deadline:
                        call.fail(Timeout(f"{call.method} {why}", applied="unknown"))

    def _enqueue(self, work: _Applying | _Installing) -> None:
        self._queue.append(work)
        if not self._scheduled:
            self._scheduled = self._run_slice()
            if self._scheduled:
                self._scheduler.add(self._step)
                self._sweeper.start()

    def _step(self) -> bool:
        self._scheduled = self._run_slice()
        return self._scheduled

    def _run_slice(self) -> bool:
        """Work for one slice; True while there is more."""
        end = time.monotonic() + budgets.SLICE_SECONDS
        try:
            while self._queue:
                work = self._queue[0]
                through = self._apply_until(work, end) if isinstance(work, _Applying) else self._install(work)
                if self._failed:
                    return False
                if not through:
                    return True
        except Exception as exc:
            self._fail(exc)
            return False
        self._host.caught_up()
        return False

    def _fail(self, exc: Exception) -> None:
        work = self._queue[0] if self._queue else None
        if isinstance(work, _Applying):
            error = cannot_apply(work.entry, work.place, exc)
        else:
            error = Fatal(f"applying the log failed: {cut(repr(exc))}; nothing was acknowledged that is not on disk")
        self.abandon()
        if isinstance(exc, Fatal):
            self._host.apply_failed(exc)
            return
        log.critical("apply_failed", message="A command failed in a way no command may", exc_info=exc)
        self._host.apply_failed(error)

    def _apply_until(self, applying: _Applying, end: float) -> bool:
        """Apply an entry's commands until `end`; True when it is through. A long one pauses before its end."""
        calls = applying.calls
        begun = time.monotonic()
        self._reads.begin()
        for outcome in applying.outcomes:
            now = time.monotonic()
            applying.spent += now - begun
            if outcome is None:
                begun = now
                if now >= end:
                    self._host.paused()
                    return False
                continue
            applying.place += 1
            if calls is not None:
                call = calls[applying.place - 1]
                if applying.spent > self._slow_apply:
                    self._slow_log.tell("slow_apply", "Applying a command took long", call, applying.spent)
                call.started = now - applying.spent
                _answer(call, outcome)
            applying.spent = 0.0
            if now >= end:
                return False
            begun = now
            if self._reads.spent:
                self._reads.begin()
        if self._failed:  # an answer was that this node cannot lead
            return False
        self._queue.popleft()
        self._note_membership(applying.entry)
        self._host.entry_applied(applying.entry.id)
        return True

    def _note_membership(self, entry: Entry) -> None:
        if entry.body.membership is not None:
            self.membership = entry.body.membership, entry.id

    def _install(self, installing: _Installing) -> bool:
        header = installing.found.header
        self._queue.popleft()
        self.membership = header.membership, header.membership_id
        self._host.state_loaded(installing.state)
        self._host.entry_applied(header.last)
        installing.done()
        return True


def _answer(call: Call, outcome: Outcome) -> None:
    if outcome.before is not None:
        if outcome.before.failed:
            call.fail_raw(outcome.before.raw)
        else:
            call.answer(outcome.before.raw)
    elif outcome.error is not None:
        call.fail(outcome.error)
    else:
        call.result(outcome.result)
