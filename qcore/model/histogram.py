"""How often something took how long: counts between a few bounds, cheap to keep, also for many at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["Histogram"]


class Histogram:
    """Counts of durations in seconds; `counts[n]` are those up to `bounds[n]`, the last one those above all bounds.

    Attributes:
        sum: seconds of all of them together.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def observe_since(self, begun: list[float], now: float) -> None:
        """Count those that began at each of `begun`, at least one, and ended `now`; `begun` is sorted by this."""
        begun.sort()
        count = len(begun)
        self.sum += now * count - sum(begun)
        low, high = bisect_left(self.bounds, now - begun[-1]), bisect_left(self.bounds, now - begun[0])
        if low < high:
            for place in range(low, high):
                longer = bisect_left(begun, now - self.bounds[place])
                self.counts[place] += count - longer
                count = longer
        self.counts[high] += count

    def cumulative(self) -> list[tuple[float, int]]:
        """Each bound, and how many took at most as long; what is above all bounds is in `count` alone."""
        found, total = [], 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            total += count
            found.append((bound, total))
        return found
