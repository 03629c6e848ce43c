"""How much room the file system below a folder has left, in bytes and in files (inodes)."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Space", "default_reserve", "files_reserve", "kept", "last_files", "last_slice", "space", "wanted_reserve"]

_MOST = 512 << 20
_SHARE = 20
_LAST_MOST = 16 << 20
_LAST_SHARE = 4
_MOST_FILES = 1000


class Space(NamedTuple):
    """Bytes of a file system: all of it, and what this process may still write.

    The same of its files (inodes); None where it has no bound for them.
    """

    total: int
    free: int
    total_files: int = 0
    free_files: int | None = None


def space(folder: str) -> Space | None:
    """What the file system that holds `folder` says, None if it does not say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    free_files = found.f_favail if found.f_files else None
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, free_files)


def default_reserve(total: int) -> int:
    """Bytes to keep free on a file system of `total` bytes: a twentieth, at most 512 MiB."""
    return min(_MOST, total // _SHARE)


def wanted_reserve(found: Space | None, wanted: int | None) -> int:
    """Bytes to keep free: `wanted`, or where that is None the default of this file system, 0 for an unknown one."""
    if wanted is not None:
        return wanted
    return 0 if found is None else default_reserve(found.total)


def last_slice(reserve: int) -> int:
    """Bytes of a reserve that deletions leave to the next snapshot and its purge: a quarter, at most 16 MiB."""
    return min(_LAST_MOST, reserve // _LAST_SHARE)


def kept(reserve: int, snapshot: int) -> int:
    """Bytes below which nothing but deletions is taken: the reserve, or more where a snapshot needs more.

    Then deletions have a slice as large as the last one before they come to what the snapshot needs.
    """
    return max(reserve, snapshot + 2 * last_slice(reserve)) if reserve else 0


def files_reserve(total: int) -> int:
    """Files to keep free on a file system that holds `total` at most: a twentieth, at most 1,000; 0 without a bound."""
    return min(_MOST_FILES, total // _SHARE)


def last_files(total: int) -> int:
    """Files of these that deletions leave to the next snapshot and its purge: a quarter."""
    return files_reserve(total) // _LAST_SHARE
