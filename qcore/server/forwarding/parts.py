"""Parts of long writes that another node has sent, until the write itself comes."""

from __future__ import annotations

import msgspec

from qcore.model.wire import text_size

__all__ = ["Parts"]


class _Staged(msgspec.Struct):
    deadline: float
    texts: list[tuple[str, int]] = []
    """Each with its bytes."""
    whole: bool = True


class Parts:
    """By the name of their write; at most `max_bytes` together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._staged: dict[str, _Staged] = {}

    def __len__(self) -> int:
        return len(self._staged)

    def add(self, stage: str, number: int, text: str, deadline: float) -> bool:
        """Keep a part until its write comes or the deadline passes; False if it does not fit, or does not follow."""
        staged = self._staged.setdefault(stage, _Staged(deadline))
        size = text_size(text)
        if not staged.whole or number != len(staged.texts) or self._size + size > self._max_bytes:
            self._free(staged)
            staged.whole = False
            return False
        staged.texts.append((text, size))
        self._size += size
        return True

    def take(self, stage: str, count: int) -> list[tuple[str, int]] | None:
        """The parts of a write, which are kept no longer; None if they are not all there."""
        staged = self._staged.pop(stage, None)
        if staged is None:
            return None
        texts = staged.texts
        self._size -= sum(size for _, size in texts)
        return texts if staged.whole and len(texts) == count else None

    def sweep(self, now: float) -> None:
        """Drop those whose write has not come by its deadline."""
        for stage in [stage for stage, staged in self._staged.items() if staged.deadline <= now]:
            self._free(self._staged.pop(stage))

    def _free(self, staged: _Staged) -> None:
        self._size -= sum(size for _, size in staged.texts)
        staged.texts = []
