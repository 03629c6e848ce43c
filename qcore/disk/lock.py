"""Who may use a node's directory: one process changes it, or several look at it.

The folder itself is locked, and so is the file `lock` in it: whoever removes the file lets nobody in. Earlier versions
know the file alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from qcore.disk.held_folder import HeldFolder
from qcore.model.errors import AlreadyRunning, DiskFailed

__all__ = ["Lock", "share_lock", "take_lock"]

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})
"""What a file system answers that has no locks, or none for folders."""


class Lock:
    """What a process holds of a node's directory until `close`.

    Attributes:
        warnings: what could not be locked, for the operator.
        folder: the directory itself.
    """

    def __init__(self, path: Path) -> None:
        self.warnings: list[str] = []
        self._path = str(path)
        self._files: list[int] = []
        self.folder = HeldFolder(self._path)

    def take(self, operation: int) -> None:
        """Lock the folder, for one (LOCK_EX) or for several (LOCK_SH).

        Raises:
            AlreadyRunning: a process holds it in another way.
            DiskFailed: it is another folder by now.
        """
        self._lock(self.folder.descriptor, self._path, operation)
        self.folder.check_place()

    def take_file(self, name: Path, flags: int, operation: int) -> int:
        """Lock a file in it likewise; returns its descriptor."""
        file = self._open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._lock(file, str(name), operation)
        return file

    def close(self) -> None:
        """Let others use the directory."""
        while self._files:
            os.close(self._files.pop())
        self.folder.close()

    def _open(self, name: Path, flags: int) -> int:
        try:
            descriptor = os.open(name, flags | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise DiskFailed(f"cannot open {name}: {error.strerror}", path=str(name)) from error
        self._files.append(descriptor)
        return descriptor

    def _lock(self, descriptor: int, name: str, operation: int) -> None:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"{self._path} is in use by the process with pid {self._holder()}; stop it, or name another node or "
                "data directory"
            ) from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise DiskFailed(f"cannot lock {name}: {error.strerror}", path=name) from error
            self.warnings.append(
                f"{name} cannot be locked on this file system ({error.strerror}): "
                "see to it that no second daemon uses the directory"
            )

    def _holder(self) -> str:
        """The pid that a daemon has left in the file."""
        try:
            file = os.open(os.path.join(self._path, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return "unknown"
        try:
            return os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"
        finally:
            os.close(file)


def take_lock(path: Path) -> Lock:
    """Lock the directory for one process alone, and leave its pid in the file `lock`.

    Raises:
        AlreadyRunning: another process holds it.
        DiskFailed: the file cannot be made or locked.
    """
    lock = Lock(path)
    try:
        lock.take(fcntl.LOCK_EX)
        file = lock.take_file(path / "lock", os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
        _leave_to_owner(file, lock.folder.descriptor)
        _write_pid(file, path / "lock")
    except BaseException:
        lock.close()
        raise
    return lock


def share_lock(path: Path) -> Lock:
    """Keep daemons out of the directory and change nothing.

    Raises:
        AlreadyRunning: a daemon holds it.
        DiskFailed: it cannot be locked.
    """
    lock = Lock(path)
    try:
        lock.take(fcntl.LOCK_SH)
        if os.path.lexists(path / "lock"):
            lock.take_file(path / "lock", os.O_RDONLY, fcntl.LOCK_SH)
    except BaseException:
        lock.close()
        raise
    return lock


def _leave_to_owner(file: int, folder: int) -> None:
    """Have root leave no file behind that the user of the daemon cannot open."""
    if os.geteuid() == 0:
        owner = os.fstat(folder)
        with suppress(OSError):  # as where a server takes root for nobody
            os.fchown(file, owner.st_uid, owner.st_gid)


def _write_pid(file: int, name: Path) -> None:
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        raise DiskFailed(f"cannot write {name}: {error.strerror}", path=str(name)) from error
