"""What a start makes of the log beside the snapshots: one rule for all engines, and for those who only look.

- A log that is gone up to above the newest good snapshot is damage: what lay between is nowhere.
- A log that ends below that snapshot, or has another entry at its place, is not the one that led to it. It is dropped:
  the next entry is the one after the snapshot.
- Any other log goes on where the snapshot leaves off.

Nothing is dropped before it is known that the engine may use the directory at all.
"""

from __future__ import annotations

from qcore.disk.damage import damaged
from qcore.disk.directory import Directory
from qcore.disk.log.log import Log
from qcore.disk.writer import DiskWriter
from qcore.model.entry import LogId

__all__ = ["LOG_DROPPED", "drop_log", "log_fits", "refuse_gap"]

LOG_DROPPED = "the log ends below the newest snapshot, or is not the one that led to it: dropped"
"""What is said of a log that `log_fits` does not let stand."""


def refuse_gap(directory: Directory, snapshot: LogId | None) -> None:
    """Refuse a directory whose log is purged above its newest good snapshot; None: there is none.

    Raises:
        Damaged: it is.
    """
    purged = directory.purged
    if purged is None or (snapshot is not None and snapshot.index >= purged.index):
        return
    problems = "; ".join(problem.message for problem in directory.snapshots.problems)
    raise damaged(
        str(directory.path / "snapshots"),
        f"expected a good snapshot at log index {purged.index} or above, up to which the log is gone, "
        f"found {'none' if snapshot is None else f'one at {snapshot.index}'}{f' ({problems})' if problems else ''}",
    )


def log_fits(log: Log, snapshot: LogId | None) -> bool:
    """Tell whether the log goes on where the newest good snapshot leaves off; a start drops one that does not."""
    return snapshot is None or log.log_id(snapshot.index) == snapshot


def drop_log(writer: DiskWriter, snapshot: LogId) -> None:
    """Have a log dropped that does not fit the newest good snapshot, which is durable.

    From the highest entry down to the snapshot, then the rest by the purge mark: a crash on the way leaves a log that
    does not fit either.
    """
    writer.truncate(snapshot.index + 1)
    writer.purge(snapshot)
