"""Many entities in one node: time to create them through batches, memory of each, time to start again, and what a
snapshot costs those who write meanwhile."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from benchmarks.load import Load, Measured, build, measure
from benchmarks.peers import FOLDER, durable_folder, start_node
from benchmarks.wire import Api, json_rpc, websocket_frame, write_messages
from tests.process import NodeProcess

__all__ = ["main"]

SCHEMAS: list[dict[str, Any]] = [
    {"entityType": "BenchFolder", "inheritsFrom": ["Object"], "fields": []},
    {
        "entityType": "BenchItem",
        "inheritsFrom": ["Object"],
        "fields": [
            {"name": "Title", "dataType": "String"},
            {"name": "Email", "dataType": "String"},
            {"name": "Age", "dataType": "Int"},
            {"name": "Height", "dataType": "Float"},
            {"name": "IsActive", "dataType": "Bool"},
            {"name": "Level", "dataType": "Choice", "choices": ["low", "middle", "high"]},
            {"name": "Since", "dataType": "Timestamp"},
            {"name": "Place", "dataType": "EntityReference"},
        ],
    },
]
FOLDER_SIZE = 1_000
BATCH = 1_000
_BEGUN = 1.0
"""Seconds after which the load surely runs."""


def fields(number: int, folder: int) -> dict[str, Any]:
    """Eight values, different for each entity as real ones are."""
    return {
        "Title": f"Engineer number {number}",
        "Email": f"user{number}@example.com",
        "Age": 18 + number % 60,
        "Height": 1.5 + number % 997 / 1000,
        "IsActive": number % 3 > 0,
        "Level": ("low", "middle", "high")[number % 3],
        "Since": 1_700_000_000_000_000_000 + number * 1_000_000_007,
        "Place": folder,
    }


def create(api: Api, count: int) -> None:
    """Create `count` items below as many folders as they need, in batches."""
    needed = -(-count // FOLDER_SIZE)
    folder = {"type": "BenchFolder", "parent": 1}
    made = api.batch([("create", folder | {"name": f"folder {n}"}) for n in range(needed)])
    for start in range(0, count, BATCH):
        items = []
        for number in range(start, min(start + BATCH, count)):
            parent = made[number // FOLDER_SIZE]["id"]
            item = {"type": "BenchItem", "name": f"item {number}", "parent": parent, "fields": fields(number, parent)}
            items.append(("create", item))
        api.batch(items)


def start_again(node: NodeProcess) -> float:
    """Start the node; return the seconds from the process's start to its `listening`."""
    begun = time.monotonic()
    node.start()
    return time.monotonic() - begun


def press(node: NodeProcess, seconds: float) -> Measured:
    """Write ages from 20 connections."""
    messages = FOLDER / "entities.messages"
    with Api(node.url) as api:
        ids = [item["id"] for item in api.call("find", type="BenchItem", limit=1000)["items"]]
    writes = (json_rpc(n, "set", {"id": id, "field": "Age", "value": n % 90}) for n, id in enumerate(ids))
    write_messages(messages, map(websocket_frame, writes))
    return measure(build(FOLDER), "ws", node.address, messages, Load(20), "--seconds", str(seconds))


def snapshot_under_load(node: NodeProcess) -> None:
    """Write for a while, then again while a snapshot is taken."""
    quiet = press(node, 3)
    with Api(node.url) as api, ThreadPoolExecutor() as threads:
        load = threads.submit(press, node, 3)
        time.sleep(_BEGUN)
        api.call("snapshot.take", timeout=600)
        busy = load.result()
    (record,) = node.events("snapshot_taken")[-1:]
    size, seconds = record["bytes"] / 2**20, record["seconds"]
    click.echo(f"snapshot {size:,.0f} MiB in {seconds:.1f} s while 20 connections write")
    for name, one in (("without", quiet), ("beside", busy)):
        times = f"p50 {one.p50_us / 1000:.1f}, p99 {one.p99_us / 1000:.1f}, longest {one.max_us / 1000:.1f} ms"
        click.echo(f"writes   {name}: {one.rate:,.0f}/s, {times}, {one.errors} errors")


def schema_change_under_load(node: NodeProcess) -> None:
    """Write while all items get one field more, and then lose it."""
    added = [*SCHEMAS[1]["fields"], {"name": "Extra", "dataType": "Int"}]
    for name, fields in (("gained", added), ("lost", SCHEMAS[1]["fields"])):
        with Api(node.url) as api, ThreadPoolExecutor() as threads:
            load = threads.submit(press, node, 3)
            time.sleep(_BEGUN)
            begun = time.monotonic()
            api.call("schema.set", schemas=[{**SCHEMAS[1], "fields": fields}], timeout=600)
            seconds = time.monotonic() - begun
            longest = load.result().max_us / 1000
        click.echo(f"schema   a field {name} in {seconds:.1f} s, longest wait of a writer {longest:,.0f} ms")


def restarts(node: NodeProcess, what: str) -> None:
    """Stop, start, kill, start; the digest has to stay."""
    with Api(node.url) as api:
        digest = api.call("digest")["digest"]
    for name, end in (("stop", node.stop), ("kill -9", node.kill)):
        end()
        seconds = start_again(node)
        with Api(node.url) as api:
            same = "same digest" if api.call("digest")["digest"] == digest else "ANOTHER DIGEST"
        memory = node.resident_bytes() / 2**20
        click.echo(f"restart  from {what} after {name}: {seconds:.1f} s until it listens, {memory:,.0f} MiB, {same}")


def report(node: NodeProcess, count: int) -> None:
    """Measure and print."""
    with Api(node.url) as api:
        api.call("schema.set", schemas=SCHEMAS)
        api.call("create", type="BenchItem", name="the first", fields=fields(0, 1))
        before, begun = node.resident_bytes(), time.monotonic()
        create(api, count)
        seconds = time.monotonic() - begun
    per_entity = (node.resident_bytes() - before) / count
    click.echo(f"create   {count:,} in {seconds:.1f} s, {count / seconds:,.0f}/s, batches of {BATCH}")
    click.echo(f"memory   {per_entity:,.0f} bytes an entity, {node.resident_bytes() / 2**20:,.0f} MiB in all")
    restarts(node, "the log")
    snapshot_under_load(node)
    restarts(node, "a snapshot")
    schema_change_under_load(node)


@click.command(help=__doc__)
@click.option("--count", default=200_000, show_default=True, type=click.IntRange(1), help="Entities to create.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the node; emptied.")
def main(count: int, folder: Path) -> None:
    """Run one node through its life."""
    node = start_node(durable_folder(folder), "--max-log-files", "10000000", "--max-log-size-mb", "100000")
    try:
        report(node, count)
    finally:
        node.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
