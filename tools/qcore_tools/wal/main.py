"""The command line of wal-tool."""

from __future__ import annotations

from collections.abc import Sequence

import click

from qcore_tools.console import CONTEXT, names_option, run_tool, version_option
from qcore_tools.wal.bounds import Range, range_option, time_option
from qcore_tools.wal.info import show_info
from qcore_tools.wal.lines import KINDS
from qcore_tools.wal.place import find_place
from qcore_tools.wal.selection import Selection, read_target
from qcore_tools.wal.showing import LAST, Show
from qcore_tools.wal.verifying import show_verified

__all__ = ["main", "wal_tool"]


def _read_kinds(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    kinds = [name.strip() for text in given for name in text.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}")
    return kinds


@click.command(
    "wal-tool",
    context_settings=CONTEXT,
    epilog="Exit codes: 0 done, 1 it failed or there is damage, 2 wrong usage.",
)
@click.option(
    "--data-dir", metavar="DIR", help="The data directory, or a node's own in it; else where the daemon has it."
)
@click.option("--machine", metavar="M", help="Which node: the name of its machine, or its id.")
@click.option("--settings", multiple=True, metavar="FILE", help="Settings file of the daemon; may be repeated.")
@time_option("--start-time", "Only from then on: 2026-11-28T09:00:00Z, or -10m for ten minutes ago.")
@time_option("--end-time", "Only up to then.")
@click.option("-f", "--follow", is_flag=True, help=f"Go on with what is written; begins with the last {LAST} lines.")
@click.option("--info", is_flag=True, help="Only numbers: entries by kind, sizes, terms, times, snapshots.")
@click.option("--verify", is_flag=True, help="Only check every file; 1 if one is damaged, missing or foreign.")
@click.option(
    "--format", type=click.Choice(["human", "json"]), default="human", show_default=True, help="How a line looks."
)
@names_option("--type", "Only what concerns entities of these types or descendants, or the types.")
@click.option(
    "--entity", "entities", multiple=True, metavar="ENTITY", help="Only what concerns it: 12, 'User$12', /Root/A."
)
@names_option("--field", "Only what concerns these fields.")
@click.option(
    "--kind", "kinds", multiple=True, metavar="A,B", callback=_read_kinds, help="Only commands of these kinds."
)
@range_option("--term", "Only entries of these terms: 5, 5..9, 5.. or ..9.")
@range_option("--index", "Only entries of these indexes.")
@click.option("-n", "last", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@version_option("wal-tool")
def wal_tool(
    data_dir: str | None,
    machine: str | None,
    settings: tuple[str, ...],
    start_time: int | None,
    end_time: int | None,
    follow: bool,
    info: bool,
    verify: bool,
    format: str,
    type: list[str],
    entities: tuple[str, ...],
    field: list[str],
    kinds: list[str],
    term: Range | None,
    index: Range | None,
    last: int | None,
) -> int:
    """Show what the entries of a node's log did, offline: its directory is read, whether the node runs or not.

    A line for each command: time, index, term, kind, and what it changed, by names and with the values before.
    """
    targets = [read_target(text) for text in entities]
    chosen = Selection(index or (0, None), term, start_time, end_time, kinds, type, targets, field)
    narrowed = follow or last is not None or chosen != Selection(kinds=[], types=[], targets=[], fields=[])
    if (info or verify) and (narrowed or info == verify):
        raise click.UsageError("--info and --verify stand alone, beside --data-dir, --machine and --format")
    path = find_place(data_dir, machine, settings)
    if info:
        return show_info(path, format == "human")
    if verify:
        return show_verified(path, format == "human")
    if follow and last is None and index is None and start_time is None:
        last = LAST
    return Show(path, chosen, last, follow, as_text=format == "human").run()


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("wal-tool", wal_tool, args)
