"""Listeners of a real node that is killed: going on from the last revision heard, they hear everything once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.process import NodeProcess
from tests.system.load import LOST, Writer, call, run_writers
from tests.system.test_kill import prepare, stop_when_busy

ROUNDS = 4
CLIENTS = 8
SEED = 20261125


class Ear:
    """A listener on a type that goes on where it was: revisions heard whole, and the last value of each entity."""

    def __init__(self, target: str, field: str) -> None:
        self.target = target
        self.field = field
        self.since = 0
        self.revisions: list[int] = []
        self.values: dict[int, Any] = {}
        self._part: list[dict[str, Any]] = []

    async def hear(self, url: str, enough: Callable[[], bool]) -> None:
        """Listen until there is enough, or the server is gone."""
        self._part = []
        try:
            async with connect(url, max_size=None) as ws:
                answer = await call(ws, "listen", target=self.target, field=self.field, since=self.since)
                assert answer["revision"] == self.since
                while not enough():
                    self._take(await self._event(ws))
        except LOST:
            pass

    async def _event(self, ws: ClientConnection) -> dict[str, Any]:
        params: dict[str, Any] = json.loads(await ws.recv())["params"]
        return params

    def _take(self, event: dict[str, Any]) -> None:
        assert event["kind"] != "lost", event
        assert event["revision"] >= self.since
        if event["kind"] == "bookmark":
            self.since = event["revision"]
            return
        self._part.append(event)
        if not event.get("last"):
            return
        assert {each["revision"] for each in self._part} == {event["revision"]}
        assert event["revision"] > self.since
        self.since = event["revision"]
        self.revisions.append(self.since)
        for each in self._part:
            if each["kind"] == "changed":
                previous = 0 if each["previous"] is None else each["previous"]["value"]
                assert self.values.get(each["id"], 0) == previous, "an event is missing"
                self.values[each["id"]] = each["current"]["value"]
        self._part = []


def test_whoever_goes_on_after_a_kill_hears_everything_once(node_factory: Callable[..., NodeProcess]) -> None:
    chance = random.Random(SEED)
    # Without snapshots on the way: the history begins anew at each start, from the newest snapshot on.
    node = node_factory("--max-log-files", "100000", name="events")
    node.start()
    writers = [Writer(number) for number in range(CLIENTS)]
    asyncio.run(prepare(node.url, writers))
    ears = [Ear("Counter", "Adds"), Ear("Object", "Adds")]

    async def a_round() -> None:
        listening = [asyncio.ensure_future(ear.hear(node.url, lambda: False)) for ear in ears]
        await run_writers(writers, node.url)
        await asyncio.gather(*listening)

    for _ in range(ROUNDS):
        killer = stop_when_busy(node, writers, chance.randrange(50, 300), node.kill)
        asyncio.run(a_round())
        killer.join()
        node.start()
        asyncio.run(settle(node.url, writers))
    adds = {writer.counter: writer.adds for writer in writers}
    for ear in ears:
        asyncio.run(ear.hear(node.url, lambda ear=ear: ear.values == adds))  # type: ignore[misc]
        assert ear.values == adds
        assert sorted(set(ear.revisions)) == ear.revisions
    assert ears[0].revisions[-1] == ears[1].revisions[-1]
    assert node.stop() == 0


async def settle(url: str, writers: list[Writer]) -> None:
    await asyncio.gather(*(writer.settle(url) for writer in writers))
