"""How long a server may be away from long work: alone the SDK would wait for it as long as the work itself may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from qcore.client import Store
from qcore.model.errors import ConnectionFailed
from qcore_tools.connecting import connected

__all__ = ["PATIENCE", "Lifeline", "with_server"]

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a server may be away."""


async def with_server(urls: Sequence[str], wait: float, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Connect as snapshot-tool and do work with the server, as long as there is one.

    Raises:
        ConnectionFailed: no server answers, none has a leader within `wait`, or it was away for too long.
    """
    lifeline = Lifeline(max(PATIENCE, wait))
    connecting = connected(urls, "snapshot-tool", wait, on_lost=lifeline.lost, on_connected=lifeline.found)
    async with connecting as store:
        return await lifeline.hold(work(store))


class Lifeline:
    """Gives work up where no server was there for `patience` seconds; `lost` and `found` hear of connections."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Future[Any] | None = None
        self._given_up = False
        self._why = ""

    def lost(self, reason: str) -> None:
        """A connection is lost, or could not be made again."""
        if self._timer is None:
            self._why = reason
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._give_up)

    def found(self, _url: str) -> None:
        """There is one again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def hold(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work that needs the server.

        Raises:
            ConnectionFailed: it was away for too long.
        """
        self._work = task = asyncio.ensure_future(work)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            raise ConnectionFailed(f"{self._why}; no server was there again for {self._patience:g} s") from None

    def _give_up(self) -> None:
        self._given_up = True
        if self._work is not None:
            self._work.cancel()
