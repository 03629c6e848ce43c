"""A snapshot that another node sends, as it comes in: under a temporary name until all of it is there and durable."""

from __future__ import annotations

import os
from hashlib import blake2b

from qcore.disk.damage import damaged
from qcore.disk.files import TEMPORARY
from qcore.disk.snapshot_files import SYNC_BYTES, SnapshotFile, SnapshotFiles, examine
from qcore.disk.space import space
from qcore.model.errors import DiskFailed

__all__ = ["ReceivedSnapshot", "checksum_of"]

_READ = 1 << 20


def checksum_of(descriptor: int) -> tuple[int, str]:
    """Size and hash of an open file that is sent; blocking.

    Raises:
        OSError: it cannot be read.
    """
    checksum = blake2b(digest_size=16)
    size = 0
    while data := os.pread(descriptor, _READ, size):
        checksum.update(data)
        size += len(data)
    return size, checksum.hexdigest()


class ReceivedSnapshot:
    """A snapshot of `size` bytes with a known hash: `extend` it, then `finish`, or `abandon` it.

    Names are given as in `SnapshotFiles.begin`, and it is not begun where it would leave less than `left` bytes on the
    disk. All of it belongs to one thread, which need not be that of the other snapshots.

    Attributes:
        received: bytes of it that are there.
    """

    def __init__(self, snapshots: SnapshotFiles, checksum: str, size: int, seconds: int, left: int = 0) -> None:
        self.size = size
        self.received = 0
        self._snapshots = snapshots
        self._files = snapshots.apart()
        self._temporary = os.path.join(snapshots.folder, f"received_{checksum}{TEMPORARY}")
        self._seconds = seconds
        self._expected = checksum
        self._checksum = blake2b(digest_size=16)
        self._left = left
        self._unsynced = 0
        self._begun = False

    def extend(self, data: bytes) -> None:
        """Add what came next; blocking.

        Raises:
            DiskFailed: it cannot be written; abandon it.
        """
        if not self._begun:
            self._begun = True
            self._files.make_folder(self._snapshots.folder)
            self._check_space()
            self._files.write(self._temporary, b"")
        self._unsynced += len(data)
        sync = self._unsynced >= SYNC_BYTES
        self._files.extend(self._temporary, data, sync)
        self._checksum.update(data)
        self.received += len(data)
        self._unsynced = 0 if sync else self._unsynced

    def finish(self) -> SnapshotFile:
        """Check it, make it durable and give it its name; blocking.

        Raises:
            Damaged: it is not what was sent, or no snapshot that this version reads; abandon it.
            DiskFailed: it cannot be written; abandon it.
        """
        if self.received != self.size or self._checksum.hexdigest() != self._expected:
            raise damaged(self._temporary, f"expected {self.size} bytes with the sender's hash, found something else")
        self._unsynced = SYNC_BYTES
        self.extend(b"")
        examine(self._temporary)
        path = self._snapshots.give_name(self._seconds)
        self._files.rename(self._temporary, path)
        self._files.sync_folder(self._snapshots.folder)
        return examine(path)

    def abandon(self) -> None:
        """Take away what came, as far as that is possible."""
        if self._begun:
            try:
                self._files.apart().unlink(self._temporary)
            except DiskFailed:  # it goes at the next start
                return

    def _check_space(self) -> None:
        found = space(self._snapshots.folder)
        if found is not None and found.free < self._left + self.size:
            raise DiskFailed(
                f"the disk of {self._snapshots.folder} is full: the snapshot has {self.size} bytes, {found.free} are "
                f"free, and {self._left} are the log's"
            )
