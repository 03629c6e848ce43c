"""What of a node's log counts as committed at a start: the same for an engine and for who only looks.

The hint on the disk says how far that is, and what lies above it, the tail, may yet be replaced by another leader's.
A node that was never one of several has nobody who could replace anything: all that it has stored is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qcore.disk.directory import Directory
from qcore.disk.hint import committed_at_start
from qcore.disk.repair import log_fits
from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import Entry, LogId, Membership

__all__ = ["Replayed", "replay_committed"]


class Replayed(NamedTuple):
    """How far the state has come.

    Attributes:
        applied: up to where it was replayed, None if nothing was.
        tail: the entries above it, which may yet be replaced.
        membership: the last one up to `applied`, and the log id of its entry.
        alone: no other node was ever a member, as far as the log goes, or there is no member at all.
    """

    applied: LogId | None
    tail: list[Entry]
    membership: tuple[Membership, LogId] | None
    alone: bool


def replay_committed(
    directory: Directory, itself: int, replay: Callable[[Entry], None], snapshot: SnapshotFile | None
) -> Replayed:
    """Replay what is known to be committed behind a snapshot, and nothing beyond; `itself` is the Raft NodeId.

    A log that does not fit the snapshot counts as empty.

    Raises:
        Damaged: a file fails its checks, or a newer version wrote it.
    """
    log = directory.log
    applied = None if snapshot is None else snapshot.header.last
    known = None if snapshot is None else (snapshot.header.membership, snapshot.header.membership_id)
    tail: list[Entry] = []
    if log_fits(log, applied):
        for entry in log.replay(applied, committed_at_start(directory.committed, log)):
            replay(entry)
            applied, known = entry.id, _membership(entry) or known
        tail = list(
            log.read(0 if applied is None else applied.index + 1, 1 if log.last is None else log.last.index + 1)
        )
    alone = all(found[0].is_alone(itself) for found in (known, *map(_membership, tail)) if found)
    if alone:
        for entry in tail:
            replay(entry)
            applied, known = entry.id, _membership(entry) or known
        tail = []
    return Replayed(applied, tail, known, alone)


def _membership(entry: Entry) -> tuple[Membership, LogId] | None:
    return None if entry.body.membership is None else (entry.body.membership, entry.id)
