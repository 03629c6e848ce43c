"""`make bench`: SET and GET of a durable node beside a durable Redis, in the same run, on the same file system.

The systems take turns, so that a noisy machine is noisy for both. Each figure is the round of median rate.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.load import Load, Measured, build, measure
from benchmarks.peers import FOLDER, Peer, Qcore, Redis, durable_folder
from benchmarks.wire import write_messages

__all__ = ["main"]

LOADS = (Load(1), Load(50), Load(200), Load(50, 16))
OPERATIONS = ("SET", "GET")

Case = tuple[str, Load]
Rounds = dict[tuple[str, Case], list[Measured]]


@contextlib.contextmanager
def started(folder: Path) -> Iterator[list[Peer]]:
    """The systems to measure, running, with their data below `folder`."""
    with contextlib.ExitStack() as stack:
        peers: list[Peer] = [stack.enter_context(Qcore(folder / "qcore"))]
        if Redis.installed():
            peers.append(stack.enter_context(Redis(folder / "redis")))
        else:
            click.echo("redis-server is not installed (Debian: apt install redis-server): qcore alone", err=True)
        for peer in peers:
            peer.prepare()
        yield peers


def measure_all(peers: Sequence[Peer], folder: Path, rounds: int, seconds: float) -> Rounds:
    """Measure every case in every round, the systems one after the other and the other way round in turn."""
    program = build(FOLDER)
    for peer in peers:
        for operation in OPERATIONS:
            write_messages(messages(folder, peer, operation), peer.messages(operation))
    cases = [(operation, load) for operation in OPERATIONS for load in LOADS]
    found: Rounds = {(peer.name, case): [] for peer in peers for case in cases}
    for turn in range(rounds):
        for case in cases:
            for peer in peers if turn % 2 == 0 else reversed(peers):
                operation, load = case
                file = messages(folder, peer, operation)
                one = measure(program, peer.protocol, peer.address, file, load, "--seconds", str(seconds))
                found[peer.name, case].append(one)
        click.echo(f"round {turn + 1} of {rounds}", err=True)
    return found


def messages(folder: Path, peer: Peer, operation: str) -> Path:
    """The file of ready requests."""
    return folder / f"{peer.name}-{operation}.messages"


def middle(rounds: Sequence[Measured]) -> Measured:
    """The round of median rate."""
    rate = statistics.median_low(one.rate for one in rounds)
    return next(one for one in rounds if one.rate == rate)


def table(found: Rounds, names: Sequence[str]) -> list[str]:
    """Lines to print: a row for each case, rate, p50 and p99 for each system, and the ratio of the rates."""
    head = f"{'':<16}" + "".join(f"{name:>12}{'p50':>9}{'p99':>9}" for name in names)
    lines = [
        head + (f"{'ratio':>8}" if len(names) == 2 else ""),
        f"{'':<16}" + f"{'/s':>12}{'ms':>9}{'ms':>9}" * len(names),
    ]
    for case in dict.fromkeys(case for _, case in found):
        operation, load = case
        shape = f"c={load.connections}" + (f" x {load.depth}" if load.depth > 1 else "")
        shown = [middle(found[name, case]) for name in names]
        row = "".join(f"{one.rate:>12,.0f}{one.p50_us / 1000:>9.2f}{one.p99_us / 1000:>9.2f}" for one in shown)
        ratio = f"{shown[0].rate / shown[1].rate:>8.2f}" if len(shown) == 2 else ""
        lines.append(f"{operation:<4}{shape:<12}{row}{ratio}")
    return lines


@click.command(help=__doc__.partition("\n\n")[2])
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each case is measured.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Length of a measurement.")
@click.option(
    "--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the systems; emptied."
)
def main(rounds: int, seconds: float, folder: Path) -> None:
    """Measure, print the table, exit 1 if anything failed."""
    durable_folder(folder)
    with started(folder) as peers:
        found = measure_all(peers, folder, rounds, seconds)
        click.echo("\n".join(table(found, [peer.name for peer in peers])))
        click.echo()
        for peer in peers:
            errors = sum(one.errors for (name, _), ones in found.items() if name == peer.name for one in ones)
            lost = sum(one.closed for (name, _), ones in found.items() if name == peer.name for one in ones)
            click.echo(f"{peer.name} {peer.describe()}; {errors} errors, {lost} connections lost")
    shutil.rmtree(folder)
    sys.exit(any(one.errors or one.closed for ones in found.values() for one in ones))


if __name__ == "__main__":
    main()
