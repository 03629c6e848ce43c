"""What is said when a file does not hold what it should: which file, what is wrong, and the way out.

Only the wording lives here; the checks stand beside the formats they check.
"""

from __future__ import annotations

from collections.abc import Sequence

from qcore.model.errors import Damaged, Newer

__all__ = ["FORMAT", "all_damaged", "damaged", "newer", "wrong_format"]

FORMAT = 1
"""Version of every file in a node's directory but node.json while a cluster is formed; a newer one is refused."""

_TOLD = 100
"""Damaged files that are named at most."""

_WAY_OUT = (
    "Put back a good copy of the file from a backup of this directory; without one, move the "
    "node's directory away, start with an empty one and restore a JSON snapshot, or, in a cluster, let the other "
    "nodes send the data."
)


def damaged(path: str, problem: str) -> Damaged:
    """Return the error for a file that fails its checks; `problem` says what was expected and found."""
    return Damaged(f"{path} is damaged: {problem}. {_WAY_OUT}", path=path, problem=problem)


def all_damaged(problems: Sequence[Damaged]) -> Damaged:
    """Return the one error for all that is wrong in a directory, which a start and who only looks say alike."""
    if len(problems) == 1:
        return problems[0]
    lines = [_in_a_line(each) for each in problems[:_TOLD]]
    more = len(problems) - len(lines)
    lines += [f"{more} more files are damaged"] if more else []
    return Damaged("\n".join([*lines, _WAY_OUT]), path=problems[0].data["path"])


def _in_a_line(problem: Damaged) -> str:
    """What is wrong with one of several files, without the way out."""
    if "problem" in problem.data:
        return f"{problem.data['path']} is damaged: {problem.data['problem']}"
    return problem.message


def newer(path: str, found: str) -> Newer:
    """Return the error for a file this version is too old to read; `found` names what it holds."""
    return Newer(
        f"{path} was written by a newer qcore: it holds {found}. Start the version that wrote it, or a later one.",
        path=path,
    )


def wrong_format(path: str, found: int, newest: int = FORMAT) -> Damaged:
    """Return the error for a file of another format than this version reads; `newest` is the highest that it does."""
    if found > newest:
        return newer(path, f"format {found}, this version reads {newest}")
    return damaged(path, f"expected format {newest}, found format {found}")
