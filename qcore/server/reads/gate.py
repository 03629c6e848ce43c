"""Holds a read back until this node has applied what the read must see.

First the schema file of a fresh store, then the log index of its read barrier, which makes it linearizable, then the
revision that the client names. Reads that wait are counted (`max_pending`), fail at their deadline, and are let go when
their client is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.engine.base import Engine
from qcore.model.errors import Busy, RequestError, Timeout
from qcore.server.calls import Call
from qcore.server.reads.waiting import WaitingReads
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.store.state.state import State

__all__ = ["ReadGate"]


class ReadGate:
    """Calls `ready` with each read that it was given, once the state is new enough for it."""

    def __init__(self, state: State, engine: Engine, max_waiting: int, ready: Callable[[Call], None]) -> None:
        self._state = state
        self._engine = engine
        self._max_waiting = max_waiting
        self._ready = ready
        self._for_index = WaitingReads()
        self._for_revision = WaitingReads()
        self._for_schemas = WaitingReads()
        self._holds = False
        self._sweeps = Periodic(budgets.DEADLINE_SWEEP_SECONDS, self._sweep)
        self._stopped = False

    def __len__(self) -> int:
        return len(self._for_index) + len(self._for_revision) + len(self._for_schemas)

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
        assert call.spec is not None
        if not call.spec.barrier or call.params.consistency == "local":
            self._wait_for_revision(call)
        elif self._holds:
            self._wait(self._for_schemas, 0, call)
        else:
            self._engine.read_barrier(lambda index, error: self._barrier_done(index, error, call), call.deadline)

    def applied(self) -> None:
        """Entries were applied: whoever waited for them is ready."""
        for call in self._for_index.due(self._state.applied):
            self._wait_for_revision(call)
        for call in self._for_revision.due(self._state.revision):
            self._ready(call)

    def stop(self) -> None:
        """Refuse those that wait, and those whose barrier is answered later: the node is stopping."""
        self._stopped = True
        for waiting in (self._for_index, self._for_revision, self._for_schemas):
            waiting.fail(Busy("the node is stopping"))
        self._sweeps.stop()

    def _barrier_done(self, index: int, error: RequestError | None, call: Call) -> None:
        if error is not None:
            call.fail(error)
        elif self._stopped:
            call.fail(Busy("the node is stopping"))
        elif index > self._state.applied:
            self._wait(self._for_index, index, call)
        else:
            if index >= 0:  # a quorum was asked
                call.started = time.monotonic()
            self._wait_for_revision(call)

    def _wait_for_revision(self, call: Call) -> None:
        revision_of = call.spec.revision if call.spec is not None else None
        if revision_of is None or (revision := revision_of(call.params)) <= self._state.revision:
            self._ready(call)
        elif self._is_of_another_history(call):
            self._ready(call)  # its revision never comes, and the read says so
        else:
            self._wait(self._for_revision, revision, call)

    def _is_of_another_history(self, call: Call) -> bool:
        """Whether a read goes on in a history that is not this one, as far as this node can know by now.

        An epoch that is not known here may be one that this node has not applied yet, unless it has passed a barrier.
        """
        claim_of = call.spec.claim if call.spec is not None else None
        claim = None if claim_of is None else claim_of(call.params)
        if claim is None:
            return False
        judgement = self._state.epochs.judge(*claim)
        return judgement == "other" or (judgement == "unknown" and call.params.consistency != "local")

    def _wait(self, waiting: WaitingReads, number: int, call: Call) -> None:
        if len(waiting) >= self._max_waiting:
            call.fail(Busy(f"{len(waiting)} reads are waiting for a revision already (max_pending)"))
            return
        waiting.add(number, call)
        self._sweeps.start()

    def _sweep(self) -> bool:
        now, revision = time.monotonic(), self._state.revision
        self._for_index.sweep(now, lambda index: Timeout("this node did not come up to the others in time"))
        self._for_schemas.sweep(now, lambda _: Timeout("the schema file is not loaded yet"))
        self._for_revision.sweep(now, lambda asked: Timeout(f"this node is at revision {revision}, {asked} asked"))
        return len(self) > 0
