"""The command line of snapshot-tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import click

from qcore.client import Store
from qcore.model.documents.document import refuse
from qcore.model.documents.origin import Snapshot
from qcore.model.documents.text import check_snapshot
from qcore_tools.console import CONTEXT, DONE, FAILED, FileError, run_tool, url_option, version_option, wait_option
from qcore_tools.files import output, read_bytes
from qcore_tools.progress import Progress, waiting
from qcore_tools.snapshot.about import about, beside
from qcore_tools.snapshot.comparing import differences
from qcore_tools.snapshot.factory_restore import factory_restore_command
from qcore_tools.snapshot.indenting import Indenter
from qcore_tools.snapshot.lifeline import with_server
from qcore_tools.snapshot.transfers import LONG, leads, plan_lines, take
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
@click.option("--all", "runtime", is_flag=True, help="Take Runtime fields, too: a backup is complete only with them.")
@click.option("--no-ids", is_flag=True, help="Leave ids out, to compare it or to restore it elsewhere.")
@click.option("--if-leader", is_flag=True, help="Only from a node that leads; elsewhere do nothing, and that well.")
@wait_option
@url_option
def take_command(
    target: str, pretty: bool, runtime: bool, no_ids: bool, if_leader: bool, wait: float, urls: list[str]
) -> int:
    """Write the store at one revision to a file, which is there whole or not at all."""
    words = {"if_leader": if_leader, "pretty": pretty, "runtime": runtime, "ids": not no_ids}
    asyncio.run(with_server(urls, wait, lambda store: _take(store, target, **words)))
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
    snapshot, problems = check_snapshot(text)
    if snapshot is None or problems:
        raise refuse(problems)
    words = {"dry_run": dry_run, "prune": prune, "reset": reset}
    asyncio.run(with_server(urls, wait, lambda store: _restore(store, text, snapshot, **words)))
    return DONE


@snapshot_tool.command("validate", context_settings=CONTEXT)
@_input
def validate_command(source: str) -> int:
    """List all problems of a snapshot, each with its JSON path; needs no server."""
    snapshot, problems = check_snapshot(read_bytes(source))
    write_result("".join(f"{visible(str(problem))}\n" for problem in problems))
    if snapshot is None or problems:
        note(f"{source}: {len(problems):,} problem{'s' * (len(problems) != 1)}")
        return FAILED
    document = snapshot.document
    note(f"{source}: {len(document.entities):,} entities, {len(document.schemas):,} types, no problems")
    note(f"{source}: {about(snapshot)}")
    return DONE


@snapshot_tool.command("diff", context_settings=CONTEXT)
@click.argument("a")
@click.argument("b")
def diff_command(a: str, b: str) -> int:
    """List what differs between the snapshots A and B; 1 if anything does. Ids do not count."""
    if a == b == "-":
        raise click.UsageError("only one of the two can be standard input")
    old, new = _snapshot(a), _snapshot(b)
    lines = [f"{visible(line)}\n" for line in differences(old.document, new.document)]
    write_result("".join(lines))
    for newer, older, name, other in ((new, old, b, a), (old, new, a, b)):
        if newer.supersedes(older):
            note(f"{name} supersedes {other}")
    return FAILED if lines else DONE


snapshot_tool.add_command(factory_restore_command)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("snapshot-tool", snapshot_tool, args)


def _snapshot(name: str) -> Snapshot:
    snapshot, problems = check_snapshot(read_bytes(name))
    if snapshot is None or problems:
        raise FileError(f"{name}: {refuse(problems).message}")
    return snapshot


async def _take(store: Store, target: str, *, if_leader: bool, pretty: bool, runtime: bool, ids: bool) -> None:
    if if_leader and not await leads(store):
        note("this node does not lead: nothing is taken")
        return
    with output(target) as write, Progress("bytes") as progress:
        indented = Indenter()
        sink = (lambda chunk: write(indented.feed(chunk))) if pretty else write
        last = await take(store, sink, progress.advance, runtime=runtime, ids=ids)
    left_out = "" if runtime else f", {last.runtime or 0:,} Runtime values left out"
    note(f"revision {last.revision}: {last.entities or 0:,} entities{left_out}")


async def _restore(store: Store, text: bytes, snapshot: Snapshot, *, dry_run: bool, prune: bool, reset: bool) -> None:
    for line in (f"snapshot: {about(snapshot)}", *beside(snapshot, await store.info())):
        note(line)
    plan = await waiting("planning", store.snapshot_plan(text, prune=prune, timeout=LONG))
    if dry_run:
        lines = [str(line) for line in plan.lines] + ([f"... and {plan.more:,} more"] if plan.more else [])
        write_result("".join(f"{visible(line)}\n" for line in lines))
    for line in plan_lines(plan.counts, plan.reset):
        note(line)
    if not dry_run:
        done = await waiting("restoring", store.snapshot_restore(text, prune=prune, reset=reset, timeout=LONG))
        write_result(f"restored, revision {done.revision}\n" if done.changed else "nothing changed\n")
