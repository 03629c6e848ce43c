"""The command line of snapshot-tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import click

from qcore.model.documents.document import Document, refuse
from qcore.model.documents.text import check
from qcore_tools.connecting import connected
from qcore_tools.console import CONTEXT, DONE, FAILED, FileError, run_tool, url_option, version_option, wait_option
from qcore_tools.files import output, read_bytes
from qcore_tools.progress import Progress
from qcore_tools.snapshot.comparing import differences
from qcore_tools.snapshot.factory_restore import factory_restore_command
from qcore_tools.snapshot.indenting import Indenter
from qcore_tools.snapshot.transfers import LONG, plan_lines, take
from qcore_tools.terminal import note, visible, write_result

__all__ = ["main", "snapshot_tool"]


def _input(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--input", "source", required=True, metavar="FILE", help="The snapshot; - for standard input.")(
        command
    )


@click.group(
    "snapshot-tool",
    context_settings=CONTEXT,
    no_args_is_help=False,
    epilog="Exit codes: 0 done, 1 it failed or there are problems or differences, 2 wrong usage, 3 no server to reach.",
)
@version_option("snapshot-tool")
def snapshot_tool() -> None:
    """Take, check, compare and restore JSON snapshots of a store, or make a data directory of one."""


@snapshot_tool.command("take", context_settings=CONTEXT)
@click.option("--output", "target", required=True, metavar="FILE", help="Where it goes; - for standard output.")
@click.option("--pretty", is_flag=True, help="Indent it.")
@click.option("--all", "runtime", is_flag=True, help="Take Runtime fields, too.")
@wait_option
@url_option
def take_command(target: str, pretty: bool, runtime: bool, wait: float, urls: list[str]) -> int:
    """Write the store at one revision to a file, which is there whole or not at all."""
    asyncio.run(_take(urls, wait, target, pretty, runtime))
    return DONE


@snapshot_tool.command("restore", context_settings=CONTEXT)
@_input
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--prune", is_flag=True, help="Delete what the snapshot does not list.")
@click.option("--reset", is_flag=True, help="Let values go that the snapshot has no place for.")
@wait_option
@url_option
def restore_command(source: str, dry_run: bool, prune: bool, reset: bool, wait: float, urls: list[str]) -> int:
    """Make the store what a snapshot says; the numbers of the plan are told before anything is done."""
    text = read_bytes(source)
    _, problems = check(text)
    if problems:
        raise refuse(problems)
    asyncio.run(_restore(urls, wait, text, dry_run=dry_run, prune=prune, reset=reset))
    return DONE


@snapshot_tool.command("validate", context_settings=CONTEXT)
@_input
def validate_command(source: str) -> int:
    """List all problems of a snapshot, each with its JSON path; needs no server."""
    document, problems = check(read_bytes(source))
    write_result("".join(f"{visible(str(problem))}\n" for problem in problems))
    if problems:
        note(f"{source}: {len(problems):,} problem{'s' * (len(problems) != 1)}")
        return FAILED
    assert document is not None  # it has no problems
    note(f"{source}: {len(document.entities):,} entities, {len(document.schemas):,} types, no problems")
    return DONE


@snapshot_tool.command("diff", context_settings=CONTEXT)
@click.argument("a")
@click.argument("b")
def diff_command(a: str, b: str) -> int:
    """List what differs between the snapshots A and B; 1 if anything does. Ids do not count."""
    if a == b == "-":
        raise click.UsageError("only one of the two can be standard input")
    lines = [f"{visible(line)}\n" for line in differences(_document(a), _document(b))]
    write_result("".join(lines))
    return FAILED if lines else DONE


snapshot_tool.add_command(factory_restore_command)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("snapshot-tool", snapshot_tool, args)


def _document(name: str) -> Document:
    document, problems = check(read_bytes(name))
    if document is None or problems:
        raise FileError(f"{name}: {refuse(problems).message}")
    return document


async def _take(urls: Sequence[str], wait: float, target: str, pretty: bool, runtime: bool) -> None:
    async with connected(urls, "snapshot-tool", wait) as store:
        with output(target) as write, Progress("bytes") as progress:
            indented = Indenter()
            sink = (lambda chunk: write(indented.feed(chunk))) if pretty else write
            last = await take(store, sink, runtime, progress.advance)
    left_out = "" if runtime else f", {last.runtime or 0:,} Runtime values left out"
    note(f"revision {last.revision}: {last.entities or 0:,} entities{left_out}")


async def _restore(urls: Sequence[str], wait: float, text: bytes, *, dry_run: bool, prune: bool, reset: bool) -> None:
    async with connected(urls, "snapshot-tool", wait) as store:
        plan = await store.snapshot_plan(text, prune=prune, timeout=LONG)
        if dry_run:
            lines = [str(line) for line in plan.lines] + ([f"... and {plan.more:,} more"] if plan.more else [])
            write_result("".join(f"{visible(line)}\n" for line in lines))
        for line in plan_lines(plan.counts, plan.reset):
            note(line)
        if not dry_run:
            done = await store.snapshot_restore(text, prune=prune, reset=reset, timeout=LONG)
            write_result(f"restored, revision {done.revision}\n" if done.changed else "nothing changed\n")
