"""``qcore cluster``: what an operator does about a cluster with the node stopped."""

from __future__ import annotations

from contextlib import closing

import click

from qcore.disk.directory import Directory
from qcore.disk.identity import forget_promise
from qcore.disk.report import node_directory
from qcore.model.entry import raft_node_id
from qcore.model.errors import ConfigError
from qcore.model.initial_cluster import InitialCluster
from qcore.server.config.options import Given
from qcore.server.offline.new_directory import give_owner

__all__ = ["cluster"]


@click.group(short_help="Ways out for a cluster, offline.")
def cluster() -> None:
    """Change what a stopped node has promised to others."""


@cluster.command("forget-bootstrap", short_help="Take back a promise to form a cluster.")
@click.pass_obj
def forget_bootstrap(given: Given) -> None:
    """Take back what the node has promised to form, where it can never be formed: a disk that was named in it is gone.

    --data-dir and --id, before the sub-command, say which node. Do it on every node that has promised, and start none
    of them before: they rely on each other's promises.
    """
    settings = given.load().settings
    path = node_directory(settings.directory)  # there, or it is refused
    with closing(Directory.open(path.parent, settings.id)) as directory:
        identity = directory.identity
        try:
            promise = _take_back(directory)
        finally:
            give_owner(path, path)  # opening it has written several files anew
    own = raft_node_id(identity.node, identity.generation)
    others = [str(member) for member in promise.members if member.node != own]
    click.echo(f"OK: node {identity.node} has taken back that it forms {promise}")
    if others:
        click.echo(f"Before any of them starts, do the same on: {', '.join(others)}")


def _take_back(directory: Directory) -> InitialCluster:
    """Forget the promise of a node; returns what that was.

    Raises:
        ConfigError: there is none, or it was kept.
    """
    identity = directory.identity
    promise = identity.promise
    if identity.cluster:
        raise ConfigError(f"node {identity.node} belongs to cluster {identity.cluster}: there is nothing to take back")
    if promise is None:
        raise ConfigError(f"node {identity.node} has promised to form no cluster")
    directory.save_identity(forget_promise(identity))
    return promise
