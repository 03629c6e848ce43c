"""Clients that write under load and remember exactly what was acknowledged.

Plain JSON-RPC over websockets, without the SDK, so that a test sees every answer and every lost one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

__all__ = ["Writer", "call", "run_writers"]

LOST = (OSError, WebSocketException, EOFError)


async def call(ws: ClientConnection, method: str, **params: Any) -> Any:
    """One request, its result; an error of the server fails the test, but for its word that it is stopping."""
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    answer = json.loads(await ws.recv())
    if answer.get("error", {}).get("data", {}).get("kind") == "busy":
        raise ConnectionError(answer["error"]["message"])
    assert "error" not in answer, answer
    return answer["result"]


class Writer:
    """One connection that creates, counts and sets.

    Numbered adds go to `counter`, whose value must be the number of acknowledged adds, the one in doubt included once
    it was retried. `created` are names acknowledged, `tried` all names ever sent, `last` the last acknowledged set.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.counter = 0
        self.session = 0
        self.seq = 0
        self.pending: dict[str, Any] | None = None
        self.adds = 0
        self.created: list[str] = []
        self.tried: list[str] = []
        self.last = -1
        self.next = 0
        self.lost_in_flight = False

    async def prepare(self, url: str) -> None:
        """Make the counter and open the session."""
        async with connect(url) as ws:
            self.counter = (await call(ws, "create", type="Counter", name=f"counter {self.number}"))["id"]
            self.session = (await call(ws, "session.open"))["session"]

    async def run(self, url: str) -> None:
        """Write until the server is gone."""
        try:
            async with connect(url, ping_interval=None) as ws:
                while True:
                    await self._one(ws)
        except LOST:
            self.lost_in_flight = self.pending is not None

    async def settle(self, url: str) -> None:
        """Send the write in doubt again, under its number."""
        async with connect(url) as ws:
            if self.pending is not None:
                await self._add(ws)

    async def _one(self, ws: ClientConnection) -> None:
        if self.pending is not None:
            await self._add(ws)
        self.next += 1
        if self.next % 3 == 0:
            name = f"thing {self.number}.{self.next}"
            self.tried.append(name)
            await call(ws, "create", type="Thing", name=name)
            self.created.append(name)
        elif self.next % 3 == 1:
            await call(ws, "set", id=self.counter, field="Last", value=self.next)
            self.last = self.next
        else:
            self.seq += 1
            self.pending = {"id": self.counter, "field": "Adds", "value": 1, "mode": "add", "seq": self.seq}
            await self._add(ws)

    async def _add(self, ws: ClientConnection) -> None:
        assert self.pending is not None
        await call(ws, "set", **self.pending, session=self.session, acked=self.seq)
        self.pending = None
        self.adds += 1

    async def check(self, ws: ClientConnection) -> None:
        """Every acknowledged write is there, and none twice."""
        fields = (await call(ws, "get", id=self.counter, fields=["Adds", "Last"]))["fields"]
        assert fields["Adds"]["value"] == self.adds
        assert fields["Last"]["value"] >= self.last


async def run_writers(writers: Sequence[Writer], url: str) -> None:
    """Let all write at once until the server is gone."""
    await asyncio.gather(*(writer.run(url) for writer in writers))
