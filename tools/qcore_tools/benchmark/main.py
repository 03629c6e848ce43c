"""The command line of benchmark-tool."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import get_args

import click

from qcore.model.requests.queries import Consistency
from qcore.model.values import MAX_SIZE
from qcore_tools.benchmark.dataset import is_dataset_name
from qcore_tools.benchmark.generators import running_generators
from qcore_tools.benchmark.measuring import MOST_PROCESSES
from qcore_tools.benchmark.plan import DEFAULT_REQUESTS, Plan
from qcore_tools.benchmark.report import Format
from qcore_tools.benchmark.running import NAME, remove_run, run_plan, run_until_signal
from qcore_tools.benchmark.workloads import WORKLOADS
from qcore_tools.console import (
    CONTEXT,
    UsageError,
    names_option,
    run_tool,
    url_option,
    version_option,
    wait_option,
)

__all__ = ["benchmark_tool", "main"]

MOST = 10**12


def _finite(_ctx: click.Context, _param: click.Parameter, given: float | None) -> float | None:
    if given is not None and not math.isfinite(given):
        raise click.BadParameter(f"expected seconds, given {given}")
    return given


def _known(names: list[str]) -> list[str]:
    found = list(dict.fromkeys(name.upper() for name in names)) or list(WORKLOADS)
    for name in found:
        if name not in WORKLOADS:
            raise click.BadParameter(f"there is no test {name}: expected some of {', '.join(WORKLOADS)}")
    return found


def _removable(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    if given is not None and not is_dataset_name(given):
        raise click.BadParameter(f"{given!r} is no run of this tool: expected a name such as Benchmark_0a1b2c3d")
    return given


@click.command(
    NAME,
    context_settings=CONTEXT,
    epilog="Exit codes: 0 done, 1 something failed, 2 wrong usage, 3 no server to reach, 130 Ctrl-C.",
)
@click.option(
    "--clients", type=click.IntRange(1, 100_000), metavar="N", default=50, show_default=True, help="Connections."
)
@click.option(
    "--requests",
    type=click.IntRange(1, MOST),
    metavar="N",
    help=f"Requests of each test. [{DEFAULT_REQUESTS}, or by --duration]",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    metavar="SECONDS",
    help="Run each test for so long.",
)
@names_option("--test", f"Only these: {', '.join(WORKLOADS)}. [all]", "--tests", "tests", check=_known)
@click.option(
    "-P",
    "--pipeline",
    type=click.IntRange(1, 100_000),
    metavar="N",
    default=1,
    show_default=True,
    help="Requests of a client that are under way at a time.",
)
@click.option(
    "--data-size",
    type=click.IntRange(0, MAX_SIZE),
    metavar="N",
    default=16,
    show_default=True,
    help="Bytes of a value.",
)
@click.option(
    "--keyspace",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    default=1000,
    show_default=True,
    help="Entities to read and write.",
)
@click.option(
    "--warmup",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    callback=_finite,
    metavar="SECONDS",
    help="Before each test, and not counted.",
)
@click.option(
    "--consistency",
    type=click.Choice(get_args(Consistency)),
    default="linearizable",
    show_default=True,
    help="How fresh what is read has to be.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, MOST),
    metavar="N",
    help="The same seed gives the same requests. [another one each time]",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    metavar="N",
    help=f"Processes that generate the load. [as many as it takes, up to {MOST_PROCESSES}]",
)
@click.option("--csv", is_flag=True, help="Results as CSV.")
@click.option("--json", is_flag=True, help="Results as JSON, a line for each test.")
@click.option("-q", "--quiet", is_flag=True, help="A line for each test.")
@click.option("--keep", is_flag=True, help="Leave the entities and types in the store, and say their name.")
@click.option("--remove", metavar="NAME", callback=_removable, help="Run nothing, but remove what a run has left.")
@wait_option
@url_option
@version_option(NAME)
def benchmark_tool(
    clients: int,
    requests: int | None,
    duration: float | None,
    tests: list[str],
    pipeline: int,
    data_size: int,
    keyspace: int,
    warmup: float,
    consistency: Consistency,
    seed: int | None,
    processes: int | None,
    csv: bool,
    json: bool,
    quiet: bool,
    keep: bool,
    remove: str | None,
    wait: float,
    urls: list[str],
) -> int:
    """Measure how many requests a server answers in a second, and how long each takes.

    The tests run one after the other on types and entities that are made for them, and removed in the end.
    """
    if csv + json + quiet > 1:
        raise UsageError("expected one of --csv, --json and -q")
    if remove is not None:
        return asyncio.run(remove_run(urls, wait, remove))
    if requests is None and duration is None:
        requests = DEFAULT_REQUESTS
    plan = Plan(
        tests,
        clients,
        requests,
        duration,
        pipeline,
        data_size,
        keyspace,
        warmup,
        consistency,
        random.randrange(1 << 32) if seed is None else seed,
        processes,
        keep,
    )
    format: Format = "csv" if csv else "json" if json else "quiet" if quiet else "human"
    with running_generators(min(clients, processes or MOST_PROCESSES)) as generators:
        return run_until_signal(run_plan(urls, wait, plan, format, generators))


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool(NAME, benchmark_tool, args)
