"""Finding the directory of the node that is meant, as the daemon would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qcore.disk.files import Files
from qcore.disk.identity import load_identity
from qcore.disk.report import node_directories
from qcore.model.errors import ConfigError, Damaged
from qcore.model.ids import is_digits
from qcore_tools.console import UsageError

__all__ = ["find_place"]


def find_place(data_dir: str | None, machine: str | None, settings: Sequence[str]) -> Path:
    """The directory ``node_<id>`` of the node that is meant.

    `machine` is a machine's name or a node id. Without it the settings name the node if they have an id, and else it is
    the only one there is.

    Raises:
        UsageError: none is meant by that, or several; those that are there are listed.
    """
    folder = None if data_dir is None else Path(data_dir).absolute()
    id = None
    if folder is None or (machine is None and len(node_directories(folder)) > 1):
        folder, id = _from_settings(data_dir, settings)
    there = node_directories(folder)
    if machine is not None:
        found = [path for path in there if machine in _names(path)]
        meant = f"of {machine}"
    elif len(there) > 1 and id is not None:
        found = [path for path in there if path.name == f"node_{id}"]
        meant = f"of node {id}"
    else:
        found, meant = there, "of a node"
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{path} ({', '.join(_names(path)[1:]) or 'no machine'})" for path in found or there)
    if found:
        raise UsageError(f"{folder} has several directories {meant}, name one with --machine: {listed}")
    raise UsageError(f"{folder} has no directory {meant}" + (f", but {listed}" if there else ""))


def _from_settings(data_dir: str | None, settings: Sequence[str]) -> tuple[Path, int | None]:
    """The data directory, and the node's id if anything but the default says it."""
    # here, as the server's rooms take a while to load
    from qcore.server.config.sources import load

    try:
        loaded = load({} if data_dir is None else {"data_dir": data_dir}, settings, os.environ)
    except ConfigError as error:
        raise UsageError(error.message) from None
    id = None if loaded.sources["id"] == "default" else loaded.settings.id
    return loaded.settings.data_dir.absolute(), id


def _names(path: Path) -> list[str]:
    """By what a node is called: its id, and its machine's name where that can be read."""
    id = path.name.removeprefix("node_")
    try:
        identity = load_identity(Files(), str(path / "node.json"), int(id) if is_digits(id) else 0)
    except Damaged:
        identity = None
    return [id] if identity is None else [id, identity.machine]
