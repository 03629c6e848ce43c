"""A node's data directory, opened and locked.

    <data-dir>/node_<id>/
        lock            held while a daemon or an offline tool uses the directory; its pid
        node.json       identity
        vote.json       the vote
        committed.json  hints: how far the log is committed and stored
        purged.json     up to where the log's entries are gone
        logs/           one file per entry
        snapshots/      the whole state at some places of the log

Every save is `qcore.disk.writer`'s, but for those of `open` itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from qcore.disk.damage import all_damaged, damaged
from qcore.disk.files import TEMPORARY, Files
from qcore.disk.hint import committed_at_start
from qcore.disk.identity import Identity, load_identity, new_identity, store_identity
from qcore.disk.lock import Lock, share_lock, take_lock
from qcore.disk.log.log import Log
from qcore.disk.log.preallocator import Preallocator
from qcore.disk.log.survey import survey
from qcore.disk.marks import Marks
from qcore.disk.mounts import durability_warning, is_flushed_whole, mount_table
from qcore.disk.room import make_room
from qcore.disk.snapshot_files import SnapshotFiles
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged, Fatal

__all__ = ["Directory"]


class Directory:
    """What a node has on disk; made by `Directory.open`, given back by `close`.

    Attributes:
        path: ``<data-dir>/node_<id>``, absolute.
        snapshots: what is in its folder of snapshots.
        identity: the content of node.json.
        log: the entries.
        warnings: sentences about what is legal but unwise, for the operator.
        problems: what is wrong with files of it, only where it is looked at; with any, a start is refused.
    """

    def __init__(
        self,
        path: Path,
        files: Files,
        lock: Lock,
        snapshots: SnapshotFiles,
        identity: Identity,
        marks: Marks,
        log: Log,
    ) -> None:
        self.path = path
        self.snapshots = snapshots
        self.problems: list[Damaged] = []
        self.identity = identity
        self.log = log
        self.syncs = files.syncs
        self.warnings: list[str] = []
        self._files = files
        self._lock = lock
        self._marks = marks
        self._preallocator = Preallocator(files, str(path / "logs"), log.ready_files)

    @classmethod
    def open(
        cls,
        data_dir: Path,
        node: int,
        *,
        machine: str | None = None,
        files: Files | None = None,
        witness: bool = False,
    ) -> Directory:
        """Open the directory of a node, or create it, and check all that is in it.

        Args:
            data_dir: the folder that holds the node's own; created where it is missing.
            node: the id people see, from 1.
            machine: name of the machine; None keeps the stored one, at first the host's name.
            files: what the file operations go through.
            witness: whether a directory that is created is that of a witness; one that is there stays what it is.

        Raises:
            AlreadyRunning: another process holds the directory.
            Damaged: a file fails its checks, or a newer version wrote it.
            DiskFailed: it cannot be read or written.
        """
        files = files or Files()
        path = data_dir.absolute() / f"node_{node}"
        files.make_folder(str(path))
        lock = take_lock(path)
        try:
            files.hold(str(path))
            lock.folder.check_place()
            directory = cls._checked(path, node, machine, files, lock, witness)
            directory.refuse_damaged()
            directory._settle()
            return directory
        except BaseException:
            files.close()
            lock.close()
            raise

    @classmethod
    def look(cls, path: Path, *, alone: bool = False) -> Directory:
        """Look at the directory of a stopped node: all the checks of `open`, and nothing is changed.

        What `open` would refuse is in `problems`. `alone` keeps out others who look, too, for which `lock` is written.

        Raises:
            AlreadyRunning, DiskFailed: as from `open`.
        """
        lock = take_lock(path) if alone else share_lock(path)
        try:
            return cls._checked(path, int(path.name.removeprefix("node_")), None, Files(), lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def look_beside(cls, path: Path, files: Files) -> Directory:
        """The same beside whoever uses the directory, without a lock.

        What is changed while it is looked at may look wrong: only what is wrong again a second later is.

        Raises:
            DiskFailed: it cannot be read.
        """
        lock = Lock(path)
        try:
            return cls._checked(path, int(path.name.removeprefix("node_")), None, files, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _checked(
        cls, path: Path, node: int, machine: str | None, files: Files, lock: Lock, witness: bool = False
    ) -> Directory:
        problems: list[Damaged] = []
        known = _known_identity(files, path, node, problems) or new_identity(node, machine, witness=witness)
        identity = _renamed(known, machine)
        snapshots = _scanned(files, path, problems)
        marks = Marks(files, str(path))
        folder = str(path / "logs")
        covered = max((found.header.last.index for found in snapshots.found), default=-1)
        found = survey(files, folder, marks, covered)
        directory = cls(path, files, lock, snapshots, identity, marks, Log(files, folder, marks, found))
        directory.problems += [*problems, *marks.problems, *found.problems]
        places, mounts = [str((path / part).resolve()) for part in ("", "logs", "snapshots")], mount_table()
        files.whole = is_flushed_whole(places[1], mounts, os.uname().release)
        forgetful = next(filter(None, (durability_warning(place, mounts) for place in places)), None)
        directory.warnings += [*lock.warnings, *found.warnings, *([forgetful] if forgetful else [])]
        return directory

    def refuse_damaged(self) -> None:
        """Refuse the directory if anything is wrong with it.

        Raises:
            Damaged: it names every file.
        """
        if self.problems:
            raise all_damaged(self.problems)

    def _settle(self) -> None:
        """Repair what a crash may have left, and make durable what was found; only now anything is changed."""
        folders = [str(folder) for folder in (self.path / "logs", self.path / "snapshots", self.path)]
        for folder in folders:
            self._files.make_folder(folder)
            _remove_temporary(self._files, folder)
        self._files.hold(folders[0])
        make_room(str(self.path), self.snapshots, self._marks, self.log)
        self.save_identity(self.identity)
        self._marks.settle()
        self.log.settle()
        self._marks.replace_committed(committed_at_start(self._marks.committed, self.log), self.log.last)
        for folder in [*folders, *_readable(self.path.parent, self.path.parent.parent)]:
            self._files.sync_folder(folder)

    @property
    def vote(self) -> Vote | None:
        """The stored vote, None before the first."""
        return self._marks.vote

    @property
    def committed(self) -> LogId | None:
        """How far the log was last known to be committed; when the directory is opened it is an entry of the log, the
        purge mark, or None."""
        return self._marks.committed

    @property
    def hint_problem(self) -> Damaged | None:
        """What is wrong with committed.json, which counts as absent then."""
        return self._marks.hint_problem

    @property
    def stored(self) -> LogId | None:
        """The watermark in committed.json: the log reaches at least there."""
        return self._marks.stored

    @property
    def purged(self) -> LogId | None:
        """Log id up to which the log's entries are gone."""
        return self.log.purged

    def save_identity(self, identity: Identity) -> None:
        """Replace node.json durably."""
        store_identity(self._files, _identity_path(self.path), identity)
        self.identity = identity

    def save_vote(self, vote: Vote) -> None:
        """Store the vote durably."""
        self._marks.save_vote(vote)

    def save_committed(self, committed: LogId | None, *, sync: bool = False) -> None:
        """Note how far the log is committed, and that it is stored up to its last entry.

        A hint, lost or old after a crash; with `sync`, at a clean stop, durable.
        """
        self._marks.save_committed(committed, self.log.last, sync)

    def check_place(self) -> None:
        """Find out whether the directory and its log are still where they were opened.

        Raises:
            DiskFailed: it was moved away, or another one put in its place; nothing is written any more.
        """
        self._files.check_places()

    def prepare(self, failed: Callable[[Fatal], None]) -> None:
        """Have the slow thread keep files ready for the next entries, until the directory is closed.

        `failed` hears on that thread that it could not: from then on nothing can be written.
        """
        self._preallocator.start(failed)

    def close(self) -> None:
        """Give the directory back; nothing is written."""
        self._preallocator.stop()
        self._files.close()
        self._lock.close()


def _remove_temporary(files: Files, folder: str) -> None:
    for name in files.names(folder):
        if name.endswith(TEMPORARY):
            files.unlink(os.path.join(folder, name))


def _identity_path(path: Path) -> str:
    return str(path / "node.json")


def _known_identity(files: Files, path: Path, node: int, problems: list[Damaged]) -> Identity | None:
    """Return the identity in node.json, None in a directory that holds nothing yet.

    It is a problem if the file fails its check, is that of another node, or is missing where other files are.
    """
    name = _identity_path(path)
    try:
        identity = load_identity(files, name, node)
        if identity is None and not _is_new(files, path):
            raise damaged(name, "expected the identity of the node whose files lie here, found no such file")
    except Damaged as problem:
        problems.append(problem)
        return None
    return identity


def _scanned(files: Files, path: Path, problems: list[Damaged]) -> SnapshotFiles:
    """Return what is in the folder of snapshots; a problem is one that a newer version wrote."""
    snapshots = SnapshotFiles(files, str(path / "snapshots"))
    try:
        snapshots.scan()
    except Damaged as problem:
        problems.append(problem)
    return snapshots


def _renamed(identity: Identity, machine: str | None) -> Identity:
    return identity if machine is None else msgspec.structs.replace(identity, machine=machine)


def _is_new(files: Files, path: Path) -> bool:
    """Tell whether nothing but empty folders is there; node.json is durable before anything else is written."""
    return not files.names(str(path / "logs")) and not any(name.endswith(".json") for name in files.names(str(path)))


def _readable(*folders: Path) -> list[str]:
    """Return the folders that can be synced: one that cannot be read was not changed by this node."""
    return [str(folder) for folder in folders if os.access(folder, os.R_OK)]
