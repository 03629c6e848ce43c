"""What committed.json says of how far the log is committed: when it is written, and what a start may take from it.

No I/O and no clock here.
"""

from __future__ import annotations

from math import inf

from qcore.disk.log.log import Log
from qcore.model.entry import LogId

__all__ = ["BUSY_SECONDS", "QUIET_SECONDS", "CommittedHint", "committed_at_start"]

BUSY_SECONDS = 0.1
"""At least so long lies between two writings while one hint follows the other."""

QUIET_SECONDS = 1.0
"""So long after the last change, what was not written yet is written once."""


def committed_at_start(hint: LogId | None, log: Log) -> LogId | None:
    """Return how far a log is known to be committed, None if not at all: by a hint, but no further than it is stored.

    A hint that is not in the log is ignored: what it tells of was replaced, or never came here. One above the last
    entry tells of it too if one leader wrote both. What is purged is committed.
    """
    last = log.last
    if hint is None or last is None:
        return log.purged
    if hint.index > last.index and (hint.term, hint.node) == (last.term, last.node):
        return last
    return hint if log.log_id(hint.index) == hint else log.purged


class CommittedHint:
    """The hint that was taken last; times are monotonic seconds.

    Attributes:
        committed: how far the log is committed, None if nothing is.
    """

    def __init__(self, committed: LogId | None) -> None:
        self.committed = committed
        self._is_new = False
        self._changed_at: float | None = None
        self._written_at = -inf

    def take(self, committed: LogId | None, now: float) -> None:
        """Take a new hint."""
        self.committed = committed
        self._is_new = True
        self._changed_at = now

    def stored(self, now: float) -> None:
        """The file would say something new of how far the log is stored."""
        self._changed_at = now

    def written(self, now: float) -> None:
        """The file says all there is to say."""
        self._is_new = False
        self._changed_at = None
        self._written_at = now

    def is_due(self, now: float) -> bool:
        """Tell whether there is a new hint, and the last writing is long enough ago for one while entries come."""
        return self._is_new and now - self._written_at >= BUSY_SECONDS

    def wait(self, now: float) -> float | None:
        """Return after how many seconds without a change it is to be written; None if there is nothing to write."""
        return None if self._changed_at is None else max(self._changed_at + QUIET_SECONDS - now, 0.0)
