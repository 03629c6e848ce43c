"""How long requests took: how many took each number of microseconds, so that nothing is rounded. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

__all__ = ["Latencies"]


class Latencies:
    """Latencies of many requests; `counts` says how many took so many microseconds, each set as one process saw it."""

    def __init__(self, counts: Iterable[Mapping[int, int]]) -> None:
        total: dict[int, int] = {}
        for each in counts:
            for microseconds, count in each.items():
                total[microseconds] = total.get(microseconds, 0) + count
        self._values = sorted(total)
        self._counts = [total[value] for value in self._values]
        self._ranks = list(accumulate(self._counts))

    @property
    def count(self) -> int:
        """How many there are."""
        return self._ranks[-1] if self._ranks else 0

    @property
    def min(self) -> float:
        """The shortest, in seconds; as the others that follow, 0 where there is none."""
        return self._values[0] / 1e6 if self._values else 0.0

    @property
    def max(self) -> float:
        """The longest, in seconds."""
        return self._values[-1] / 1e6 if self._values else 0.0

    @property
    def avg(self) -> float:
        """The mean, in seconds."""
        total = sum(value * count for value, count in zip(self._values, self._counts, strict=True))
        return total / self.count / 1e6 if self._values else 0.0

    def quantile(self, share: float) -> float:
        """The least latency, in seconds, that this share of the requests did not exceed."""
        if not self._values:
            return 0.0
        rank = max(1, -int(-share * self.count // 1))
        return self._values[bisect_left(self._ranks, rank)] / 1e6

    def up_to(self, bounds: Sequence[float]) -> list[int]:
        """How many took at most as long as each of `bounds`, in seconds."""
        places = (bisect_left(self._values, round(bound * 1e6) + 1) for bound in bounds)
        return [self._ranks[place - 1] if place else 0 for place in places]
