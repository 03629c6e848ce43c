"""A whole run: the connection, the tests one after the other, and what is left of it in the end."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from qcore.client import Store
from qcore.model.errors import NotFound, QcoreError
from qcore_tools.benchmark.chart import BLOCKS, HASHES
from qcore_tools.benchmark.dataset import Dataset, new_name
from qcore_tools.benchmark.generators import Generators
from qcore_tools.benchmark.measuring import Bench
from qcore_tools.benchmark.plan import Plan
from qcore_tools.benchmark.report import About, Format, Report, notes
from qcore_tools.connecting import connected
from qcore_tools.console import DONE, FAILED, UsageError, exit_code
from qcore_tools.progress import Progress
from qcore_tools.terminal import complain, note, write_result

__all__ = ["NAME", "remove_run", "run_plan", "run_until_signal"]

NAME = "benchmark-tool"

ENVELOPE = 1000
"""Bytes that a request has beside its value, or more."""


PATIENCE = 10.0
"""Seconds that a server may be away before what the run has made is left to it."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run as Ctrl-C does; their exit code is 128 and the number."""


async def run_plan(urls: Sequence[str], wait: float, plan: Plan, format: Format, generators: Generators) -> int:
    """Run the tests of a plan and remove what they needed; returns the exit code."""
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
        for line in notes(outcome, report.format):
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


async def remove_run(urls: Sequence[str], wait: float, name: str) -> int:
    """Remove what a run of this name has left.

    Raises:
        NotFound: there is nothing of it.
    """
    async with connected(urls, NAME, wait, patience=max(PATIENCE, wait)) as store:
        dataset = Dataset(store, name)
        if not await dataset.exists():
            raise NotFound(f"there is no {name} in the store")
        with Progress("entities removed") as progress:
            await dataset.remove(progress.advance)
    return DONE


def run_until_signal(work: Coroutine[Any, Any, int]) -> int:
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
