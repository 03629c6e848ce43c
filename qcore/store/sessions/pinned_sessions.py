"""The sessions as they were when a snapshot was begun."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qcore.store.state.pins import Pins

if TYPE_CHECKING:
    from qcore.store.sessions.sessions import Answer, Session

__all__ = ["PinnedSessions"]


class PinnedSessions:
    """The sessions as they were; each is copied when it is used the next time. Release it in the end."""

    def __init__(self, live: OrderedDict[int, Session], pins: Pins[PinnedSessions]) -> None:
        self._live = live
        self._pins = pins
        self._ids = list(live)
        self._kept: dict[int, tuple[int, int, dict[int, Answer]]] = {}

    def keep(self, id: int, session: Session) -> None:
        """Remember a session before it changes."""
        if id not in self._kept:
            self._kept[id] = session.used, session.low, dict(session.answers)

    def all(self) -> Iterator[tuple[int, int, int, dict[int, Answer]]]:
        """Id, time of last use, lowest number and answers of each, the longest unused first."""
        for id in self._ids:
            if id not in self._kept:
                self.keep(id, self._live[id])
            yield id, *self._kept[id]

    def release(self) -> None:
        """Cost nothing any more; not to be read again."""
        self._pins.leave(self)
