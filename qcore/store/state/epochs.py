"""The names of histories: which epochs the state has seen, each from which revision on.

Every leadership opens with an epoch of its own, chance that no other history has. Who knows a revision and the epoch
that was the current one then can be told whether what it knows is of this history: a data directory that was
replaced by an older backup, or by an empty one, has other epochs behind the place where the two part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from qcore.store.state.digest import epoch_hash

__all__ = ["EPOCHS_LEVEL", "MAX_EPOCHS", "Epochs", "Judgement"]

EPOCHS_LEVEL = 2
"""Feature level from which on there are epochs."""

MAX_EPOCHS = 1_000
"""The newest ones are kept."""

Judgement = Literal["known", "other", "unknown"]


class Epochs:
    """Of a state; empty until the first leader of a level that has them."""

    def __init__(self) -> None:
        self.current: str | None = None
        """The newest epoch."""
        self.sum = 0
        """Of the hashes of all epochs, for comparisons of replicas."""
        self._bounds: dict[str, tuple[int, int | None]] = {}
        """Epoch -> its first revision and that of the next one, the oldest first."""

    def __len__(self) -> int:
        return len(self._bounds)

    def __contains__(self, epoch: object) -> bool:
        return epoch in self._bounds

    @property
    def all(self) -> list[tuple[str, int]]:
        """Each epoch with its first revision, the oldest first."""
        return [(epoch, first) for epoch, (first, _) in self._bounds.items()]

    def open(self, epoch: str, first: int) -> None:
        """Let an epoch begin with a revision that is still to come; one that was opened before begins nothing."""
        if epoch in self._bounds:
            return
        if self.current is not None:
            self._bounds[self.current] = self._bounds[self.current][0], first
        self._bounds[epoch] = first, None
        self.sum += epoch_hash(epoch, first)
        self.current = epoch
        if len(self._bounds) > MAX_EPOCHS:
            oldest = next(iter(self._bounds))
            self.sum -= epoch_hash(oldest, self._bounds.pop(oldest)[0])

    def load(self, listed: Iterable[tuple[str, int]]) -> None:
        """Take the epochs of a snapshot."""
        for epoch, first in listed:
            self.open(epoch, first)

    def at(self, revision: int) -> str | None:
        """The newest epoch in which this history was at a revision, None if that was before the oldest listed."""
        for epoch, (first, _) in reversed(self._bounds.items()):
            if first - 1 <= revision:
                return epoch
        return None

    def belongs(self, epoch: str, revision: int) -> bool:
        """Whether this history was at a revision while the epoch was the current one."""
        first, _ = self._bounds.get(epoch, (0, 0))
        return self.reaches(epoch, revision) and first - 1 <= revision

    def reaches(self, epoch: str, revision: int) -> bool:
        """Whether this history had got as far as a revision before the epoch ended: whoever was told of the revision
        while the epoch was the current one, of whatever age it was by then, was told of this history."""
        if epoch not in self._bounds:
            return False
        _, after = self._bounds[epoch]
        return after is None or revision < after

    def judge(self, epoch: str, revision: int) -> Judgement:
        """What a revision is that somebody was at in an epoch: of this history, of another one, or not to be told.

        An epoch that is not listed may be of a leader that this node has not heard of yet. Behind a read barrier it
        is of another history.
        """
        if epoch not in self._bounds:
            return "unknown"
        return "known" if self.belongs(epoch, revision) else "other"
