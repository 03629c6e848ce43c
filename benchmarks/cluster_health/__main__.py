"""`python -m benchmarks.cluster_health`: what three nodes of qcore must bear, each part on a cluster of its own.

disk: the leader's disk is slowed by 20 ms a flush, a follower's by a second; commits should stay with the quorum.
memory: 100,000 writes; no node should grow in the second half. catch-up: a follower is stopped for 100,000 entries and
comes back under load, once by the log and once by a snapshot. flood: 500 clients; no peer should be lost, and no
election be held. idle: no requests; after two minutes nothing should be written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from benchmarks.cluster_health.catch_up import catch_up
from benchmarks.cluster_health.flood import flood
from benchmarks.cluster_health.idle import idle
from benchmarks.cluster_health.memory import memory
from benchmarks.cluster_health.slow_disk import slow_disk
from benchmarks.peers import FOLDER, durable_folder

__all__ = ["main"]

PARTS = ("disk", "memory", "catch-up", "flood", "idle")


@click.command(help=__doc__.partition("\n\n")[2])
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only these; may be given repeatedly.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1), help="Length of a measurement.")
@click.option("--writes", default=100_000, show_default=True, type=click.IntRange(4), help="Of the part `memory`.")
@click.option("--entries", default=100_000, show_default=True, type=click.IntRange(1), help="Of the part `catch-up`.")
@click.option(
    "--settle", default=120.0, show_default=True, type=click.FloatRange(0), help="Seconds before `idle` looks."
)
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the nodes; emptied.")
def main(parts: Sequence[str], seconds: float, writes: int, entries: int, settle: float, folder: Path) -> None:
    """Carry the parts out and print what they show."""
    durable_folder(folder)
    found: dict[str, Callable[[], Iterator[str]]] = {
        "disk": lambda: slow_disk(folder, seconds),
        "memory": lambda: memory(folder, writes),
        "catch-up": lambda: _both_ways(folder, entries, 4 * seconds),
        "flood": lambda: flood(folder, seconds),
        "idle": lambda: idle(folder, settle, 6 * seconds),
    }
    for part in parts or PARTS:
        click.echo(f"\n{part}")
        for line in found[part]():
            click.echo(line)
    shutil.rmtree(folder)


def _both_ways(folder: Path, entries: int, seconds: float) -> Iterator[str]:
    yield from catch_up(folder, entries, seconds, keep_log=True)
    yield from catch_up(folder, entries, seconds, keep_log=False)


if __name__ == "__main__":
    main()
