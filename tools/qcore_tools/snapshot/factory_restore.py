"""``snapshot-tool factory-restore``: a node's data directory made of a document, without a server."""

from __future__ import annotations

import os
from typing import Any

import click

from qcore.model.documents.document import refuse
from qcore.model.documents.text import check_snapshot
from qcore.model.errors import ConfigError
from qcore_tools.console import CONTEXT, DONE, UsageError
from qcore_tools.files import read_bytes
from qcore_tools.progress import Progress
from qcore_tools.snapshot.about import about
from qcore_tools.terminal import note, visible, write_result

__all__ = ["factory_restore_command"]


@click.command("factory-restore", context_settings=CONTEXT)
@click.option("--input", "source", required=True, metavar="FILE", help="The snapshot; - for standard input.")
@click.option("--machine-id", "--machine", "machine", metavar="NAME", help="Name of the machine it is for.")
@click.option("--id", "id", metavar="N", help="Number of the node; 1 unless the settings say otherwise.")
@click.option("--data-dir", metavar="DIR", help="The data directory: the node's own, node_<id>, is made in it.")
@click.option("--settings", multiple=True, metavar="FILE", help="Settings file of the daemon; may be repeated.")
@click.option("--force", is_flag=True, help="Put it in the place of one that is there, and keep that beside it.")
def factory_restore_command(source: str, settings: tuple[str, ...], force: bool, **given: str | None) -> int:
    """Make a node's data directory of a snapshot; no daemon may use it, and no server is needed.

    What is not given comes from where the daemon has it: QCORE_* variables, and the settings files, or
    /etc/qcore/qcore.toml. The node then starts as a cluster of its own, under a new id.
    """
    # here, as the server's rooms take a while to load and no other command needs them
    from qcore.server.config.sources import load
    from qcore.server.offline.factory_restore import factory_restore

    flags: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        loaded = load(flags, settings, os.environ)
    except ConfigError as error:
        raise UsageError(error.message) from None
    snapshot, problems = check_snapshot(read_bytes(source))
    if snapshot is None or problems:
        raise refuse(problems)
    note(f"snapshot: {about(snapshot)}")
    with Progress("making the directory", counted=False) as progress:
        made = factory_restore(snapshot.document, loaded.settings, force=force, between=lambda: progress.advance(0))
    lines = [f"{made.path}: {made.entities:,} entities, machine {made.machine}, cluster {made.cluster}"]
    if made.backup is not None:
        lines.append(f"{made.backup}: what was there before")
    write_result("".join(f"{visible(line)}\n" for line in lines))
    return DONE
