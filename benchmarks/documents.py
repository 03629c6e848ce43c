"""JSON snapshots of many entities, in one process: time for each, peak of memory, longest piece between two pauses."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from benchmarks.entities import FOLDER_SIZE, SCHEMAS, fields
from qcore.model.documents.document import Document
from qcore.model.documents.text import read_document
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.requests.commands import Create, SchemaSet
from qcore.model.requests.restore import Restore
from qcore.model.schema import EntitySchema
from qcore.model.work import run_whole
from qcore.store.apply import apply_entry
from qcore.store.context import Context
from qcore.store.documents.export import export
from qcore.store.documents.plan import planning, prepare
from qcore.store.documents.restore import restore
from qcore.store.state.state import State

__all__ = ["main"]

T = TypeVar("T")


def populate(count: int) -> State:
    """A state with `count` entities of eight filled fields, in folders."""
    state = State()
    schemas = msgspec.convert(SCHEMAS, list[EntitySchema])
    commands: list[Any] = [SchemaSet(schemas=schemas)]
    folder = 0
    for number in range(count):
        if number % FOLDER_SIZE == 0:
            commands.append(Create("BenchFolder", f"folder {number // FOLDER_SIZE}", 1))
            folder = number + number // FOLDER_SIZE + 2
        commands.append(Create("BenchItem", f"item {number}", folder, fields(number, folder)))
    for outcome in apply_entry(state, Entry(LogId(1, 65_536, 0), EntryBody(FEATURE_LEVEL, 1, "commands", commands))):
        if outcome.error is not None:
            raise outcome.error
    return state


class Pauses:
    """Runs generators to their end; `longest` is the longest time between two pauses in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    def all(self, work: Generator[Any, None, T]) -> T:
        while True:
            begun = time.perf_counter()
            try:
                next(work)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            finally:
                self.longest = max(self.longest, time.perf_counter() - begun)


class Measure:
    """Prints what a step costs; the garbage collector waits, as the daemon has it wait for an idle moment."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, name: str, step: Callable[[Pauses], T]) -> T:
        gc.collect()
        gc.disable()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, pauses = _resident("VmRSS"), Pauses()
        begun = time.perf_counter()
        result = step(pauses)
        seconds = time.perf_counter() - begun
        gc.enable()
        peak = _resident("VmHWM") - before
        longest = f", longest piece {pauses.longest * 1000:.1f} ms" if pauses.longest else ""
        click.echo(f"{name:22} {seconds / self._count * 1e6:6.2f} us each, peak +{peak / 2**20:.0f} MiB{longest}")
        return result


def _resident(which: str) -> int:
    """A line of this process's memory, in bytes."""
    (line,) = [text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(which)]
    return int(line.split()[1]) * 1024


def _restore(state: State, document: Document) -> Callable[[Pauses], None]:
    def run(_pauses: Pauses) -> None:
        context = Context(1)
        state.begin()
        context.revision = state.revision + 1
        run_whole(restore(state, Restore(document), context))
        state.finish(context.wrote)

    return run


@click.command(help=__doc__)
@click.option("--count", default=200_000, show_default=True, type=click.IntRange(1), help="Entities.")
def main(count: int) -> None:
    """Take a snapshot, read it, plan and restore it."""
    state = populate(count)
    measure = Measure(count)
    measure("export", lambda pauses: pauses.all(export(state)))
    text = b"".join(export(state))
    click.echo(f"{'the text':22} {len(text) / count:6.0f} bytes each, {len(text) / 2**20:.0f} MiB in all")
    document = measure("read_document", lambda _pauses: read_document(text))
    prepared = measure("prepare", lambda _pauses: prepare(document))
    measure("plan, nothing to do", lambda pauses: pauses.all(planning(state, prepared)))
    empty = State()
    measure("plan, all to create", lambda pauses: pauses.all(planning(empty, prepared)))
    measure("restore, plan included", _restore(empty, document))
    if b"".join(export(empty)) != text:
        raise click.ClickException("the snapshot of the restored state is another one")


if __name__ == "__main__":
    main()
