"""Counts of faults, of one run and of many, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Tally", "in_words"]


class Tally(NamedTuple):
    """What many runs have seen.

    Attributes:
        seeds: those that went well.
        faults: how often which fault has struck, and what nodes did because of it.
        operations: of clients, `unknown` of them with unknown outcome.
        seconds: how long the runs took.
    """

    seeds: list[int]
    faults: Counter[str]
    operations: int = 0
    unknown: int = 0
    seconds: float = 0.0

    def plus(self, seed: int, faults: Mapping[str, int], operations: int, unknown: int, seconds: float) -> Tally:
        """With one more run."""
        return Tally(
            [*self.seeds, seed],
            self.faults + Counter(faults),
            self.operations + operations,
            self.unknown + unknown,
            self.seconds + seconds,
        )

    def describe(self) -> str:
        """The sum of all runs, in a few lines."""
        lines = [
            f"{len(self.seeds)} runs in {self.seconds / 60:.1f} minutes, {self.operations} operations, {self.unknown} "
            "with unknown outcome: none lost, none doubled, all linearizable, all digests equal",
            f"faults: {in_words(self.faults)}",
        ]
        return "\n".join(lines if self.seeds else ["no run was finished"])


def in_words(faults: Mapping[str, int]) -> str:
    """``kill 2, pause of leader 1``, by name."""
    return ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))
