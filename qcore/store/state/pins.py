"""The open views of something, and its end: it is taken apart in pieces as soon as nobody reads it any more."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Generic, TypeVar

__all__ = ["Pins", "Retire", "Work"]

Work = Generator[None, None, None]
"""Something that takes long, and pauses."""

Retire = Callable[[Work], object]
"""Sees to it that a work is run to its end."""

T = TypeVar("T")


class Pins(Generic[T]):
    """The views that are `open`."""

    __slots__ = ("_retired", "open")

    def __init__(self) -> None:
        self.open: list[T] = []
        self._retired: Callable[[], object] | None = None

    def enter(self, view: T) -> None:
        """A view is open from now on."""
        self.open.append(view)

    def leave(self, view: T) -> None:
        """A view is not read any more; it may have left before."""
        if view in self.open:
            self.open.remove(view)
            self._check()

    def retire(self, take_apart: Callable[[], Work], retire: Retire) -> None:
        """Hand over the work of taking apart what the views are of: now, or when the last one leaves."""
        self._retired = lambda: retire(take_apart())
        self._check()

    def _check(self) -> None:
        if self._retired is not None and not self.open:
            retired, self._retired = self._retired, None
            retired()
