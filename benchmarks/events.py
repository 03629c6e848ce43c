"""What listeners cost and how fast they hear: writes with and without them, events per second, write to event.

The node is a real process. Writes under load come from load.c; the events go to a process of their own, in Python,
which only counts them. On a machine of two cores the three share what there is: see README.md.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.ears import FIELD, HANDSHAKE, Ears
from benchmarks.load import Load, build, measure
from benchmarks.peers import FOLDER, Qcore, durable_folder
from benchmarks.wire import json_rpc, websocket_frame, write_messages

__all__ = ["main"]

PAUSE = 0.005
"""Seconds between two writes of the one that is slow on purpose."""


def under_load(program: Path, node: Qcore, file: Path, ears: Ears | None, load: Load, seconds: float) -> str:
    """Writes from load.c: their rate and latency, and the events that came meanwhile and after."""
    before, begun = ears.count().frames if ears else 0, time.monotonic()
    found = measure(program, "ws", node.address, file, load, "--seconds", str(seconds))
    line = f"{found.rate:>10,.0f}{found.p50_us / 1000:>8.2f}{found.p99_us / 1000:>8.2f}"
    if ears:
        count = ears.settle()
        line += f"{(count.frames - before) / max(count.last - begun, 0.001):>12,.0f}{count.lost:>7}"
    return line + (f"  {found.errors} errors" if found.errors else "")


def one_by_one(node: Qcore, ears: Ears | None, listeners: int, writes: int) -> str:
    """Writes with pauses: milliseconds to the answer, and to the event of the last listener."""
    host, port = node.address.rsplit(":", 1)
    answers, events = [], []
    heard = ears.count().frames if ears else 0
    with socket.create_connection((host, int(port))) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(HANDSHAKE)
        sock.recv(65_536)
        for number in range(writes):
            params = {"id": node.ids[0], "field": FIELD, "value": number}
            begun = time.monotonic()
            sock.sendall(websocket_frame(json_rpc(number, "set", params)))
            sock.recv(65_536)
            answers.append(time.monotonic() - begun)
            if ears:
                heard += listeners
                events.append(ears.count(heard).last - begun)
            time.sleep(PAUSE)
    line = f"answer {quantiles(answers)}"
    return line + (f", last event {quantiles(events)}" if events else "")


def quantiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return f"p50 {1000 * statistics.median(ordered):.2f} p99 {1000 * p99:.2f} ms"


def run(node: Qcore, folder: Path, listeners: int, connections: int, seconds: float, writes: int) -> None:
    """Measure without and with listeners, twice in turn."""
    program, file = build(FOLDER), folder / "set.messages"
    write_messages(file, node.messages("SET"))
    click.echo(f"{'':<24}{'writes/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'events/s':>12}{'lost':>7}")
    for _ in range(2):
        for count in (0, listeners):
            for load in (Load(1), Load(50), None):
                with Ears(node.address, count, connections) if count else contextlib.nullcontext() as ears:
                    name = f"{count} listeners, " + (f"c={load.connections}" if load else "paced: ")
                    if load is None:
                        click.echo(name + one_by_one(node, ears, count, writes))
                    else:
                        click.echo(f"{name:<24}" + under_load(program, node, file, ears, load, seconds))


@click.command(help=__doc__)
@click.option("--listeners", default=1000, show_default=True, type=click.IntRange(1), help="Listeners on one type.")
@click.option("--connections", default=10, show_default=True, type=click.IntRange(1), help="Connections they share.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Length of a measurement.")
@click.option("--writes", default=300, show_default=True, type=click.IntRange(1), help="Writes one at a time.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the node; emptied.")
def main(listeners: int, connections: int, seconds: float, writes: int, folder: Path) -> None:
    """Run one node and measure."""
    durable_folder(folder)
    with Qcore(folder / "qcore") as node:
        node.prepare()
        run(node, folder, listeners, connections, seconds, writes)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
