"""``qcore recover``: the way out where a majority of a cluster is lost for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from qcore.disk.directory import Directory
from qcore.disk.report import node_directory
from qcore.model.entry import public_id
from qcore.model.errors import Fatal
from qcore.server.config.sources import Loaded
from qcore.server.offline.new_cluster import NewCluster, force_new_cluster
from qcore.server.offline.survivor import Survivor, read_survivor

__all__ = ["recover"]


@click.command(short_help="Go on without the majority of a cluster, offline.")
@click.option("--plan", is_flag=True, help="Say what each DIR holds, and change nothing.")
@click.option("--force-new-cluster", is_flag=True, help="Make the node a cluster of one, whatever may be missing.")
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@click.pass_context
def recover(ctx: click.Context, plan: bool, force_new_cluster: bool, directories: tuple[Path, ...]) -> None:
    """Go on with what is left of a cluster whose majority is lost for good. What only the lost nodes had is gone.

    First have --plan look at the directories that are left, on each machine or all in one place: the one that is of
    the highest term, and of these at the highest index, has the most. Without DIR it is the node's own.

    Then stop all nodes of the cluster that still run, and run --force-new-cluster on that machine. The node becomes a
    cluster of one with a new id, which the nodes before are no members of; its directory is kept as it was, beside.
    --data-dir and --id, before the sub-command, say which node.
    """
    if plan == force_new_cluster:
        raise click.UsageError("give one of --plan (first) and --force-new-cluster")
    loaded = ctx.obj.load()
    if plan:
        ctx.exit(_plan(directories or (loaded.settings.directory,)))
    if directories:
        raise click.UsageError("--force-new-cluster takes no DIR: --data-dir and --id say which node")
    _force(loaded)


# -- the plan ----------------------------------------------------------------------------------------------


def _plan(directories: Sequence[Path]) -> int:
    """Print a line for each directory, those with the most first; returns the exit code."""
    found: list[Survivor] = []
    code = 0
    for path in directories:
        try:
            found.append(_read(path))
        except Fatal as problem:
            click.echo(f"qcore: {problem.message}", err=True)
            code = code or problem.exit_code
    found.sort(key=lambda each: (each.identity.cluster, each.last), reverse=True)
    for each in found:
        click.echo(f"{each.path}: {each}")
    for cluster in dict.fromkeys(each.identity.cluster for each in found):
        for line in _comparison([each for each in found if each.identity.cluster == cluster]):
            click.echo(line)
    return code


def _read(path: Path) -> Survivor:
    with closing(Directory.look(node_directory(path))) as looked:
        return read_survivor(looked)[0]


def _comparison(found: Sequence[Survivor]) -> Iterator[str]:
    """What the directories of one cluster, the first of which has the most, say together."""
    first = found[0]
    most = [each for each in found if each.last == first.last]
    if len(found) > 1:
        names = " and ".join(str(each.path) for each in most)
        yield f"Cluster {first.identity.cluster}: {names} {'has' if len(most) == 1 else 'have'} the most"
    if not first.alone and _is_majority(found):
        yield "A majority of its voters is here: if none is an older copy, start them, and nothing is missing"


def _is_majority(found: Sequence[Survivor]) -> bool:
    membership = found[0].membership
    disks = {each.node for each in found if each.belongs_to(membership)}
    return all(2 * len(disks.intersection(config)) > len(config) for config in membership.configs)


# -- the way out -------------------------------------------------------------------------------------------


def _force(loaded: Loaded) -> None:
    made = force_new_cluster(loaded.settings)
    before = made.before
    click.echo(f"{before.path}: was {before}")
    click.echo(f"OK: {before.path} is cluster {made.cluster}: {made.entities} entities at revision {before.revision}")
    click.echo(f"{made.backup}: what was there before")
    for line in _to_do(loaded, made):
        click.echo(line)


def _to_do(loaded: Loaded, made: NewCluster) -> Iterator[str]:
    others = ", ".join(f"node {public_id(node)} ({member.addr})" for node, member in made.others.items())
    if others:
        yield f"Refused from now on: the disks of {others}; on empty ones these nodes join again"
    if loaded.settings.witness:
        source = loaded.sources["witness"]
        yield f"It is no witness any more, but witness is still set ({source}): take that out before it starts"
    wanted = loaded.settings.cluster_id
    if wanted and wanted != made.cluster:
        yield f'cluster_id is still the one before ({loaded.sources["cluster_id"]}): set cluster_id = "{made.cluster}"'
