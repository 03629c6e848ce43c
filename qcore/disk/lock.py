"""The lock file of a node's directory: one process changes it, or several look at it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from qcore.model.errors import AlreadyRunning, DiskFailed

__all__ = ["share_lock", "take_lock"]


def take_lock(path: Path) -> int:
    """Lock the directory for one process alone, and leave its pid in the lock file; returns the descriptor to close.

    Raises:
        AlreadyRunning: another process holds it.
        DiskFailed: the file cannot be made or locked.
    """
    lock = _locked(path / "lock", os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX)
    try:
        os.truncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        os.close(lock)
        raise DiskFailed(f"cannot write {path / 'lock'}: {error.strerror}", path=str(path / "lock")) from error
    return lock


def share_lock(path: Path) -> int:
    """Keep daemons out of the directory and change nothing; returns the descriptor to close.

    Where no daemon ever was there is no lock file: then nobody is kept out.

    Raises:
        AlreadyRunning: a daemon holds it.
        DiskFailed: the file cannot be locked.
    """
    name = path / "lock"
    return _locked(name if name.exists() else path, os.O_RDONLY, fcntl.LOCK_SH)


def _locked(name: Path, flags: int, operation: int) -> int:
    try:
        lock = os.open(name, flags, 0o640)
    except OSError as error:
        raise DiskFailed(f"cannot open {name}: {error.strerror}", path=str(name)) from error
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise AlreadyRunning(
            f"{name.parent} is in use by the process with pid {holder}; stop it, or name another node or data directory"
        ) from error
    except OSError as error:
        os.close(lock)
        raise DiskFailed(f"cannot lock {name}: {error.strerror}", path=str(name)) from error
    return lock
