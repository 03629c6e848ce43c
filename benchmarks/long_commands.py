"""How long others wait while one long command is carried out: pings and local reads of another connection, every 5 ms,
while a subtree is deleted, a schema of many entities or fields is set, a snapshot restored."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import click

from benchmarks.entities import SCHEMAS, fields
from benchmarks.peers import FOLDER, durable_folder, start_node
from benchmarks.wire import Api
from tests.process import NodeProcess

__all__ = ["main"]

BATCH = 1_000
INTERVAL = 0.005
"""Seconds between two pings."""
LIMIT = 60
"""Seconds that a long command may take."""
FIELDS = 5_000
"""Own fields of a type; thrice as many types are set together."""
WORST = 5


class Pinger:
    """A process of its own that pings and reads."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._waits: Any = context.Queue()
        self._ended = context.Event()
        ready = context.Event()
        self._process = context.Process(target=_ping, args=(url, ready, self._ended, self._waits), daemon=True)
        self._process.start()
        ready.wait()

    def stop(self) -> list[float]:
        """End it; returns how long each call waited, in milliseconds."""
        self._ended.set()
        waits: list[float] = self._waits.get(timeout=LIMIT)
        self._process.join()
        return waits


def _ping(url: str, ready: Event, ended: Event, waits: Any) -> None:
    found: list[float] = []
    with Api(url) as api:
        api.call("ping")
        ready.set()
        while not ended.wait(INTERVAL):
            for method, params in (("ping", {}), ("get", {"id": 1, "fields": ["Name"], "consistency": "local"})):
                begun = time.monotonic()
                api.call(method, **params)
                found.append((time.monotonic() - begun) * 1000)
    waits.put(found)


def beside(node: NodeProcess, name: str, command: Callable[[Api], Any]) -> None:
    """Carry out a command while another process pings; print how long it took, and how long that waited."""
    with Api(node.url) as api:
        pinger = Pinger(node.url)
        begun = time.monotonic()
        command(api)
        seconds = time.monotonic() - begun
        time.sleep(0.3)
        waits = sorted(pinger.stop(), reverse=True)
    worst = ", ".join(f"{each:.0f}" for each in waits[:WORST])
    click.echo(f"{name:34} {seconds:6.2f} s, longest waits {worst} ms of {len(waits)}")


def folder_of(api: Api, count: int) -> int:
    """Create a folder with so many items; returns its id."""
    folder: int = api.call("create", type="BenchFolder", name="crowd", parent=1)["id"]
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        items = [{"type": "BenchItem", "name": f"item {n}", "parent": folder, "fields": fields(n, 1)} for n in numbers]
        api.batch([("create", item) for item in items])
    return folder


def wide(count: int, extra: int = 0) -> list[dict[str, Any]]:
    """Types with so many fields each."""
    own = [{"name": f"Field{n}", "dataType": "Int"} for n in range(count + extra)]
    return [{"entityType": f"Wide{n}", "inheritsFrom": ["Object"], "fields": own} for n in range(3)]


def upload(api: Api, document: str) -> str:
    """Hand in a document; returns the name of the upload."""
    size = 512 << 10
    for start in range(0, len(document), size):
        api.call("snapshot.upload", upload="bench", offset=start, chunk=document[start : start + size])
    return "bench"


def exported(api: Api) -> str:
    """The store as a document."""
    answer = api.call("snapshot.export")
    text = [answer["chunk"]]
    while answer.get("cursor"):
        answer = api.call("snapshot.export", cursor=answer["cursor"])
        text.append(answer["chunk"])
    return "".join(text)


def report(node: NodeProcess, count: int) -> None:
    """Measure and print."""
    with Api(node.url) as api:
        api.call("schema.set", schemas=SCHEMAS)
        folder = folder_of(api, count)
        document = exported(api)
    beside(node, "nothing", lambda api: time.sleep(1))
    added = {"dataType": "Int"}
    beside(node, "field.set, a new field", lambda api: api.call("field.set", type="BenchItem", field="X", schema=added))
    text = {"dataType": "String"}
    beside(
        node,
        "field.set that resets values",
        lambda api: api.call("field.set", type="BenchItem", field="Age", schema=text, reset=True, timeout=LIMIT),
    )
    beside(node, "schema.set of the same type", lambda api: api.call("schema.set", schemas=SCHEMAS[1:], reset=True))
    beside(node, "schema.set of many fields", lambda api: api.call("schema.set", schemas=wide(FIELDS)))
    beside(node, "schema.set of one more each", lambda api: api.call("schema.set", schemas=wide(FIELDS, 1)))
    beside(node, "delete", lambda api: api.call("delete", id=folder, timeout=LIMIT))
    for name in ("snapshot.restore into an empty tree", "snapshot.restore of the same"):
        with Api(node.url) as api:
            upload(api, document)
            beside(node, name, lambda _api: api.call("snapshot.restore", upload="bench", reset=True, timeout=LIMIT))
    with Api(node.url) as api:
        upload(api, json.dumps({"schemas": [], "tree": {"entityType": "Root", "Name": "Root"}}))
        beside(
            node,
            "snapshot.restore that prunes all",
            lambda _api: api.call("snapshot.restore", upload="bench", reset=True, prune=True, timeout=LIMIT),
        )


@click.command(help=__doc__)
@click.option("--count", default=100_000, show_default=True, type=click.IntRange(1), help="Entities of one type.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the node; emptied.")
def main(count: int, folder: Path) -> None:
    """Run one node, and have it carry out one command after the other."""
    node = start_node(durable_folder(folder))
    try:
        report(node, count)
    finally:
        node.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
