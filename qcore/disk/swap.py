"""Putting a folder in the place of another one, so that there is no moment without either."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from qcore.model.errors import DiskFailed

__all__ = ["put_in_place"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def put_in_place(new: Path, place: Path, backup: Path | None) -> None:
    """Rename the folder `new` to `place`; what is there already becomes `backup` (None: nothing is there).

    All are on one file system. Both names are durable on return. Where the file system can exchange names, `place` is
    a whole folder all the time, and a crash may leave the new one under the name `backup`. Elsewhere `place` is missing
    for a moment, and a crash then leaves `backup` and `new`. What was there is never removed.

    Raises:
        DiskFailed: it cannot be done; names what.
    """
    try:
        if backup is None:
            os.rename(new, place)
        else:
            _replace(new, place, backup)
        for folder in {new.parent, place.parent}:
            _sync(folder)
    except OSError as error:
        raise DiskFailed(f"cannot put {new} in the place of {place}: {error.strerror}", path=str(place)) from error


def _replace(new: Path, place: Path, backup: Path) -> None:
    os.rename(new, backup)
    exchanged = False
    try:
        exchanged = _exchange(backup, place)
    finally:
        if not exchanged:
            os.rename(backup, new)
    if exchanged:
        return
    os.rename(place, backup)
    try:
        os.rename(new, place)
    except BaseException:
        os.rename(backup, place)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or the file system has no way to."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
