"""What is said of a node's directory that was looked at offline."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import msgspec

from qcore.disk.directory import Directory
from qcore.disk.files import TEMPORARY
from qcore.disk.identity import Identity
from qcore.model.entry import LogId, Vote
from qcore.model.errors import ConfigError

__all__ = ["Report", "node_directories", "node_directory", "report"]

_NAME = re.compile(r"node_([1-9][0-9]*)")


class Report(msgspec.Struct, frozen=True):
    """What is in a node's directory; the marks are None where they were never set.

    Attributes:
        path: the node's directory.
        identity: None in a directory in which no node has started yet.
        first, last: log ids of the first and the last entry.
        kinds: number of entries by kind.
        ready: number of blank files for the next entries.
        repairs: sentences about what the next start will put in order.
        warnings: sentences about what is legal but unwise.
    """

    path: Path
    identity: Identity | None
    first: LogId | None
    last: LogId | None
    kinds: dict[str, int]
    vote: Vote | None
    committed: LogId | None
    stored: LogId | None
    purged: LogId | None
    ready: int
    repairs: list[str]
    warnings: list[str]

    @property
    def entries(self) -> int:
        """Number of entries."""
        return sum(self.kinds.values())


def node_directories(path: Path) -> list[Path]:
    """Return the nodes' directories in a data directory, by node id; of a node's directory that itself."""
    path = path.absolute()
    if _NAME.fullmatch(path.name) and path.is_dir():
        return [path]
    found = (each for each in path.glob("node_*") if _NAME.fullmatch(each.name) and each.is_dir())
    return sorted(found, key=lambda each: int(each.name.removeprefix("node_")))


def node_directory(path: Path) -> Path:
    """Return the one node's directory that `path` is, or holds.

    Raises:
        ConfigError: it is none, or holds none, or several.
    """
    path = path.absolute()
    found = node_directories(path)
    if len(found) != 1:
        several = "".join(f"\n  {each}" for each in found)
        raise ConfigError(
            f"{path} holds several nodes, name one of them:{several}"
            if found
            else f"{path} is no node's directory (node_<id>) and holds none"
        )
    return found[0]


def report(directory: Directory) -> Report:
    """Say what a directory holds that was only looked at and has no problems, and read every entry of it.

    Raises:
        Damaged: an entry needs a newer version.
    """
    log, found = directory.log, directory.log.found
    first = log.first
    entries = () if first is None else log.read(first.index, found.ids.next_index)
    return Report(
        path=directory.path,
        identity=directory.identity if os.path.lexists(directory.path / "node.json") else None,
        first=first,
        last=None if first is None else log.last,
        kinds=dict(Counter(entry.body.kind for entry in entries)),
        vote=directory.vote,
        committed=directory.committed,
        stored=directory.stored,
        purged=directory.purged,
        ready=len(found.unwritten) - found.torn,
        repairs=_repairs(directory),
        warnings=directory.warnings,
    )


def _repairs(directory: Directory) -> list[str]:
    repairs, found = [], directory.log.found
    if found.torn:
        repairs.append(f"entry {found.unwritten[0]} was being written at a crash and was never acknowledged: forgotten")
    if found.purged:
        repairs.append(f"{len(found.purged)} files of purged entries are left: removed")
    folders = ("", "logs", "snapshots")
    temporary = sum(1 for folder in folders for _ in (directory.path / folder).glob(f"*{TEMPORARY}"))
    if temporary:
        repairs.append(f"{temporary} temporary files are left: removed")
    return repairs
