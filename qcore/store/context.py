"""What a command knows beyond the state and its own fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qcore.store.budget import Budget
from qcore.store.garbage import Garbage
from qcore.store.state.draft import Draft
from qcore.store.state.state import State

__all__ = ["LONG", "Context", "Made", "Read"]

LONG = 1_000
"""Entities and fields that a command touches from which on it is prepared beside the state, in slices."""

Read = Callable[[Any], Any]
"""Carries out a read where the answer is owed."""

Made = Sequence[int | None]
"""What each earlier step of a pipeline or transaction created, for `$n`."""


class Context:
    """One for the commands of an entry, and one for the steps of a pipeline or transaction, one after the other.

    `time` is that of the entry in ns. A command writes at `revision`, to which the state goes on when it ends if it
    says that it `wrote`. `made` is None outside of a compound. `read` is given where the answers of reads are owed.
    Steps spend the `budget` of their compound.

    A long command (`qcore.store.long_commands`) writes to a `draft` and leaves `garbage`, unless it is `at_once`.
    """

    __slots__ = ("at_once", "budget", "draft", "garbage", "made", "read", "revision", "time", "wrote")

    def __init__(self, time: int, read: Read | None = None) -> None:
        self.time = time
        self.budget = Budget()
        self.read = read
        self.made: list[int | None] | None = None
        self.revision = 0
        self.wrote = False
        self.draft: Draft | None = None
        self.garbage: Garbage | None = None
        self.at_once = True

    def begin_long(self, garbage: Garbage) -> None:
        """A command begins that stands alone and may be long."""
        self.draft, self.garbage, self.at_once = None, garbage, False

    def end_long(self) -> None:
        """It has ended."""
        self.draft = self.garbage = None
        self.at_once = True

    def workspace(self, state: State, size: int) -> State:
        """Where a command writes that touches so many things, once it has looked at all that it needs of the state."""
        if self.draft is None and not self.at_once:
            if size >= LONG:
                self.draft = Draft(state)
            else:
                self.at_once = True
        return state if self.draft is None else self.draft

    def for_steps(self, made: list[int | None]) -> Context:
        """The context of the steps of a compound, which writes at the same revision unless told otherwise."""
        steps = Context(self.time)
        steps.budget = self.budget
        steps.made = made
        steps.revision = self.revision
        return steps
