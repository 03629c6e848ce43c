"""The log ids of a contiguous log, kept as the places where its leader changes.

One thread changes them, any thread may ask: what is read is replaced, or added to, in one step.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from qcore.model.entry import LogId

__all__ = ["LogIds", "follows"]

_index = attrgetter("index")


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
        truncations: changes when a truncate begins and when it is done here, so that whoever reads beside it knows.
    """

    def __init__(self, purged: LogId | None) -> None:
        self.purged = purged
        self.last = purged
        self.truncations = 0
        self._heads: list[LogId] = []
        """The first entry of each leader; the lowest may lie below the purge mark."""

    @property
    def next_index(self) -> int:
        """The index the next entry will have."""
        last = self.last
        return 0 if last is None else last.index + 1

    @property
    def first_index(self) -> int:
        """The lowest index above the purge mark, whether or not an entry is there."""
        purged = self.purged
        return 0 if purged is None else purged.index + 1

    def push(self, log_id: LogId) -> None:
        """Add the id of the next entry, which must follow the last one."""
        heads = self._heads
        if not heads or (heads[-1].term, heads[-1].node) != (log_id.term, log_id.node):
            heads.append(log_id)
        self.last = log_id

    def at(self, index: int) -> LogId | None:
        """Return the id at `index`: an entry's or the purge mark's; None outside."""
        heads, purged = self._heads, self.purged
        if purged is not None and index <= purged.index:
            return purged if index == purged.index else None
        place = bisect_right(heads, index, key=_index) - 1
        if place < 0 or index >= self.next_index:
            return None
        return LogId(heads[place].term, heads[place].node, index)

    def leaders(self) -> list[LogId]:
        """Return the first id of each leader (term, node) that has entries in the log, ascending."""
        heads, first = list(self._heads), self.at(self.first_index)
        if first is None:
            return []
        return [first, *(head for head in heads if head.index > first.index)]

    def truncate(self, index: int) -> None:
        """Forget `index` and everything above it."""
        self.truncations += 1
        self.last = self.at(index - 1)
        self._heads = [head for head in self._heads if head.index < index]
        self.truncations += 1

    def purge(self, upto: LogId) -> None:
        """Forget `upto` and everything below it; a mark above the last entry becomes the last id."""
        self.purged = upto
        if upto.index >= self.next_index - 1:
            self.last = upto
            self._heads = []
        else:
            self._heads = self._heads[max(0, bisect_right(self._heads, upto.index + 1, key=_index) - 1) :]
