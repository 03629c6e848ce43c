"""Many entities in one node: time to create them through batches, memory of each, time to start again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.peers import FOLDER, durable_folder, start_node
from benchmarks.wire import Api
from tests.process import NodeProcess

__all__ = ["main"]

SCHEMAS = [
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


def report(node: NodeProcess, count: int) -> None:
    """Measure and print."""
    with Api(node.url) as api:
        api.call("schema.set", schemas=SCHEMAS)
        api.call("create", type="BenchItem", name="the first", fields=fields(0, 1))
        before, begun = node.resident_bytes(), time.monotonic()
        create(api, count)
        seconds = time.monotonic() - begun
        digest = api.call("digest")
    per_entity = (node.resident_bytes() - before) / count
    click.echo(f"create   {count:,} in {seconds:.1f} s, {count / seconds:,.0f}/s, batches of {BATCH}")
    click.echo(f"memory   {per_entity:,.0f} bytes an entity, {node.resident_bytes() / 2**20:,.0f} MiB in all")
    for name, end in (("stop", node.stop), ("kill -9", node.kill)):
        end()
        seconds = start_again(node)
        with Api(node.url) as api:
            same = "same digest" if api.call("digest") == digest else "ANOTHER DIGEST"
        memory = node.resident_bytes() / 2**20
        click.echo(f"restart  after {name}: {seconds:.1f} s until it listens, {memory:,.0f} MiB, {same}")


@click.command(help=__doc__)
@click.option("--count", default=200_000, show_default=True, type=click.IntRange(1), help="Entities to create.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the node; emptied.")
def main(count: int, folder: Path) -> None:
    """Run one node through its life."""
    node = start_node(durable_folder(folder))
    try:
        report(node, count)
    finally:
        node.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
