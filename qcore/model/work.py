"""Long work that pauses, so that others have their turn: the word for it in all rooms.

A **work** is a generator that yields None wherever it may pause, and returns its result. It never yields anything else.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

__all__ = ["PACE", "Pace", "Work", "emptying", "run_whole"]

T = TypeVar("T")

Work = Generator[None, None, T]
"""Yields to pause, returns the result."""

PACE = 500
"""Units between two pauses: a field that is looked at, laid out or hashed is one."""


class Pace:
    """Says when a work has done enough since its last pause."""

    __slots__ = ("_done",)

    def __init__(self) -> None:
        self._done = 0

    def is_due(self, units: int = 1) -> bool:
        """Count what was done; whether it is time for a pause, which is taken for granted."""
        self._done += units
        if self._done < PACE:
            return False
        self._done = 0
        return True


def emptying(*collections: list[Any] | dict[Any, Any] | set[Any]) -> Work[None]:
    """Free what nobody uses any more: all at once, many things take long."""
    for each in collections:
        take = each.popitem if isinstance(each, dict) else each.pop
        while each:
            for _ in range(min(PACE, len(each))):
                take()
            yield


def run_whole(work: Work[T]) -> T:
    """Run a work to its end without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
