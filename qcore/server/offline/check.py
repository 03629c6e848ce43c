"""``qcore check``: look at a node's directory offline and say what is in it, or what is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from qcore.disk.directory import Directory
from qcore.disk.repair import LOG_DROPPED, log_fits
from qcore.disk.report import Report, node_directory, report
from qcore.engine.committed import replay_committed
from qcore.model.entry import Entry, LogId, public_id, raft_node_id
from qcore.server.config.options import Given
from qcore.server.recovery import load, replay_entry
from qcore.store.state.state import State

__all__ = ["check"]


@click.command(short_help="Check a node's data offline.")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def check(given: Given, directory: Path | None) -> None:
    """Check every file of a stopped node and change nothing.

    DIR is a node's directory, or a data directory with one node in it; without it the one that a start would take.
    Exits as a start would: with 65 if anything is damaged, and names every file that is; with 73 while the node is
    running.
    """
    with closing(Directory.look(node_directory(directory or given.load().settings.directory))) as looked:
        looked.snapshots.read_all()  # as a start would if it came to need them
        for line in [*looked.warnings, *(problem.message for problem in looked.snapshots.problems)]:
            click.echo(f"qcore: warning: {line}", err=True)
        looked.refuse_damaged()
        state, snapshot = load(looked)
        base = None if snapshot is None else snapshot.header.last
        found = report(looked)
        own = looked.identity
        replayed = replay_committed(
            looked, raft_node_id(own.node, own.generation), partial(replay_entry, state), snapshot
        )
        dropped = [] if log_fits(looked.log, base) else [("at start", LOG_DROPPED)]
        facts = [*_facts(found), *_contents(looked, state, base), *_tail(replayed.tail), *dropped]
        click.echo("\n".join([f"OK: {found.path}", *(f"  {name:<10} {value}" for name, value in facts)]))


def _facts(found: Report) -> Iterator[tuple[str, str]]:
    yield "node", _node(found)
    yield "entries", _entries(found)
    yield "vote", _vote(found)
    for name, mark in (("committed", found.committed), ("stored", found.stored), ("purged", found.purged)):
        if mark is not None:
            yield name, "up to " + _place(mark)
    yield "ready", f"{found.ready} blank files for the next entries"
    for repair in found.repairs:
        yield "at start", repair


def _contents(looked: Directory, state: State, base: LogId | None) -> Iterator[tuple[str, str]]:
    count = len(looked.snapshots.found)
    yield "snapshots", "none" if base is None else f"{count}, the newest up to {_place(base)}"
    yield "state", f"{len(state.entities)} entities at revision {state.revision}"


def _tail(entries: list[Entry]) -> Iterator[tuple[str, str]]:
    if entries:
        first, last = entries[0].id.index, entries[-1].id.index
        places = f"index {first}" if first == last else f"index {first}..{last}"
        yield "tail", f"{len(entries)}, {places}: not known to be committed, and not in the state"


def _node(found: Report) -> str:
    identity = found.identity
    if identity is None:
        return "none yet: nothing was ever stored here"
    return f"{identity.node}, machine {identity.machine}, cluster {identity.cluster or 'none yet'}"


def _entries(found: Report) -> str:
    if found.first is None or found.last is None:
        return "none"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.kinds.items()))
    return (
        f"{found.entries}, index {found.first.index}..{found.last.index}, "
        f"terms {found.first.term}..{found.last.term} ({kinds})"
    )


def _vote(found: Report) -> str:
    vote = found.vote
    if vote is None:
        return "none"
    return f"term {vote.term} for node {public_id(vote.node)}{', committed' if vote.committed else ''}"


def _place(id: LogId) -> str:
    return f"index {id.index}, term {id.term}"
