"""What the link tells the operator, sans-I/O: rate-limited, with a count of what was held back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from qcore.cluster import budgets

__all__ = ["Level", "Notice", "Notices", "Tell"]

Level = Literal["debug", "info", "warning", "error"]


class Notice(msgspec.Struct, frozen=True):
    """One line for the log.

    Attributes:
        event: a stable word that programs look for.
        key: whom it is about, such as an address.
        message: a sentence for people.
        count: how often it happened since it was told last, this time included.
    """

    level: Level
    event: str
    key: str
    message: str
    count: int = 1


Tell = Callable[[Notice], None]


class _Pause(msgspec.Struct):
    until: float
    length: float
    held: Notice | None = None


class Notices:
    """Tells the first notice of an event about somebody at once, and those of the `pause` seconds after it as one.

    As long as it goes on, each pause is twice as long as the one before, up to `longest`.
    """

    def __init__(
        self,
        tell: Tell,
        pause: float = budgets.NOTICE_SECONDS,
        longest: float = budgets.LONGEST_NOTICE_SECONDS,
        most: int = budgets.NOTICE_KEYS,
    ) -> None:
        self._tell = tell
        self._pause = pause
        self._longest = longest
        self._most = most
        self._pauses: dict[tuple[str, str], _Pause] = {}

    def note(self, level: Level, event: str, key: str, message: str, now: float) -> None:
        """Tell it now, or with others when `due` is asked at `next_due`."""
        notice = Notice(level, event, key, message)
        pause = self._pauses.get((event, key))
        if pause is not None and now < pause.until:
            pause.held = msgspec.structs.replace(notice, count=1 + (pause.held.count if pause.held else 0))
            return
        length = self._pause
        if pause is not None and pause.held is not None:
            notice = msgspec.structs.replace(notice, count=1 + pause.held.count)
            length = min(2 * pause.length, self._longest)
        self._begin((event, key), now, length)
        self._tell(notice)

    def next_due(self) -> float | None:
        """When `due` is to be asked, None while nothing is held back."""
        return min((pause.until for pause in self._pauses.values() if pause.held), default=None)

    def due(self, now: float) -> None:
        """Tell what was held back long enough."""
        for key, pause in list(self._pauses.items()):
            if now >= pause.until:
                self._tell_held(key, pause, now)

    def flush(self) -> None:
        """Tell all that was held back: the link ends."""
        pauses, self._pauses = self._pauses, {}
        for pause in pauses.values():
            if pause.held is not None:
                self._tell(pause.held)

    def _tell_held(self, key: tuple[str, str], pause: _Pause, now: float) -> None:
        if pause.held is None:
            self._pauses.pop(key, None)
        else:
            self._begin(key, now, min(2 * pause.length, self._longest))
            self._tell(pause.held)

    def _begin(self, key: tuple[str, str], now: float, length: float) -> None:
        self._pauses.pop(key, None)
        self._pauses[key] = _Pause(now + length, length)
        while len(self._pauses) > self._most:
            held = self._pauses.pop(next(iter(self._pauses))).held
            if held is not None:
                self._tell(held)
