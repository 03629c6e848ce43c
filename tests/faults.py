"""Faults of disk and clock from below a real process: the preloaded library `faults.c`, and the file that rules it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["WITHOUT_COMPILER", "Action", "Call", "Faults", "Rule", "compile_library"]

SOURCE = Path(__file__).with_name("faults.c")

WITHOUT_COMPILER = None if shutil.which("gcc") else "faults of disk and clock need gcc, which makes the library"
"""Why there is no library here, None if there can be one."""

Call = Literal["write", "fsync", "rename", "named", "clock", "space"]
Action = Literal["fail", "delay", "shift", "left", "kill"]


class Rule(NamedTuple):
    """What becomes of the next `times` calls (-1: of all) on paths that match `pattern`, in which * matches slashes.

    `number` is an errno ("fail"), milliseconds ("delay"), seconds added to the wall clock ("shift"), the bytes that the
    file system says are free ("left"), or how many calls go well before the process dies ("kill"). A ``named`` is a
    rename that is done already, by its old path.
    """

    call: Call
    action: Action
    number: int
    pattern: str = "*"
    times: int = -1


class Faults:
    """The faults of one process that was started with `env`; none at first. They stay in force over its restarts."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self._seen = file.with_name(f"{file.name}.seen")
        self.env: Mapping[str, str] = {"LD_PRELOAD": str(library), "FAULTS": str(file)}

    def set(self, *rules: Rule) -> None:
        """Have these rules and no others from now on; the first one that matches is followed."""
        lines = [f"{rule.call} {rule.action} {rule.number} {rule.times} {rule.pattern}\n" for rule in rules]
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text("".join(lines))
        os.replace(new, self._file)

    def clear(self) -> None:
        """Have no faults any more."""
        self._file.unlink(missing_ok=True)

    def seen(self, call: Call, action: Action) -> int:
        """How often such a rule was followed since the beginning; for clock and space, by how many rules."""
        if not self._seen.exists():
            return 0
        return sum(line.startswith(f"{call} {action} ") for line in self._seen.read_text().splitlines())


def compile_library(folder: Path) -> Path:
    """Make the library; it has a name of its own in `folder`.

    Raises:
        CalledProcessError: the compiler says what is wrong.
    """
    library = folder / "faults.so"
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", library, SOURCE, "-ldl", "-pthread"], check=True)
    return library
