"""The command line of select-tool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import get_args

import click

from qcore.client import Item, Store
from qcore_tools.connecting import connected
from qcore_tools.console import CONTEXT, DONE, names_option, run_tool, url_option, version_option, wait_option
from qcore_tools.files import Sink, output
from qcore_tools.progress import Progress
from qcore_tools.select.finding import Findings, Question, find
from qcore_tools.select.writing import Format, Layout
from qcore_tools.terminal import note

__all__ = ["main", "select_tool"]


@click.command(
    "select-tool",
    context_settings=CONTEXT,
    epilog="Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no server to reach.",
)
@click.option("--entity-type", required=True, metavar="TYPE", help="The type; its descendants are found, too.")
@click.option("--filter", metavar="CEL", help="Only entities for which this holds: Age > 25 && IsActive.")
@click.option("--exact", is_flag=True, help="Leave out descendants of the type.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@names_option("--fields", "Columns, in this order; a path such as Department->Name reads through references. [Name]")
@names_option("--order-by", "Sort by these fields; Age:desc for the greatest first. [by id]")
@click.option(
    "--format", type=click.Choice(get_args(Format)), default="table", show_default=True, help="How the result looks."
)
@click.option("--show-ids", is_flag=True, help="A column for the id.")
@click.option("--show-types", is_flag=True, help="A column for the type.")
@click.option("--export", default="-", metavar="FILE", help="Write the result to a file.")
@click.option("--metrics", is_flag=True, help="Tell on standard error how many there were and how long it took.")
@wait_option
@url_option
@version_option("select-tool")
def select_tool(
    entity_type: str,
    filter: str | None,
    exact: bool,
    limit: int | None,
    fields: list[str],
    order_by: list[str],
    format: Format,
    show_ids: bool,
    show_types: bool,
    export: str,
    metrics: bool,
    wait: float,
    urls: list[str],
) -> int:
    """Find the entities of a type, by a filter in CEL, the Common Expression Language."""
    fields = fields or ["Name"]
    read = fields if format in ("table", "json", "csv") else []
    question = Question(entity_type, filter, exact, limit, read, [] if format == "count" else order_by)
    layout = Layout(format, fields, show_ids, show_types)
    asyncio.run(_select(urls, wait, question, layout, export, metrics))
    return DONE


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("select-tool", select_tool, args)


async def _select(
    urls: Sequence[str], wait: float, question: Question, layout: Layout, export: str, metrics: bool
) -> None:
    async with connected(urls, "select-tool", wait) as store:
        begin = time.perf_counter()
        with output(export) as write:
            findings = await (_count if layout.format == "count" else _write)(store, question, layout, write)
        seconds = time.perf_counter() - begin
    for line in findings.notes():
        note(line)
    if layout.format == "table" and not findings.entities:
        note("no entity found")
    if metrics:
        rate = findings.entities / seconds if seconds else 0
        note(f"{findings.entities:,} entities, {findings.pages} pages, {seconds:.3f} s, {rate:,.0f} entities/s")


async def _count(store: Store, question: Question, layout: Layout, write: Sink) -> Findings:
    counted = await store.count(question.type, question.filter, exact=question.exact)
    count = counted.count if question.limit is None else min(counted.count, question.limit)
    write(f"{count}\n")
    return Findings(count, 0, counted.errors, counted.error)


async def _write(store: Store, question: Question, layout: Layout, write: Sink) -> Findings:
    findings = Findings()
    rows: list[Item] = []
    with Progress("entities read", question.limit) as progress:
        write(layout.begin())
        async for items in find(store, question, findings):
            if layout.format == "table":
                rows += items
            write(layout.page(items))
            progress.advance(len(items))
    if layout.format == "table":
        write(layout.table(rows))
    return findings
