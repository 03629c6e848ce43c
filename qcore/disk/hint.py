"""When committed.json is written anew, and what it will say. No I/O and no clock here."""

from __future__ import annotations

from math import inf

from qcore.model.entry import LogId

__all__ = ["BUSY_SECONDS", "QUIET_SECONDS", "CommittedHint"]

BUSY_SECONDS = 0.1
"""At least so long lies between two writings while one hint follows the other."""

QUIET_SECONDS = 1.0
"""So long after the last change, what was not written yet is written once."""


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
