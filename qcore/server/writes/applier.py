"""Committed entries applied in slices, each outcome answered to the call that waits for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from qcore.model.entry import Entry, LogId
from qcore.model.errors import Fatal
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.runtime import logs
from qcore.server.runtime.scheduler import SLICE, Scheduler
from qcore.server.runtime.slow_log import SlowLog
from qcore.server.writes.inline_reads import InlineReads
from qcore.store.apply import Outcome, apply_entry
from qcore.store.state.state import State

__all__ = ["Applier"]

log = logs.get("qcore.node")


class _Applying:
    """An entry in the middle of being applied; `calls` are those of its commands that wait here, None for others'."""

    __slots__ = ("calls", "id", "outcomes", "place")

    def __init__(self, id: LogId, calls: list[Call] | None, outcomes: Iterator[Outcome]) -> None:
        self.id = id
        self.calls = calls
        self.outcomes = outcomes
        self.place = 0


class Applier:
    """Applies entries in the order they come in.

    `reads` carries out those within pipelines. `on_entry` hears of each entry that is through, `on_applied` when
    nothing is left to apply, `on_fatal` when a command failed in a way no command may.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        scheduler: Scheduler,
        reads: InlineReads,
        on_entry: Callable[[LogId], None],
        on_applied: Callable[[], None],
        on_fatal: Callable[[Fatal], None],
    ) -> None:
        self._state = state
        self._scheduler = scheduler
        self._reads = reads
        self._on_entry = on_entry
        self._on_applied = on_applied
        self._on_fatal = on_fatal
        self._entries: deque[_Applying] = deque()
        self._slicing = False
        self._slow_request = settings.slow_request_ms / 1000
        self._slow_apply = settings.slow_apply_ms / 1000
        self._slow_log = SlowLog()

    @property
    def idle(self) -> bool:
        """Whether everything is applied."""
        return not self._entries

    def add(self, entry: Entry, calls: list[Call] | None) -> None:
        """Apply an entry, at once as far as a slice goes."""
        read = self._reads.read if calls is not None else None
        self._entries.append(_Applying(entry.id, calls, apply_entry(self._state, entry, read)))
        if not self._slicing:
            self._slicing = self._apply_some()
            if self._slicing:
                self._scheduler.add(self._apply_slice)

    def _apply_slice(self) -> bool:
        self._slicing = self._apply_some()
        return self._slicing

    def _apply_some(self) -> bool:
        """Apply commands for one slice; True while there are more."""
        end = time.monotonic() + SLICE
        try:
            while self._entries:
                if not self._apply_until(self._entries[0], end):
                    return True
                self._on_entry(self._entries.popleft().id)
        except Exception as exc:
            self._fail(exc)
        self._on_applied()
        return False

    def _fail(self, exc: Exception) -> None:
        self._entries.clear()
        if isinstance(exc, Fatal):
            self._on_fatal(exc)
            return
        log.critical("apply_failed", message="A command failed in a way no command may", exc_info=exc)
        self._on_fatal(Fatal(f"applying the log failed: {exc!r}; nothing was acknowledged that is not on disk"))

    def _apply_until(self, applying: _Applying, end: float) -> bool:
        """Apply an entry's commands until `end`; True when it is through."""
        calls = applying.calls
        begun = time.monotonic()
        self._reads.begin()
        for outcome in applying.outcomes:
            now = time.monotonic()
            if calls is not None:
                call = calls[applying.place]
                applying.place += 1
                if now - begun > self._slow_apply:
                    self._slow_log.tell("slow_apply", "Applying a command took long", call.method, now - begun)
                if now - call.begun > self._slow_request:
                    self._slow_log.tell("slow_request", "A request took long", call.method, now - call.begun)
                _answer(call, outcome)
            if now >= end:
                return False
            begun = now
            self._reads.begin()
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
