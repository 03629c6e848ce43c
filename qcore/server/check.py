"""``qcore check``: look at a node's directory offline and say what is in it, or what is damaged."""

from __future__ import annotations

from pathlib import Path

import click

from qcore.disk.check import Report, check_directory, node_directory
from qcore.model.entry import LogId, public_id

__all__ = ["check", "report_lines"]


@click.command(short_help="Check a node's data offline.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def check(directory: Path) -> None:
    """Check every file of a stopped node and change nothing.

    DIR is a node's directory, or a data directory with one node in it. Exits with 65 if anything is damaged, and
    names the file; with 73 while the node is running.
    """
    report = check_directory(node_directory(directory))
    for line in report.warnings:
        click.echo(f"qcore: warning: {line}", err=True)
    click.echo("\n".join(report_lines(report)))


def report_lines(report: Report) -> list[str]:
    """Render what was found, a fact a line."""
    facts: list[tuple[str, str]] = [("node", _node(report)), ("entries", _entries(report)), ("vote", _vote(report))]
    marks = (("committed", report.committed), ("stored", report.stored), ("purged", report.purged))
    facts += [(name, "up to " + _place(mark)) for name, mark in marks if mark is not None]
    facts.append(("ready", f"{report.ready} blank files for the next entries"))
    facts += [("at start", repair) for repair in report.repairs]
    return [f"OK: {report.path}", *(f"  {name:<10} {value}" for name, value in facts)]


def _node(report: Report) -> str:
    identity = report.identity
    if identity is None:
        return "none yet: nothing was ever stored here"
    return f"{identity.node}, machine {identity.machine}, cluster {identity.cluster or 'none yet'}"


def _entries(report: Report) -> str:
    if report.first is None or report.last is None:
        return "none"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.kinds.items()))
    return (
        f"{report.entries}, index {report.first.index}..{report.last.index}, "
        f"terms {report.first.term}..{report.last.term} ({kinds})"
    )


def _vote(report: Report) -> str:
    vote = report.vote
    if vote is None:
        return "none"
    return f"term {vote.term} for node {public_id(vote.node)}{', committed' if vote.committed else ''}"


def _place(id: LogId) -> str:
    return f"index {id.index}, term {id.term}"
