"""``--verify``: whether every file of a node's directory is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qcore.disk.files import Files
from qcore.disk.verification import Verified, verify
from qcore.model.errors import Damaged
from qcore_tools.console import DONE, FAILED
from qcore_tools.forms import as_json
from qcore_tools.progress import Progress
from qcore_tools.terminal import note, visible, write_result

__all__ = ["show_verified"]


class _Counted(Files):
    """Tells of each file that is read."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def read(self, path: str) -> bytes | None:
        self._progress.advance(1)
        return super().read(path)


def show_verified(path: Path, as_text: bool) -> int:
    """Tell what is wrong, each file by its name; returns the exit code: whether anything is."""
    with Progress("files read") as progress:
        found = verify(path, _Counted(progress))
    problems = [_of(problem) for problem in found.problems]
    if as_text:
        for line in found.notes:
            note(line)
        write_result(
            "".join(f"{visible(f'{file}: {words}')}\n" for file, words in problems) or f"{_sound(path, found)}\n"
        )
        if problems:
            note(f"{path}: {len(problems):,} problem{'s' * (len(problems) != 1)}")
    else:
        write_result(as_json(_json(path, found, problems)) + "\n")
    return FAILED if problems else DONE


def _of(problem: Damaged) -> tuple[str, str]:
    """The file that is wrong, and what is wrong with it."""
    return str(problem.data.get("path", "?")), str(problem.data.get("problem", problem.message))


def _sound(path: Path, found: Verified) -> str:
    words = [f"{found.entries:,} entries"]
    if found.first is not None and found.last is not None:
        words.append(f"index {found.first.index}..{found.last.index}, terms {found.first.term}..{found.last.term}")
    words.append(f"{len(found.snapshots)} snapshots")
    words.append("no vote" if found.vote is None else f"vote of term {found.vote.term}")
    if found.committed is not None:
        words.append(f"committed up to {found.committed.index}")
    return visible(f"OK: {path}: {', '.join(words)}")


def _json(path: Path, found: Verified, problems: list[tuple[str, str]]) -> dict[str, Any]:
    ids = {"first": found.first, "last": found.last, "committed": found.committed}
    return {
        "path": str(path),
        "ok": not problems,
        "problems": [{"path": file, "problem": words} for file, words in problems],
        "notes": found.notes,
        "entries": found.entries,
        **{name: None if id is None else id.index for name, id in ids.items()},
        "snapshots": [id.index for id in found.snapshots],
    }
