"""Reads inside pipelines and transactions: at once and whole, as no other client's command may come in between.

Nobody is served meanwhile, so that the reads of one command have limits together. What goes beyond them is answered
with an error in its own place, as any read that fails; the writes beside it are done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import GeneratorType
from typing import Any

import msgspec

from qcore.model.errors import Timeout, TooLarge
from qcore.model.wire import encode_json
from qcore.server.runtime import budgets

__all__ = ["InlineReads"]


class InlineReads:
    """Carries out the reads of one command after another by `run`, which gives a result or a work that returns it."""

    def __init__(
        self, run: Callable[[Any], Any], most_bytes: int, most_seconds: float = budgets.INLINE_READS_SECONDS
    ) -> None:
        self._run = run
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self.spent = False
        """Whether the present command had any."""
        self._bytes = 0
        self._seconds = 0.0

    def begin(self) -> None:
        """The next command is about to be applied."""
        self.spent = False
        self._bytes, self._seconds = 0, 0.0

    def read(self, params: Any) -> msgspec.Raw:
        """The JSON of a read's result.

        Raises:
            TooLarge: the reads before it have the bytes there are.
            Timeout: all of them have taken the time there is.
            RequestError: the read fails.
        """
        if self._bytes > self._most_bytes:
            size = f"have {self._bytes} bytes, those of one command at most {self._most_bytes}"
            raise TooLarge(f"the reads before this one {size}: ask for less at a time")
        self.spent = True
        begun = time.monotonic()
        try:
            answer = encode_json(self._through(params, begun + self._most_seconds - self._seconds))
        finally:
            self._seconds += time.monotonic() - begun
        self._bytes += len(answer)
        return msgspec.Raw(answer)

    def _through(self, params: Any, end: float) -> Any:
        if time.monotonic() < end:
            result = self._run(params)
            if type(result) is not GeneratorType:
                return result
            try:
                while time.monotonic() < end:
                    next(result)
            except StopIteration as done:
                return done.value
        raise Timeout(
            f"the reads of a pipeline or transaction have {self._most_seconds:g} s together, as nobody else is "
            "served meanwhile: ask for less, or send them by themselves"
        )
