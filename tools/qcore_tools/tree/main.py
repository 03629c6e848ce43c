"""The command line of tree-tool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import click

from qcore_tools.connecting import connected
from qcore_tools.console import CONTEXT, DONE, names_option, run_tool, url_option, version_option, wait_option
from qcore_tools.progress import Progress
from qcore_tools.terminal import note, write_result
from qcore_tools.tree.drawing import ASCII, LINES, Labels, draw, json_pieces, unread_fields
from qcore_tools.tree.reading import Forest, keep_only, read_forest

__all__ = ["main", "tree_tool"]

LINES_AT_ONCE = 1000


@click.command(
    "tree-tool",
    context_settings=CONTEXT,
    epilog="Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no server to reach.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show types and ids: Name (Type) [id].")
@click.option("--show-types", is_flag=True, help="Show the type of each entity.")
@click.option("--show-ids", is_flag=True, help="Show the id of each entity.")
@click.option("--max-depth", type=click.IntRange(min=0), metavar="N", help="Go down so many levels.")
@click.option("--start-from", metavar="ENTITY", help="Begin with this one: 12, 'Folder$12' or /Root/Folder.")
@names_option("--fields", "Show these fields too; a path such as Lead->Name reads through references.")
@click.option("--type", "only", metavar="TYPE", help="Only entities of this type, and those that lead to one.")
@click.option("--format", type=click.Choice(["tree", "json"]), default="tree", show_default=True, help="How it looks.")
@click.option("--ascii", is_flag=True, help="Draw with ASCII characters only.")
@wait_option
@url_option
@version_option("tree-tool")
def tree_tool(
    verbose: bool,
    show_types: bool,
    show_ids: bool,
    max_depth: int | None,
    start_from: str | None,
    fields: list[str],
    only: str | None,
    format: str,
    ascii: bool,
    wait: float,
    urls: list[str],
) -> int:
    """Show the entities of a store as a tree, as the Unix command tree does for files.

    Entities without a parent stand after the tree of the Root. The tree is read in batches: of changes that are made
    meanwhile some may show and others not.
    """
    forest = asyncio.run(_read(urls, wait, start_from, fields, max_depth, only))
    if format == "json":
        _write(json_pieces(forest))
    else:
        lines = draw(forest, Labels(show_types or verbose, show_ids or verbose), ASCII if ascii else LINES)
        _write(f"{line}\n" for line in lines)
        for line in unread_fields(forest):
            note(line)
    return DONE


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    return run_tool("tree-tool", tree_tool, args)


async def _read(
    urls: Sequence[str],
    wait: float,
    start: str | None,
    fields: Sequence[str],
    max_depth: int | None,
    only: str | None,
) -> Forest:
    async with connected(urls, "tree-tool", wait) as store:
        with Progress("entities read") as progress:
            forest = await read_forest(store, start, fields, max_depth, progress.advance)
        if only is not None:
            await keep_only(store, forest, only)
        return forest


def _write(pieces: Iterable[str]) -> None:
    waiting: list[str] = []
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) == LINES_AT_ONCE:
            write_result("".join(waiting))
            waiting.clear()
    write_result("".join(waiting))
