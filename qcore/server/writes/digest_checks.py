"""When the leader proposes a digest check: after so many entries, or so long after the last one if anything changed."""

from __future__ import annotations

from collections.abc import Callable

from qcore.model.leader_commands import CheckDigest
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Debounce
from qcore.store.state.state import State

__all__ = ["DigestCheckProposals"]


class DigestCheckProposals:
    """Proposes checks by `propose`, as long as this node leads."""

    def __init__(self, state: State, propose: Callable[[CheckDigest], None]) -> None:
        self._state = state
        self._propose = propose
        self._index = state.applied
        """The log index where the last check was applied."""
        self._timer = Debounce(budgets.DIGEST_CHECK_SECONDS, self._check)

    def applied(self) -> None:
        """Entries were applied."""
        if self._state.applied - self._index >= budgets.DIGEST_CHECK_ENTRIES:
            self._check()
        elif self._state.applied > self._index:
            self._timer.trigger()

    def stop(self) -> None:
        """Propose nothing more."""
        self._timer.stop()

    def _check(self) -> None:
        self._timer.cancel()
        newest = self._state.checks.newest(self._state.level)  # the state itself may be in the middle of an entry
        if newest is not None:
            self._index = newest.index + 1  # where the check itself will stand, or near it
            self._propose(newest)
