"""Holds a read back until this node has applied what the read must see.

First the schema file of a fresh store, then the log index of its read barrier, which makes it linearizable, then the
revision that the client names. A `local` read needs a barrier only where it goes on in an epoch that this node has not
heard of, which it may not have applied yet. Reads that wait are counted (`max_pending`), fail at their deadline, and
are let go when their client is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.model.errors import BadParams, Busy, Timeout
from qcore.server.calls import Call
from qcore.server.reads.barriers import AskBarrier, Barriers
from qcore.server.reads.waiting import WaitingReads
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.store.search.pages import epoch_of_cursor
from qcore.store.state.state import State

__all__ = ["ReadGate"]


class ReadGate:
    """Calls `ready` with each read that it was given, once the state is new enough for it."""

    def __init__(self, state: State, ask: AskBarrier, max_waiting: int, ready: Callable[[Call], None]) -> None:
        self._barriers = Barriers(ask, max_waiting, self._passed)
        self._leases = Barriers(ask, max_waiting, self._passed, lease=True)
        """Of reads that ask for `leader` consistency."""
        self._state = state
        self._max_waiting = max_waiting
        self._ready = ready
        self._for_index = WaitingReads()
        self._for_revision = WaitingReads()
        self._for_schemas = WaitingReads()
        self._holds = False
        self._blank = False
        self._sweeps = Periodic(budgets.DEADLINE_SWEEP_SECONDS, self._sweep)

    def __len__(self) -> int:
        return (
            len(self._barriers)
            + len(self._leases)
            + len(self._for_index)
            + len(self._for_revision)
            + len(self._for_schemas)
        )

    def hold(self) -> None:
        """Let reads wait until `release`, those that are `local` apart: a fresh store is about to get its schemas."""
        self._holds = True

    def release(self) -> None:
        """The store has its schemas, or another node sees to them."""
        self._holds = False
        for call in self._for_schemas.due(0):
            self.enter(call)

    def enter(self, call: Call) -> None:
        """Take a read; it is ready at once where there is nothing to wait for."""
        consistency = getattr(call.params, "consistency", "linearizable")  # of what a write would do, or did before
        if not self._needs_barrier(call, consistency):
            self._wait_for_revision(call, passed=False)
        elif self._holds:
            self._wait(self._for_schemas, 0, call)
        elif (self._leases if consistency == "leader" else self._barriers).enter(call):
            self._sweeps.start()

    def set_blank(self, blank: bool) -> None:
        """Whether this node knows of no cluster: nobody has more than it, so that nothing is waited for."""
        self._blank = blank
        if blank:
            for call in (*self._barriers.take_back(), *self._leases.take_back()):
                if not call.done:
                    self._wait_for_revision(call, passed=False)

    def ask_by(self, ask: AskBarrier) -> None:
        """Ask for read barriers in another way from now on."""
        self._barriers.ask = self._leases.ask = ask

    def role_changed(self) -> None:
        """Another node leads, or none: it is asked for the barriers that are awaited."""
        self._barriers.ask_again()
        self._leases.ask_again()

    def _needs_barrier(self, call: Call, consistency: str) -> bool:
        spec = call.spec
        assert spec is not None
        if self._blank:
            return False
        if not spec.barrier:
            return spec.dry_run is not None  # what a write would do
        return consistency != "local" or self._names_unheard_epoch(call)

    def _names_unheard_epoch(self, call: Call) -> bool:
        """Whether a read goes on in an epoch that this node has not heard of: perhaps it has not applied it yet."""
        spec = call.spec
        claim_of, cursor_of = (None, None) if spec is None else (spec.claim, spec.cursor)
        if claim_of is not None:
            claim = claim_of(call.params)
            return claim is not None and claim[0] not in self._state.epochs
        cursor = None if cursor_of is None else cursor_of(call.params)
        if cursor is None:
            return False
        try:
            epoch = epoch_of_cursor(cursor)
        except BadParams:  # the read says so
            return False
        return epoch is not None and epoch not in self._state.epochs

    def applied(self) -> None:
        """Entries were applied: whoever waited for them is ready."""
        for call in self._for_index.due(self._state.applied):
            self._wait_for_revision(call, passed=True)
        for call in self._for_revision.due(self._state.revision):
            self._ready(call)

    def stop(self) -> None:
        """Refuse those that wait, and those whose barrier is answered later: the node is stopping."""
        for waiting in (self._barriers, self._leases, self._for_index, self._for_revision, self._for_schemas):
            waiting.fail(Busy("the node is stopping", elsewhere=True))
        self._sweeps.stop()

    def _passed(self, call: Call, index: int) -> None:
        if index > self._state.applied:
            self._wait(self._for_index, index, call)
        else:
            if index >= 0:  # a quorum was asked
                call.started = time.monotonic()
            self._wait_for_revision(call, passed=True)

    def _wait_for_revision(self, call: Call, passed: bool) -> None:
        revision_of = call.spec.revision if call.spec is not None else None
        if revision_of is None or (revision := revision_of(call.params)) <= self._state.revision:
            self._ready(call)
        elif self._is_of_another_history(call, passed):
            self._ready(call)  # its revision never comes, and the read says so
        else:
            self._wait(self._for_revision, revision, call)

    def _is_of_another_history(self, call: Call, passed: bool) -> bool:
        """Whether a read goes on in a history that is not this one; of an unheard epoch only a barrier tells that."""
        claim_of = call.spec.claim if call.spec is not None else None
        claim = None if claim_of is None else claim_of(call.params)
        if claim is None:
            return False
        judgement = self._state.epochs.judge(*claim)
        return judgement == "other" or (judgement == "unknown" and passed)

    def _wait(self, waiting: WaitingReads, number: int, call: Call) -> None:
        if len(waiting) >= self._max_waiting:
            call.fail(Busy(f"{len(waiting)} reads are waiting for a revision already (max_pending)"))
            return
        waiting.add(number, call)
        self._sweeps.start()

    def _sweep(self) -> bool:
        now, revision = time.monotonic(), self._state.revision
        self._barriers.sweep(now)
        self._leases.sweep(now)
        self._for_index.sweep(now, lambda index: Timeout("this node did not come up to the others in time"))
        self._for_schemas.sweep(now, lambda _: Timeout("the schema file is not loaded yet"))
        self._for_revision.sweep(now, lambda asked: Timeout(f"this node is at revision {revision}, {asked} asked"))
        return len(self) > 0
