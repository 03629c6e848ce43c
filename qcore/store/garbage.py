"""What a long command leaves behind: to free it takes long, too, so that it is done in pieces when all else is."""

from __future__ import annotations

from typing import Any

from qcore.model.work import Work, emptying

__all__ = ["Garbage"]


class Garbage:
    """Works that free something."""

    def __init__(self) -> None:
        self._works: list[Work[None]] = []

    def add(self, work: Work[None]) -> None:
        """Take on such a work."""
        self._works.append(work)

    def add_all(self, *collections: list[Any] | dict[Any, Any] | set[Any]) -> None:
        """Take on what nobody uses any more."""
        self._works.append(emptying(*collections))

    def free(self) -> Work[None]:
        """Free everything, what came last first."""
        while self._works:
            yield from self._works.pop()
