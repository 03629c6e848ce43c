"""What is said when a file does not hold what it should: which file, what is wrong, and the way out.

Only the wording lives here; the checks stand beside the formats they check.
"""

from __future__ import annotations

from qcore.model.errors import Damaged, Newer

__all__ = ["FORMAT", "damaged", "newer", "wrong_format"]

FORMAT = 1
"""Version of every file in a node's directory; an older one is migrated, a newer one refused."""

_WAY_OUT = (
    "Put back a good copy of the file from a backup of this directory; without one, move the "
    "node's directory away, start with an empty one and restore a JSON snapshot, or, in a cluster, let the other "
    "nodes send the data."
)


def damaged(path: str, problem: str) -> Damaged:
    """Return the error for a file that fails its checks; `problem` says what was expected and found."""
    return Damaged(f"{path} is damaged: {problem}. {_WAY_OUT}", path=path)


def newer(path: str, found: str) -> Newer:
    """Return the error for a file this version is too old to read; `found` names what it holds."""
    return Newer(
        f"{path} was written by a newer qcore: it holds {found}. Start the version that wrote it, or a later one.",
        path=path,
    )


def wrong_format(path: str, found: int) -> Damaged:
    """Return the error for a file of another format than this version reads."""
    if found > FORMAT:
        return newer(path, f"format {found}, this version reads {FORMAT}")
    return damaged(path, f"expected format {FORMAT}, found format {found}")
