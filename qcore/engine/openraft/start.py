"""What OpenRaft is started with, and what the host replays before: from a node's directory and its newest snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from qcore.disk.directory import Directory
from qcore.disk.repair import drop_log, log_fits
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import DiskWriter
from qcore.model.entry import Entry, LogId, Membership

__all__ = ["Recovered", "recover"]


class Recovered(NamedTuple):
    """A start.

    Attributes:
        applied: up to where the host has replayed, None if nothing was.
        tail: the entries above it, which may yet be replaced.
        membership: the last one up to `applied`, and the log id of its entry.
        alone: no other node was ever a member, as far as the log goes, or there is no member at all.
    """

    applied: LogId | None
    tail: list[Entry]
    membership: tuple[Membership, LogId] | None
    alone: bool


def recover(
    directory: Directory,
    writer: DiskWriter,
    itself: int,
    replay: Callable[[Entry], None],
    snapshot: SnapshotFile | None,
) -> Recovered:
    """Replay what is known to be committed, and nothing beyond; then drop a log that does not fit the snapshot.

    What a node alone has stored is committed: there is nobody who could replace it.

    Raises:
        Damaged: a file fails its checks, or a newer version wrote it.
        DiskFailed: the log that does not fit cannot be dropped.
    """
    log = directory.log
    base = None if snapshot is None else snapshot.header.last
    known = None if snapshot is None else (snapshot.header.membership, snapshot.header.membership_id)
    applied = base
    tail: list[Entry] = []
    if base is not None and not log_fits(log, base):
        drop_log(writer, base)
        writer.run_pending()
    else:
        for entry in log.replay(base, directory.committed):
            replay(entry)
            applied, known = entry.id, _membership(entry) or known
        tail = list(
            log.read(0 if applied is None else applied.index + 1, 1 if log.last is None else log.last.index + 1)
        )
    alone = _is_alone(itself, [known, *map(_membership, tail)])
    if alone:
        for entry in tail:
            replay(entry)
            applied, known = entry.id, _membership(entry) or known
        tail = []
    return Recovered(applied, tail, known, alone)


def _next(id: LogId | None) -> int:
    return 0 if id is None else id.index + 1


def _membership(entry: Entry) -> tuple[Membership, LogId] | None:
    return None if entry.body.membership is None else (entry.body.membership, entry.id)


def _is_alone(itself: int, known: list[tuple[Membership, LogId] | None]) -> bool:
    return all(list(found[0].nodes) == [itself] and found[0].configs == [[itself]] for found in known if found)
