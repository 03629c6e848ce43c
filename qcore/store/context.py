"""What a command knows beyond the state and its own fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qcore.store.budget import Budget

__all__ = ["Context", "Made", "Read"]

Read = Callable[[Any], Any]
"""Carries out a read where the answer is owed."""

Made = Sequence[int | None]
"""What each earlier step of a pipeline or transaction created, for `$n`."""


class Context:
    """One for the commands of an entry, and one for the steps of a pipeline or transaction, one after the other.

    `time` is that of the entry in ns. A command writes at `revision`, to which the state goes on when it ends if it
    says that it `wrote`. `made` is None outside of a compound. `read` is given where the answers of reads are owed.
    Steps spend the `budget` of their compound.
    """

    __slots__ = ("budget", "made", "read", "revision", "time", "wrote")

    def __init__(self, time: int, read: Read | None = None) -> None:
        self.time = time
        self.budget = Budget()
        self.read = read
        self.made: list[int | None] | None = None
        self.revision = 0
        self.wrote = False

    def for_steps(self, made: list[int | None]) -> Context:
        """The context of the steps of a compound, which writes at the same revision unless told otherwise."""
        steps = Context(self.time)
        steps.budget = self.budget
        steps.made = made
        steps.revision = self.revision
        return steps
