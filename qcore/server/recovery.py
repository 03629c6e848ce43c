"""The state from what a node has on disk: its newest good snapshot and the log behind it at a start.

A snapshot that was received while the node runs is read here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from qcore.disk.damage import damaged, newer
from qcore.disk.directory import Directory
from qcore.disk.repair import refuse_gap
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.entry import FEATURE_LEVEL, Entry
from qcore.model.errors import Damaged, Fatal, QcoreError, cut
from qcore.server.runtime import budgets
from qcore.store.apply import apply_entry
from qcore.store.state.snapshot_lines import Loader
from qcore.store.state.state import State

__all__ = ["cannot_apply", "find_snapshot", "load", "read_snapshot", "replay_entry"]


def load(directory: Directory, between: Callable[[], None] = lambda: None) -> tuple[State, SnapshotFile | None]:
    """The state of the newest good snapshot, and its file; a fresh state without one. Blocking.

    `between` is called now and then; what it raises ends the work.

    Raises:
        Damaged: no good snapshot reaches as far as the log has gone.
        Newer: a newer version wrote one.
    """
    snapshots = directory.snapshots
    for found in list(snapshots.found):
        try:
            state = _whole(read_snapshot(snapshots, found), between)
        except Damaged as problem:
            if found.header.feature > FEATURE_LEVEL:
                raise
            snapshots.discard(found, problem)
            continue
        refuse_gap(directory, found.header.last)
        return state, found
    refuse_gap(directory, None)
    return State(), None


def find_snapshot(directory: Directory, between: Callable[[], None] = lambda: None) -> SnapshotFile | None:
    """The newest snapshot of which every byte is right, for a node that keeps its files and no state. Blocking.

    `between` is called now and then; what it raises ends the work.

    Raises:
        Damaged: no good snapshot reaches as far as the log has gone.
    """
    snapshots = directory.snapshots
    for found in list(snapshots.found):
        try:
            for number, _ in enumerate(snapshots.lines(found)):
                if number % budgets.LOADED_LINES == 0:
                    between()
        except Damaged as problem:
            snapshots.discard(found, problem)
            continue
        refuse_gap(directory, found.header.last)
        return found
    refuse_gap(directory, None)
    return None


def read_snapshot(snapshots: SnapshotFiles, found: SnapshotFile) -> Generator[None, None, State]:
    """Read the state of a snapshot; pauses between slices, so that a running node can read one beside its work.

    Raises:
        Damaged: a byte is not what was written, or a line is none of a state.
        Newer: a newer version wrote it.
    """
    if found.header.feature > FEATURE_LEVEL:
        level = f"feature level {found.header.feature}, this version knows up to {FEATURE_LEVEL}"
        raise newer(found.path, level)
    loader = Loader()
    try:
        for number, line in enumerate(snapshots.lines(found), 1):
            loader.add(line)
            if number % budgets.LOADED_LINES == 0:
                yield
        return loader.done(found.header.last.index)
    except (ValueError, LookupError, TypeError, QcoreError) as error:
        if isinstance(error, Damaged):
            raise
        raise damaged(found.path, f"expected lines of a state, but one does not fit: {error}") from error


def replay_entry(state: State, entry: Entry) -> None:
    """Apply an entry of the log at a start, whole.

    Raises:
        Fatal: it cannot be applied, and is named; or the state is not what the log says.
    """
    through = 0
    try:
        for _ in apply_entry(state, entry):
            through += 1
    except Fatal:
        raise
    except Exception as exc:
        raise cannot_apply(entry, through, exc) from exc


def cannot_apply(entry: Entry, through: int, exc: Exception) -> Fatal:
    """What is said of an entry whose first commands went `through` before one failed in a way that none may."""
    commands = entry.body.commands
    where = (
        f"command {through + 1} of {len(commands)}, {commands[through].method}," if commands[through:] else "its end"
    )
    return Fatal(
        f"entry {entry.id.index} of the log (term {entry.id.term}) cannot be applied: {where} failed with "
        f"{cut(repr(exc))}. The log is whole, this is a defect of qcore: the next start meets the same entry. "
        "docs/data-directory.md, 'When an entry cannot be applied', has the way out"
    )


def _whole(work: Generator[None, None, State], between: Callable[[], None]) -> State:
    while True:
        between()
        try:
            next(work)
        except StopIteration as done:
            state: State = done.value
            return state
