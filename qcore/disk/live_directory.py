"""A node's directory, looked at beside whoever uses it: nothing is locked, and nothing is changed.

What is read here was so at one moment. Whether all of it is right together is `qcore.disk.verification`'s to say.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from qcore.disk.files import Files
from qcore.disk.identity import Identity, load_identity
from qcore.disk.log.live_reader import RETRY, LiveReader
from qcore.disk.log.survey import entry_numbers, entry_path
from qcore.disk.marks import Marks
from qcore.disk.snapshot_files import SnapshotFiles
from qcore.model.entry import LogId
from qcore.model.errors import DiskFailed

__all__ = ["LiveDirectory"]

_LOOKS = 20
"""Looks at a hint that is being written over."""


class LiveDirectory:
    """The directory at `path`, ``node_<id>``; it stays the same one until `close`, whatever is put in its place.

    Attributes:
        path: absolute.
        entries: reads the log.

    Raises:
        Damaged: a folder of it is a link, or none.
        DiskFailed: it cannot be opened.
    """

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
        self._logs = str(path / "logs")
        self.entries = LiveReader(self._files, str(path))
        self._files.hold(str(path))
        try:
            self._files.names(self._logs)  # or it is no folder
            self._has_logs = os.path.lexists(self._logs)
            if self._has_logs:
                self._files.hold(self._logs)
        except BaseException:
            self.close()
            raise

    def is_in_place(self) -> bool:
        """Tell whether it still is the one that its path names."""
        try:
            self._files.check_places()
        except DiskFailed:
            return False
        return os.path.lexists(self._logs) == self._has_logs

    def identity(self) -> Identity | None:
        """Return the content of node.json, None without one.

        Raises:
            Damaged: it fails its check, or is that of another node.
        """
        return load_identity(self._files, str(self.path / "node.json"), int(self.path.name.removeprefix("node_")))

    def marks(self) -> Marks:
        """Return the small files beside the log as they are now."""
        for _ in range(_LOOKS):
            marks = Marks(self._files, str(self.path))
            if not marks.hint_problem:
                break
            time.sleep(RETRY)  # it is written over in place
        return marks

    def committed(self) -> LogId | None:
        """Return how far the log is known to be committed, None if not at all, or if that is being written."""
        marks = Marks(self._files, str(self.path))
        known = [each for each in (marks.committed, marks.purged) if each is not None]
        return max(known, key=lambda each: each.index, default=None)

    def snapshots(self) -> SnapshotFiles:
        """Return the snapshots that are there now.

        Raises:
            Newer: a newer version wrote one.
        """
        snapshots = SnapshotFiles(self._files, str(self.path / "snapshots"))
        snapshots.scan()
        return snapshots

    def numbers(self) -> list[int]:
        """Return the numbers of the files in logs/, ascending: entries, and files that lie ready."""
        return entry_numbers(self._files.names(self._logs))

    def size(self, index: int) -> int:
        """Return the bytes of the file of entry `index`, 0 without one."""
        shape = self._files.shape(entry_path(self._logs, index))
        return 0 if shape is None else shape[0]

    def close(self) -> None:
        """Give it back."""
        self._files.close()
