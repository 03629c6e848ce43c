"""The command line of benchmark-tool."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, get_args

import click

from qcore.client import Store
from qcore.model.errors import NotFound, QcoreError
from qcore.model.requests.queries import Consistency
from qcore_tools.benchmark.chart import BLOCKS, HASHES
from qcore_tools.benchmark.dataset import Dataset, is_dataset_name, new_name
from qcore_tools.benchmark.generators import Generators, running_generators
from qcore_tools.benchmark.measuring import MOST_PROCESSES, Bench
from qcore_tools.benchmark.plan import DEFAULT_REQUESTS, Plan
from qcore_tools.benchmark.report import About, Format, Report, notes
from qcore_tools.benchmark.workloads import WORKLOADS
from qcore_tools.connecting import connected
from qcore_tools.console import (
    CONTEXT,
    DONE,
    FAILED,
    UsageError,
    exit_code,
    names_option,
    run_tool,
    url_option,
    version_option,
    wait_option,
)
from qcore_tools.progress import Progress
from qcore_tools.terminal import complain, note, write_result

__all__ = ["benchmark_tool", "main"]

NAME = "benchmark-tool"
MOST = 10**12
ENVELOPE = 1000
"""Bytes that a request has beside its value, or more."""


PATIENCE = 10.0
"""Seconds that a server may be away before what the run has made is left to it."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run as Ctrl-C does; their exit code is 128 and the number."""


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
@click.option("--clients", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Connections.")
@click.option(
    "--requests", type=click.IntRange(1, MOST), help=f"Requests of each test. [{DEFAULT_REQUESTS}, or by --duration]"
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
    default=1,
    show_default=True,
    help="Requests of a client that are under way at a time.",
)
@click.option(
    "--data-size",
    type=click.IntRange(0, 1 << 30),
    default=16,
    show_default=True,
    help="Bytes of a value.",
)
@click.option(
    "--keyspace",
    type=click.IntRange(1, 10_000_000),
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
    "--seed", type=click.IntRange(0, MOST), help="The same seed gives the same requests. [another one each time]"
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
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
        return asyncio.run(_remove(urls, wait, remove))
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
        return _run_until_signal(_run(urls, wait, plan, format, generators))


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool(NAME, benchmark_tool, args)


async def _run(urls: Sequence[str], wait: float, plan: Plan, format: Format, generators: Generators) -> int:
    async with connected(urls, NAME, wait, patience=max(PATIENCE, wait)) as store:
        info = await store.info()
        _check_size(plan.data_size, info.limits)
        about = About(store.url, info.version, info.node, info.role, info.engine, info.durability)
        report = Report(format, about, plan, shutil.get_terminal_size().columns, _glyphs())
        dataset = Dataset(store, new_name(), plan.data_size)
        good, problem = False, None
        try:
            good = await _measure(store, plan, dataset, generators, report)
        finally:
            generators.stop()
            problem = await _leave(dataset, keep=plan.keep)
    if problem is not None:
        return exit_code(problem)
    return DONE if good else FAILED


async def _measure(store: Store, plan: Plan, dataset: Dataset, generators: Generators, report: Report) -> bool:
    """Run the tests and write what comes of each; whether all of it went well."""
    with Progress("entities made", plan.keyspace) as progress:
        await dataset.create(plan.keyspace, progress.advance)
    write_result(report.begin())
    bench = Bench(store, plan, dataset, generators)
    good = True
    for name in plan.tests:
        outcome = await bench.measure(name)
        write_result(report.result(outcome))
        for line in notes(outcome):
            note(line)
        good = good and not outcome.errors
        if outcome.lost:
            note(f"{name}: connections were lost, no further test is run")
            return False
    return good


async def _leave(dataset: Dataset, *, keep: bool) -> QcoreError | None:
    """Remove what the run has made, or say what stays; returns why it could not be removed."""
    if not dataset.begun:
        return None
    later = f"{NAME} --remove {dataset.type} removes it"
    try:
        if keep:
            counts = await dataset.counts()
            note(f"kept: {', '.join(f'{count:,} of {name}' for name, count in counts.items())}; {later}")
        else:
            with Progress("entities removed") as progress:
                await dataset.remove(progress.advance)
    except QcoreError as exc:
        complain(f"{NAME}: {dataset.type} may be left in the store: {exc.message}; {later}")
        return exc
    except BaseException:  # Ctrl-C for the second time
        complain(f"{NAME}: {dataset.type} may be left in the store; {later}")
        raise
    return None


async def _remove(urls: Sequence[str], wait: float, name: str) -> int:
    async with connected(urls, NAME, wait, patience=max(PATIENCE, wait)) as store:
        dataset = Dataset(store, name)
        if not await dataset.exists():
            raise NotFound(f"there is no {name} in the store")
        with Progress("entities removed") as progress:
            await dataset.remove(progress.advance)
    return DONE


def _run_until_signal(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end, or until a signal that ends it in good order; returns the exit code."""
    came: list[int] = []

    async def run() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            came.append(number)
            task.cancel()

        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, end, number)
        return await work

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        return 128 + came[0]


def _check_size(data_size: int, limits: Mapping[str, float]) -> None:
    """Refuse values that do not fit into a message."""
    most = limits.get("max_message_mb")
    if most is not None and data_size + ENVELOPE > most * 1_000_000:
        raise UsageError(f"--data-size {data_size}: the server takes messages of {most:g} MB (max_message_mb)")


def _glyphs() -> str:
    """What bars are drawn with on standard output."""
    try:
        BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return HASHES
    return BLOCKS
