"""Verifying a node's directory beside whoever uses it: every check of a start, and each file that is wrong, named.

Files are written, renamed and removed while they are looked at. So whatever looks wrong is looked at again a second
later: it is wrong if it is then what it was before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from qcore.disk.damage import damaged
from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.repair import LOG_DROPPED, log_fits, refuse_gap
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Damaged

__all__ = ["Verified", "verify"]

_STILL = 1.0
"""Seconds between two looks at what is wrong."""


class Verified(msgspec.Struct):
    """What was found in a node's directory.

    Attributes:
        entries, first, last: number of entries, the first and the last log id.
        snapshots: the last log ids of the good ones, newest first.
        notes: sentences on what is legal but worth a look.
        problems: one for each file that is wrong.
    """

    entries: int
    first: LogId | None
    last: LogId | None
    vote: Vote | None
    committed: LogId | None
    snapshots: list[LogId]
    notes: list[str]
    problems: list[Damaged]


def verify(path: Path, files: Files, pause: Callable[[float], None] = time.sleep) -> Verified:
    """Check every file of the node in `path`, ``node_<id>``, running or not.

    Raises:
        DiskFailed: it cannot be read.
    """
    found = _look(path, files)
    while found.problems:
        before = {_words(problem) for problem in found.problems}
        pause(_STILL)
        again = _look(path, files)
        same = [problem for problem in again.problems if _words(problem) in before]
        if same or not again.problems:
            again.problems = same
            return again
        found = again
    return found


def _words(problem: Damaged) -> tuple[str, str]:
    return str(problem.data.get("path", "")), problem.message


def _look(path: Path, files: Files) -> Verified:
    with closing(Directory.look_beside(path, files)) as looked:
        looked.snapshots.read_all()
        log, snapshots = looked.log, [found.header.last for found in looked.snapshots.found]
        problems = [*looked.problems, *looked.snapshots.problems, *_among_each_other(looked, snapshots)]
        if not problems:  # an entry's bytes may be right and its content not
            problems += _undecodable(looked)
        newest = snapshots[0] if snapshots else None
        return Verified(
            entries=0 if log.first is None or log.last is None else log.last.index - log.first.index + 1,
            first=log.first,
            last=log.last,
            vote=looked.vote,
            committed=looked.committed,
            snapshots=snapshots,
            notes=[*_notes(looked), *([] if problems or log_fits(log, newest) else [LOG_DROPPED])],
            problems=[*problems, *_foreign(looked)],
        )


def _notes(looked: Directory) -> list[str]:
    foreign = looked.log.found.warnings  # which are problems here
    return [line for line in looked.warnings if line not in foreign]


def _among_each_other(looked: Directory, snapshots: list[LogId]) -> Iterator[Damaged]:
    """What files say of each other that cannot be."""
    if looked.hint_problem is not None:
        yield looked.hint_problem
    if any(problem.data["path"].endswith("/purged.json") for problem in looked.problems):
        return
    try:
        refuse_gap(looked, snapshots[0] if snapshots else None)
    except Damaged as problem:
        yield problem
    committed, log = looked.committed, looked.log
    here = None if committed is None else log.log_id(committed.index)
    if here is not None and here != committed:
        path = str(looked.path / "committed.json")
        yield damaged(path, f"expected the log id of entry {here.index}, which is {here}, found {committed}")
    if looked.vote is None:
        return
    for found in looked.snapshots.found:
        if found.header.last.term > looked.vote.term:
            expected = f"expected a snapshot of term {looked.vote.term}, which is voted in, or an earlier one"
            yield damaged(found.path, f"{expected}, found {found.header.last}")


def _undecodable(looked: Directory) -> Iterator[Damaged]:
    """The first entry whose content does not fit, if there is any."""
    try:
        for _ in looked.log.replay(None, looked.log.last):
            pass
    except Damaged as problem:
        yield problem


def _foreign(looked: Directory) -> Iterator[Damaged]:
    """Files that no node puts where they are."""
    for path in looked.log.found.foreign:
        yield damaged(path, "expected nothing but entries here, found a file that is not named like one")
    for path in looked.snapshots.foreign:
        yield damaged(path, "expected nothing but snapshots here, found a file that is not named like one")
