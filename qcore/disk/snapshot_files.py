"""The folder of snapshots: files of JSON lines, each the whole state at one place of the log.

    snapshots/snapshot_<unix seconds>.json
        header   one checksummed line: the last log id that is in it, membership, counts
        ...      lines of the state, which mean nothing here
        footer   {"footer":{"lines":...,"checksum":"<blake2b, 128 bits, of all before>"}}

The newest is the one with the highest log index in its header, whatever its name. A file is written under a
temporary name and gets its own when it is durable. One that fails its checks is told, left alone and not used.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from qcore.disk.checksummed import decode_checksummed, encode_checksummed
from qcore.disk.damage import damaged
from qcore.disk.files import TEMPORARY, Files, open_regular
from qcore.disk.space import space
from qcore.model.entry import LogId, Membership
from qcore.model.errors import Damaged, DiskFailed, Newer

__all__ = ["KEPT", "SYNC_BYTES", "SnapshotFile", "SnapshotFiles", "SnapshotHeader", "SnapshotWriter", "examine"]

KEPT = 5
"""Snapshots that are kept, the newest ones."""

_NAME = re.compile(r"snapshot_(0|[1-9][0-9]*)\.json")
SYNC_BYTES = 4 << 20
"""Bytes after which what was written is brought to the disk, so that no single fsync takes long."""
_BUFFER = 1 << 20
_MAX_HEADER = 64 << 20


class SnapshotHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a snapshot without reading it.

    Attributes:
        last: the last log id whose entry is in it.
        membership: the last membership up to there, and the log id of its entry.
        feature: the feature level of the state.
        time: entry time of the last entry, ns.
        revision: of the state; `digest` is that of the same.
        counts: entities by type.
    """

    last: LogId
    membership: Membership
    membership_id: LogId
    feature: int
    time: int
    revision: int
    digest: str
    counts: dict[str, int]


class SnapshotFile(NamedTuple):
    """A snapshot file whose header is good; `size` in bytes."""

    path: str
    header: SnapshotHeader
    size: int


class SnapshotFiles:
    """The snapshots in a folder, newest first.

    Attributes:
        folder: its path.
        found: those whose header is good.
        problems: what is wrong with the others.
        foreign: paths of what is not named like a snapshot.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self.folder = folder
        self._files = files.apart()
        self._given: set[str] = set()
        """The names that new ones were given."""
        self._naming = threading.Lock()
        self.found: list[SnapshotFile] = []
        self.problems: list[Damaged] = []
        self.foreign: list[str] = []

    def scan(self) -> None:
        """Read the headers of all that is there.

        Raises:
            Newer: a newer version wrote one.
        """
        self.found, self.problems, self.foreign = [], [], []
        for name in self._files.names(self.folder):
            path = os.path.join(self.folder, name)
            if _NAME.fullmatch(name):
                try:
                    self.found.append(examine(path))
                except Newer:
                    raise
                except Damaged as problem:
                    self.problems.append(problem)
            elif not name.endswith(TEMPORARY):
                self.foreign.append(path)
        self.found.sort(key=lambda found: (found.header.last.index, found.path), reverse=True)

    def read_all(self) -> None:
        """Read every one that is used, and use those that are not right no more."""
        for found in list(self.found):
            try:
                for _ in self.lines(found):
                    pass
            except Damaged as problem:
                self.discard(found, problem)

    def discard(self, found: SnapshotFile, problem: Damaged) -> None:
        """Use a snapshot no more, as reading it showed a problem."""
        self.found.remove(found)
        self.problems.append(problem)

    def lines(self, found: SnapshotFile) -> Iterator[bytes]:
        """The lines between header and footer; only at the end it is known that all of them are right.

        Raises:
            Damaged: a byte is not what was written.
        """
        checksum = blake2b(digest_size=16)
        count = 0
        last = b""
        try:
            with open(open_regular(found.path), "rb", buffering=_BUFFER) as file:
                checksum.update(file.readline(_MAX_HEADER))
                for line in file:
                    if last:
                        checksum.update(last)
                        count += 1
                        yield last
                    last = line
        except OSError as error:
            raise damaged(found.path, f"it cannot be read: {error.strerror}") from error
        if last != _footer(count, checksum.hexdigest()):
            raise damaged(found.path, f"expected a footer that fits the {count} lines before it, found something else")

    def begin(self, header: SnapshotHeader, seconds: int, left: int = 0) -> SnapshotWriter:
        """Begin a new snapshot, which `seconds` since 1970 name; writing it belongs to one thread.

        It ends where it would leave less than `left` bytes on the disk, which are the log's. No name is given twice, as
        two may be under way: one that is being given up, one that another node sends.
        """
        return SnapshotWriter(self.apart(), self.give_name(seconds), header, left)

    def give_name(self, seconds: int) -> str:
        """The path for a new snapshot; may be called from any thread."""
        with self._naming:
            path = os.path.join(self.folder, f"snapshot_{seconds}.json")
            while path in self._given or os.path.lexists(path):
                seconds += 1
                path = os.path.join(self.folder, f"snapshot_{seconds}.json")
            self._given.add(path)
            return path

    def add(self, found: SnapshotFile) -> None:
        """Take in a snapshot that is durable now."""
        self.found.insert(0, found)

    def holds(self, found: SnapshotFile) -> bool:
        """Whether a snapshot was taken in and not given up since; may be asked from any thread."""
        return found in tuple(self.found)

    def surplus(self) -> list[SnapshotFile]:
        """Give up all but the newest `KEPT`, to be removed."""
        old, self.found = self.found[KEPT:], self.found[:KEPT]
        return old

    def older(self) -> list[SnapshotFile]:
        """Give up all but the newest, to be removed."""
        old, self.found = self.found[1:], self.found[:1]
        return old

    def oldest(self) -> list[SnapshotFile]:
        """Give up the oldest, to be removed."""
        return [self.found.pop()]

    def below(self, purged: LogId) -> list[SnapshotFile]:
        """Give up those from which no start can go on, as the log is gone up to `purged`; to be removed."""
        old = [found for found in self.found if found.header.last.index < purged.index]
        self.found = self.found[: len(self.found) - len(old)]
        return old

    def remove(self, old: list[SnapshotFile]) -> None:
        """Remove snapshots; blocking.

        Raises:
            DiskFailed: a file cannot be removed.
        """
        files = self._files.apart()
        for found in old:
            files.unlink(found.path)
        if old:
            files.sync_folder(self.folder)

    def apart(self) -> Files:
        """The disk for a snapshot of its own, which may fail by itself."""
        return self._files.apart()


class SnapshotWriter:
    """Writes one snapshot: `write` the lines in pieces, then `finish`, or `abandon` it."""

    def __init__(self, files: Files, path: str, header: SnapshotHeader, left: int) -> None:
        self.path = path
        self.size = 0
        self._files = files
        self._left = left
        self._header = header
        self._temporary = path + TEMPORARY
        self._checksum = blake2b(digest_size=16)
        self._lines = 0
        self._unsynced = 0
        self._begun = self._finished = False

    def write(self, lines: bytes) -> None:
        """Add whole lines; blocking.

        Raises:
            DiskFailed: it cannot be written; abandon it.
        """
        if not self._begun:
            self._begun = True
            head = encode_checksummed(self._header)
            self._files.make_folder(os.path.dirname(self.path))  # who cleared it away left the state to memory alone
            self._files.write(self._temporary, head)
            self._checksum.update(head)
            self.size = len(head)
        self._lines += lines.count(b"\n")
        self._checksum.update(lines)
        self._extend(lines)

    def _extend(self, data: bytes) -> None:
        found = space(os.path.dirname(self.path))
        if found is not None and found.free < self._left + len(data):
            raise DiskFailed(
                f"the disk of {self.path} is full: after {self.size} bytes of the snapshot {found.free} bytes are "
                f"free, and {self._left} are the log's"
            )
        self._unsynced += len(data)
        sync = self._unsynced >= SYNC_BYTES
        self._files.extend(self._temporary, data, sync)
        self.size += len(data)
        self._unsynced = 0 if sync else self._unsynced

    def finish(self) -> SnapshotFile:
        """Make it durable and give it its name; blocking.

        Raises:
            DiskFailed: it cannot be written; abandon it.
        """
        self._unsynced = SYNC_BYTES
        self._extend(_footer(self._lines, self._checksum.hexdigest()))
        self._files.rename(self._temporary, self.path)
        self._finished = True
        self._files.sync_folder(os.path.dirname(self.path))
        return SnapshotFile(self.path, self._header, self.size)

    def abandon(self) -> None:
        """Take away what was written, finished or not, as far as that is possible: nobody was told of it."""
        try:
            self._files.apart().unlink(self.path if self._finished else self._temporary)
        except DiskFailed:  # it goes at the next start
            return


def _footer(lines: int, checksum: str) -> bytes:
    return b'{"footer":{"lines":%d,"checksum":"%s"}}\n' % (lines, checksum.encode())


def examine(path: str) -> SnapshotFile:
    """Read the header of a snapshot file.

    Raises:
        Damaged: it is none, or cannot be read.
        Newer: a newer version wrote it.
    """
    try:
        with open(open_regular(path), "rb", buffering=_BUFFER) as file:
            header = decode_checksummed(file.readline(_MAX_HEADER), SnapshotHeader, path)
            return SnapshotFile(path, header, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror}") from error
