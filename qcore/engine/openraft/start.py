"""What OpenRaft is started with, and what the host replays before: from a node's directory and its newest snapshot."""

from __future__ import annotations

from collections.abc import Callable

from qcore.disk.directory import Directory
from qcore.disk.repair import drop_log, log_fits
from qcore.disk.snapshot_files import SnapshotFile
from qcore.disk.writer import DiskWriter
from qcore.engine.committed import Replayed, replay_committed
from qcore.model.entry import Entry

__all__ = ["recover"]


def recover(
    directory: Directory,
    writer: DiskWriter,
    itself: int,
    replay: Callable[[Entry], None],
    snapshot: SnapshotFile | None,
) -> Replayed:
    """Drop a log that does not fit the snapshot; replay what is known to be committed, and nothing beyond.

    Raises:
        Damaged: a file fails its checks, or a newer version wrote it.
        DiskFailed: the log that does not fit cannot be dropped.
    """
    if snapshot is not None and not log_fits(directory.log, snapshot.header.last):
        drop_log(writer, snapshot.header.last)
        writer.run_pending()
    return replay_committed(directory, itself, replay, snapshot)
