"""What one disk gives to one node and to three: SET with all of them written to at the same time.

A cluster on one machine, or several nodes of one appliance, flush to the same device; how much one's flushes cost
the others shows here, beside the processor's share: `c=1` waits for the disk, `c=50` mostly computes.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from benchmarks.bench import middle
from benchmarks.load import Load, Measured, build, measure
from benchmarks.peers import FOLDER, Qcore, durable_folder
from benchmarks.wire import write_messages

__all__ = ["main"]

LOADS = (Load(1), Load(50))


def press(program: Path, nodes: list[Qcore], files: list[Path], load: Load, seconds: float) -> list[Measured]:
    """Write to all nodes at the same time, `load` for each."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        runs = [
            threads.submit(measure, program, node.protocol, node.address, file, load, "--seconds", str(seconds))
            for node, file in zip(nodes, files, strict=True)
        ]
        return [run.result() for run in runs]


def together(ones: list[Measured]) -> Measured:
    """What all nodes did at the same time: sums, and the median of their p50 and of their p99."""
    return Measured(
        rate=sum(one.rate for one in ones),
        requests=sum(one.requests for one in ones),
        seconds=max(one.seconds for one in ones),
        p50_us=round(statistics.median(one.p50_us for one in ones)),
        p99_us=round(statistics.median(one.p99_us for one in ones)),
        max_us=max(one.max_us for one in ones),
        errors=sum(one.errors for one in ones),
        closed=sum(one.closed for one in ones),
        answered=sum(one.answered for one in ones),
        cpu_seconds=sum(one.cpu_seconds for one in ones),
    )


def row(load: Load, count: int, rounds: list[list[Measured]]) -> str:
    """All nodes' rate, and the median of their p50 and p99, in the round of median rate."""
    shown = middle([together(ones) for ones in rounds])
    rates = f"{shown.rate:>14,.0f}{shown.rate / count:>14,.0f}"
    return f"SET c={load.connections:<5}{count:>5}{rates}{shown.p50_us / 1000:>9.2f}{shown.p99_us / 1000:>9.2f}"


@click.command(help=__doc__.partition("\n\n")[0])
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(2), help="How many against one.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each case is measured.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Length of a measurement.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the nodes; emptied.")
def main(nodes: int, rounds: int, seconds: float, folder: Path) -> None:
    """Measure, print the table, exit 1 if anything failed."""
    durable_folder(folder)
    program = build(FOLDER)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Qcore(folder / f"node{n}")) for n in range(nodes)]
        files = [folder / f"node{n}.messages" for n in range(nodes)]
        for peer, file in zip(peers, files, strict=True):
            peer.prepare()
            write_messages(file, peer.messages("SET"))
        found: dict[tuple[Load, int], list[list[Measured]]] = {(load, n): [] for load in LOADS for n in (1, nodes)}
        for turn in range(rounds):
            for (load, count), ones in found.items():
                ones.append(press(program, peers[:count], files[:count], load, seconds))
            click.echo(f"round {turn + 1} of {rounds}", err=True)
    click.echo(f"{'':<11}{'nodes':>5}{'all /s':>14}{'each /s':>14}{'p50 ms':>9}{'p99 ms':>9}")
    for (load, count), ones in found.items():
        click.echo(row(load, count, ones))
    every = together([one for case in found.values() for ones in case for one in ones])
    click.echo(f"{every.errors} errors, {every.closed} connections lost")
    shutil.rmtree(folder)
    sys.exit(bool(every.errors or every.closed))


if __name__ == "__main__":
    main()
