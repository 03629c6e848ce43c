"""Writes all pages and completions into a folder, as they stand below ``share`` of a prefix."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from manual.completion import SHELLS, completion, completion_file
from manual.man_page import man_page
from manual.scripts import commands

__all__ = ["documents", "main"]


def documents() -> Iterator[tuple[PurePath, str]]:
    """Yield the path of every file below ``share``, and its text."""
    found = commands()
    for script, command in found.items():
        yield PurePath("man/man1", f"{script}.1"), man_page(script, command, found)
        for shell in SHELLS:
            yield completion_file(shell, script), completion(shell, script, command)


def main(args: Sequence[str]) -> int:
    """Write them below the folder named; returns the exit code."""
    if len(args) != 1:
        sys.stderr.write("usage: python -m manual FOLDER\n")
        return 2
    for path, text in documents():
        target = Path(args[0]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
