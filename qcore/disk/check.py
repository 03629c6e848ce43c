"""Looking at a node's directory offline: all the checks of a start, and nothing is changed."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import msgspec

from qcore.disk.directory import durability_warnings, known_identity
from qcore.disk.files import TEMPORARY, Files
from qcore.disk.identity import Identity
from qcore.disk.lock import share_lock
from qcore.disk.log import Log
from qcore.disk.marks import Marks
from qcore.disk.survey import Survey, survey
from qcore.model.entry import LogId, Vote
from qcore.model.errors import ConfigError

__all__ = ["Report", "check_directory", "node_directory"]

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


def node_directory(path: Path) -> Path:
    """Return the one node's directory that `path` is, or holds.

    Raises:
        ConfigError: it is none, or holds none, or several.
    """
    path = path.absolute()
    if _NAME.fullmatch(path.name) and path.is_dir():
        return path
    found = sorted(each for each in path.glob("node_*") if _NAME.fullmatch(each.name) and each.is_dir())
    if len(found) != 1:
        several = "".join(f"\n  {each}" for each in found)
        raise ConfigError(
            f"{path} holds several nodes, name one of them:{several}"
            if found
            else f"{path} is no node's directory (node_<id>) and holds none"
        )
    return found[0]


def check_directory(path: Path) -> Report:
    """Check all that is in a node's directory as a start does, entries and all.

    Raises:
        Damaged: a file fails its checks, or a newer version wrote it.
        AlreadyRunning: a daemon uses the directory.
        DiskFailed: it cannot be read.
    """
    lock = share_lock(path)
    try:
        return _check(path, Files())
    finally:
        if lock is not None:
            os.close(lock)


def _check(path: Path, files: Files) -> Report:
    folder = str(path / "logs")
    identity = known_identity(files, path, int(path.name.removeprefix("node_")))
    marks = Marks(files, str(path))
    found = survey(files, folder, marks)
    log = Log(files, folder, marks, found)
    return Report(
        path=path,
        identity=identity,
        first=log.first,
        last=log.last if log.first is not None else None,
        kinds=dict(Counter(entry.body.kind for entry in log.read(found.ids.first_index, found.ids.next_index))),
        vote=marks.vote,
        committed=marks.committed,
        stored=marks.stored,
        purged=log.purged,
        ready=len(found.unwritten) - found.torn,
        repairs=_repairs(files, path, found),
        warnings=found.warnings + durability_warnings(path),
    )


def _repairs(files: Files, path: Path, found: Survey) -> list[str]:
    repairs = []
    if found.torn:
        repairs.append(f"entry {found.unwritten[0]} was being written at a crash and was never acknowledged: forgotten")
    if found.purged:
        repairs.append(f"{len(found.purged)} files of purged entries are left: removed")
    folders = [path, path / "logs", path / "snapshots"]
    temporary = sum(name.endswith(TEMPORARY) for folder in folders for name in files.names(str(folder)))
    if temporary:
        repairs.append(f"{temporary} temporary files are left: removed")
    return repairs
