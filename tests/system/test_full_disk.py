"""A disk filled by the node's own log: there is a way back, played to the end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.process import DEADLINE, NodeProcess
from tests.system.load import call

NodeFactory = Callable[..., NodeProcess]

LONG = "x" * 100_000
TYPE = {"entityType": "Note", "fields": [{"name": "Text", "dataType": "String"}]}


@pytest.fixture(params=["size=60m", "size=200m", "size=400m,nr_inodes=400"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system with so many MB, or so many files."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def ask(ws: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    """One request and its whole answer."""
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    answer: dict[str, Any] = json.loads(await ws.recv())
    return answer


async def fill(ws: ClientConnection) -> list[int]:
    """Create a hundred long entities, and more until the disk is full and stays so for a while; return their ids."""
    made: list[int] = []
    end = time.monotonic() + DEADLINE
    refused = 0
    while refused < 200 or len(made) < 100:
        answer = await ask(ws, "create", type="Note", name=f"n{len(made)}", fields={"Text": LONG})
        if "result" in answer:
            made.append(answer["result"]["id"])
            refused = 0
        else:
            assert answer["error"]["data"]["kind"] == "disk_full", answer
            refused += 1
        assert time.monotonic() < end
    return made


async def acknowledged(ws: ClientConnection, method: str, **params: Any) -> None:
    """Ask until it is done: a deletion may have to wait for a snapshot."""
    end = time.monotonic() + DEADLINE
    while "error" in (answer := await ask(ws, method, **params)):
        assert answer["error"]["data"]["kind"] == "disk_full", answer
        assert time.monotonic() < end, answer


async def lived(url: str) -> str:
    """Fill the disk, delete all, write again, and so once more; return the digest."""
    async with connect(url, max_size=None) as ws:
        await call(ws, "schema.set", schema=TYPE)
        for _ in range(2):
            for id in await fill(ws):
                await acknowledged(ws, "delete", id=id)
            await acknowledged(ws, "create", type="Note", name="again", fields={"Text": LONG})
        return str((await call(ws, "digest"))["digest"])


async def found_then_written(url: str) -> tuple[str, int]:
    async with connect(url) as ws:
        found = str((await call(ws, "digest"))["digest"])
        await call(ws, "create", type="Note", name="after", fields={"Text": LONG})
        return found, int((await call(ws, "count", type="Note"))["count"])


def test_a_disk_filled_and_emptied_takes_writes_again(node_factory: NodeFactory, disk: Path) -> None:
    node = node_factory(name=f"{disk.name}/data")
    try:
        node.start()
        expected = asyncio.run(lived(node.url))
        assert node.stop() == 0
        node.start()
        assert asyncio.run(found_then_written(node.url)) == (expected, 3)
        node.kill()
        node.start()
        assert asyncio.run(found_then_written(node.url))[1] == 4
        assert node.stop() == 0
    finally:
        node.kill()
