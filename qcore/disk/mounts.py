"""Whether the file system below a folder keeps what was fsynced, and whether it can be flushed as a whole."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["durability_warning", "is_flushed_whole", "mount_table"]

_FLUSHED_WHOLE = frozenset({"btrfs", "ext4", "xfs"})
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


def mount_table() -> str:
    """Return the kernel's table of mounts, "" where there is none."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def durability_warning(folder: str, mounts: str) -> str | None:
    """Return a warning if `folder` lies on a file system that loses fsynced data at a crash of the machine.

    Args:
        folder: absolute path without symbolic links.
        mounts: lines of ``device mountpoint type options ...``, the later ones on top.
    """
    kind, options = _file_system(folder, mounts)
    if kind in _IN_MEMORY:
        return f"{folder} lies on {kind}, in memory: everything is lost when the machine stops"
    if kind == "overlay" and "volatile" in options:
        return f"{folder} lies on an overlay mounted with volatile: writes are lost when the machine stops"
    return None


def is_flushed_whole(folder: str, mounts: str, kernel: str) -> bool:
    """Tell whether syncfs makes all that was written to the file system of `folder` durable, and tells if it did not.

    Before Linux 5.8 it did not tell at all, before 5.17 not of what the file system itself failed to store: names.
    Others than these file systems may keep it to themselves, or ask nobody's disk.

    Args:
        folder, mounts: as in `durability_warning`.
        kernel: its release, as ``6.1.0-18-amd64``.
    """
    release = re.match(r"(\d+)\.(\d+)", kernel)
    if release is None or (int(release[1]), int(release[2])) < (5, 17):
        return False
    return _file_system(folder, mounts)[0] in _FLUSHED_WHOLE


def _file_system(folder: str, mounts: str) -> tuple[str, list[str]]:
    """Return type and options of the mount that holds `folder`."""
    best, found = -1, ("", [""])
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 4:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[1])
        if os.path.commonpath([folder, point]) == point and len(point) >= best:
            best, found = len(point), (words[2], words[3].split(","))
    return found
