"""Where the daemon's main thread spends its time under load: cProfile around the daemon, the costliest printed."""

from __future__ import annotations

import pstats
import shutil
import sys
from pathlib import Path

import click

from benchmarks.bench import OPERATIONS
from benchmarks.load import Load, build, measure
from benchmarks.peers import FOLDER, Qcore, durable_folder
from benchmarks.wire import write_messages

__all__ = ["main"]


@click.command(help=__doc__)
@click.option("--operation", default="SET", show_default=True, type=click.Choice(OPERATIONS))
@click.option("--connections", default=50, show_default=True, type=click.IntRange(1))
@click.option("--depth", default=1, show_default=True, type=click.IntRange(1), help="Requests on the wire of each.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--top", default=30, show_default=True, type=click.IntRange(1), help="Functions to print.")
@click.option("--folder", default=FOLDER / "data", type=click.Path(path_type=Path), help="Data of the node; emptied.")
def main(operation: str, connections: int, depth: int, seconds: float, top: int, folder: Path) -> None:
    """Run the daemon below a profiler and print its costs."""
    durable_folder(folder)
    profile, messages = FOLDER / "node.profile", FOLDER / "profile.messages"
    command = (sys.executable, "-m", "cProfile", "-o", str(profile), "-m", "qcore.server.main")
    with Qcore(folder / "qcore", command) as qcore:
        qcore.prepare()
        write_messages(messages, qcore.messages(operation))
        load = Load(connections, depth)
        one = measure(build(FOLDER), qcore.protocol, qcore.address, messages, load, "--seconds", str(seconds))
        qcore.node.stop()
    click.echo(f"{operation} c={connections} x {depth}: {one.rate:,.0f}/s with the profiler on, {one.errors} errors")
    pstats.Stats(str(profile)).strip_dirs().sort_stats("tottime").print_stats(top)
    click.echo(f"the whole profile: {profile}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
