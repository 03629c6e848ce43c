"""The nodes that were refused lately, for INFO: each for as long as it keeps trying."""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.server.runtime import budgets

__all__ = ["RefusedNodes"]


class RefusedNodes:
    """Sentences, one for each address and reason, the newest last; on any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[str, tuple[float, str]] = {}

    def note(self, key: str, sentence: str) -> None:
        """Somebody was refused, or refused this node."""
        self._found.pop(key, None)
        self._found[key] = self._clock(), sentence
        while len(self._found) > budgets.REFUSED_NODES:
            self._found.pop(next(iter(self._found)), None)

    def sentences(self) -> list[str]:
        """What was noted in the last `REFUSED_SECONDS`."""
        since = self._clock() - budgets.REFUSED_SECONDS
        return [sentence for noted, sentence in list(self._found.values()) if noted >= since]
