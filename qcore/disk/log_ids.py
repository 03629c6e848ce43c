"""The log ids of a contiguous log, kept as the places where its leader changes."""

from __future__ import annotations

from bisect import bisect_right

from qcore.model.entry import LogId

__all__ = ["LogIds", "follows"]


def follows(previous: LogId | None, log_id: LogId) -> bool:
    """Tell whether `log_id` may stand right after `previous` (None: before the first entry)."""
    if previous is None:
        return log_id.index == 0
    return log_id.index == previous.index + 1 and (log_id.term, log_id.node) >= (previous.term, previous.node)


class LogIds:
    """Answers which log id an index has, in memory of a few bytes per term.

    Attributes:
        purged: the id up to which entries are gone, None if none are.
        last: the id of the last entry, or `purged` if nothing is above it.
    """

    def __init__(self, purged: LogId | None) -> None:
        self.purged = purged
        self.last = purged
        self._starts: list[int] = []
        self._leaders: list[tuple[int, int]] = []

    @property
    def next_index(self) -> int:
        """The index the next entry will have."""
        return 0 if self.last is None else self.last.index + 1

    @property
    def first_index(self) -> int:
        """The lowest index above the purge mark, whether or not an entry is there."""
        return 0 if self.purged is None else self.purged.index + 1

    def push(self, log_id: LogId) -> None:
        """Add the id of the next entry, which must follow the last one."""
        leader = (log_id.term, log_id.node)
        if not self._leaders or self._leaders[-1] != leader:
            self._starts.append(log_id.index)
            self._leaders.append(leader)
        self.last = log_id

    def at(self, index: int) -> LogId | None:
        """Return the id at `index`: an entry's or the purge mark's; None outside."""
        if self.purged is not None and index == self.purged.index:
            return self.purged
        if not self.first_index <= index < self.next_index:
            return None
        term, node = self._leaders[bisect_right(self._starts, index) - 1]
        return LogId(term, node, index)

    def truncate(self, index: int) -> None:
        """Forget `index` and everything above it."""
        self.last = self.at(index - 1)
        while self._starts and self._starts[-1] >= index:
            self._starts.pop()
            self._leaders.pop()

    def purge(self, upto: LogId) -> None:
        """Forget `upto` and everything below it; a mark above the last entry becomes the last id."""
        if upto.index >= self.next_index - 1:
            self.purged = self.last = upto
            self._starts.clear()
            self._leaders.clear()
            return
        self.purged = upto
        passed = bisect_right(self._starts, upto.index + 1) - 1
        del self._starts[:passed], self._leaders[:passed]
