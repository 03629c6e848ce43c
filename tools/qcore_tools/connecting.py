"""The connection of a tool: to the first server that answers and, if it is to be waited for, has a leader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from qcore.client import Store, connect
from qcore.client.store import DEFAULT_TIMEOUT
from qcore.model.errors import ConnectionFailed

__all__ = ["connected"]

LEADER_PAUSE = 0.1


@asynccontextmanager
async def connected(
    urls: Sequence[str],
    tool: str,
    wait: float = 0.0,
    *,
    patience: float = DEFAULT_TIMEOUT,
    on_lost: Callable[[str], None] | None = None,
    on_connected: Callable[[str], None] | None = None,
) -> AsyncIterator[Store]:
    """Connect as `tool`, the name that servers show; `wait` is for how many seconds a leader is looked for.

    `patience` is how many seconds each request has that names no time-out, a server that is away in between included.

    Raises:
        ConnectionFailed: no server answers, or none with a leader within `wait`.
    """
    deadline = time.monotonic() + wait
    async with connect(
        urls, client=tool, timeout=patience, wait=wait, on_lost=on_lost, on_connected=on_connected
    ) as store:
        while wait and (await store.info()).leader is None:
            if time.monotonic() > deadline:
                raise ConnectionFailed(f"no leader after {wait:g} s")
            await asyncio.sleep(LEADER_PAUSE)
        yield store
