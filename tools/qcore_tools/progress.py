"""How far long work has come, on standard error and on a terminal only."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Progress", "waiting"]

T = TypeVar("T")

PAUSE = 0.1
"""Seconds between two updates."""

BAR = 30


class Progress:
    """Counts `what` up to `total` (None: nobody knows); the line is gone when the block ends.

    With `counted` false only the time is told that `what` takes.
    """

    def __init__(self, what: str, total: int | None = None, *, counted: bool = True) -> None:
        self._what = what
        self._total = total
        self._counted = counted
        self._done = 0
        self._begin = self._shown = time.monotonic()
        self._visible = False
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if self._terminal and now - self._shown >= PAUSE:
            self._shown = now
            self._write(f"\r{self._line(now - self._begin)}\x1b[K")
            self._visible = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the line away, as something else is to be written; it comes back when more is done."""
        if self._visible:
            self._visible = False
            self._write("\r\x1b[K")

    def _line(self, seconds: float) -> str:
        text = f"{self._done:,} {self._what}" if self._counted else self._what
        text += f", {seconds:.0f} s"
        if not self._total:
            return text
        filled = BAR * min(self._done, self._total) // self._total
        return f"[{'#' * filled}{'.' * (BAR - filled)}] {100 * self._done // self._total:3d} %  {text}"

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self._terminal = self._visible = False


async def waiting(what: str, work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that somebody else does, and tell meanwhile how long that takes."""
    task = asyncio.ensure_future(work)
    try:
        with Progress(what, counted=False) as progress:
            while not (await asyncio.wait({task}, timeout=PAUSE))[0]:
                progress.advance(0)
        return task.result()
    finally:
        task.cancel()
