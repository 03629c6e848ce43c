"""Room for what a start writes, on a disk that has hardly any: what no start needs goes before anything is written.

In this order, and no further than it takes: snapshots below the purge mark, files that lie ready, purged entries, the
oldest snapshots, and the entries that the newest good snapshot holds. A snapshot is good here if each byte is.
"""

from __future__ import annotations

from qcore.disk.log.log import Log
from qcore.disk.marks import Marks
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.disk.space import space
from qcore.model.entry import FEATURE_LEVEL
from qcore.model.errors import Damaged

__all__ = ["make_room"]

_ROOM = 32 << 20
"""Bytes with which a start gives up nothing."""

_LEAST = 1 << 20
"""Bytes that the writes of a start fit into, beside the last entry, which is stored anew."""

_LEAST_FILES = 16
"""Files that a start makes at most at a time."""


def make_room(folder: str, snapshots: SnapshotFiles, marks: Marks, log: Log) -> None:
    """Make room in the directory `folder`, which was checked and is not settled yet."""
    if _has_room(folder, _ROOM):
        return
    if marks.purged is not None:
        snapshots.remove(snapshots.below(marks.purged))
    least = _LEAST + log.last_size()
    if _has_room(folder, least):
        return
    log.drop_ready()
    if not _has_room(folder, least) and log.found.purged:
        log.drop_purged()
    if _has_room(folder, least):
        return
    newest = _newest_good(snapshots)
    if newest is None or (marks.purged is not None and newest.header.last.index < marks.purged.index):
        return
    while snapshots.found[-1] is not newest and not _has_room(folder, least):
        snapshots.remove(snapshots.oldest())
    if not _has_room(folder, least) and log.log_id(newest.header.last.index) == newest.header.last != marks.purged:
        log.purge_at_once(newest.header.last)


def _has_room(folder: str, least: int) -> bool:
    found = space(folder)
    return found is None or (
        found.free >= least and (found.free_files is None or found.free_files >= min(_LEAST_FILES, found.total_files))
    )


def _newest_good(snapshots: SnapshotFiles) -> SnapshotFile | None:
    for found in list(snapshots.found):
        if found.header.feature > FEATURE_LEVEL:
            return None
        try:
            for _ in snapshots.lines(found):
                pass
        except Damaged as problem:
            snapshots.discard(found, problem)
        else:
            return found
    return None
