"""kill -9 in a loop under load: what was acknowledged is there, once, and the digest survives a restart."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.process import NodeProcess
from tests.system.load import Writer, call, run_writers

ROUNDS = 5
CLIENTS = 20
SEED = 20261124

SCHEMAS = [
    {
        "entityType": "Counter",
        "fields": [{"name": "Adds", "dataType": "Int"}, {"name": "Last", "dataType": "Int", "default": -1}],
    },
    {"entityType": "Thing"},
]


async def names_of(ws: ClientConnection, type_name: str) -> list[str]:
    names: list[str] = []
    cursor = None
    while True:
        page = await call(ws, "find", type=type_name, limit=10_000, cursor=cursor)
        names += [item["name"] for item in page["items"]]
        cursor = page.get("cursor")
        if cursor is None:
            return names


async def digest_of(url: str) -> Any:
    async with connect(url) as ws:
        return (await call(ws, "digest"))["digest"]


async def prepare(url: str, writers: list[Writer]) -> None:
    async with connect(url) as ws:
        await call(ws, "schema.set", schemas=SCHEMAS)
    await asyncio.gather(*(writer.prepare(url) for writer in writers))


async def settle_and_check(url: str, writers: list[Writer]) -> None:
    await asyncio.gather(*(writer.settle(url) for writer in writers))
    async with connect(url, max_size=None) as ws:
        for writer in writers:
            await writer.check(ws)
        found = Counter(await names_of(ws, "Thing"))
    acknowledged = {name for writer in writers for name in writer.created}
    tried = {name for writer in writers for name in writer.tried}
    assert acknowledged <= found.keys() <= tried
    assert max(found.values(), default=1) == 1


def stop_when_busy(node: NodeProcess, writers: list[Writer], more: int, stop: Callable[[], object]) -> threading.Thread:
    """Call `stop` once the writers have had `more` further adds acknowledged."""
    goal = sum(writer.adds for writer in writers) + more
    done = threading.Event()

    def watch() -> None:
        while sum(writer.adds for writer in writers) < goal and node.running:
            done.wait(0.001)
        stop()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


SMALL_LOG = ("--max-log-files", "20", "--log-cleanup-interval", "1")
"""Limits that have a snapshot or a purge under way nearly all the time."""


@pytest.mark.parametrize("flags", [(), SMALL_LOG], ids=["log", "snapshots"])
def test_kill_in_a_loop_under_load_loses_nothing_and_repeats_nothing(
    node_factory: Callable[..., NodeProcess], flags: tuple[str, ...]
) -> None:
    chance = random.Random(SEED)
    node = node_factory(*flags, name="kill")
    node.start()
    writers = [Writer(number) for number in range(CLIENTS)]
    asyncio.run(prepare(node.url, writers))
    in_flight = 0
    for _ in range(ROUNDS):
        killer = stop_when_busy(node, writers, chance.randrange(50, 600), node.kill)
        asyncio.run(run_writers(writers, node.url))
        killer.join()
        in_flight += sum(writer.lost_in_flight for writer in writers)
        node.start()
        asyncio.run(settle_and_check(node.url, writers))
    assert in_flight, "no kill happened while a write was in flight: nothing was proved"
    before = asyncio.run(digest_of(node.url))
    node.kill()
    node.start()
    assert asyncio.run(digest_of(node.url)) == before
    if flags:
        assert node.events("log_replayed")[0]["snapshot"] is not None
        assert not (node.data_dir / "logs" / "0.json").exists()
    assert node.stop() == 0


def test_sigterm_under_load_ends_cleanly_with_all_that_was_acknowledged(
    node_factory: Callable[..., NodeProcess],
) -> None:
    node = node_factory(name="term")
    node.start()
    writers = [Writer(number) for number in range(5)]
    asyncio.run(prepare(node.url, writers))
    codes: list[int] = []
    stopper = stop_when_busy(node, writers, 200, lambda: codes.append(node.stop()))
    asyncio.run(run_writers(writers, node.url))
    stopper.join()
    assert codes == [0]
    node.start()
    asyncio.run(settle_and_check(node.url, writers))
