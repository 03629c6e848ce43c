"""Files that tools write whole or not at all, and read; ``-`` is standard output and standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from qcore_tools.console import FileError
from qcore_tools.terminal import write_result

__all__ = ["Sink", "output", "read_bytes"]


class Sink(Protocol):
    """Takes text, piece by piece."""

    def __call__(self, text: str, /) -> object: ...


@contextmanager
def output(name: str) -> Iterator[Sink]:
    """Where a result goes. A file is there when the block ends well, durable, and as it was before if it does not.

    What is no plain file (a pipe, a device) is written to as it is.

    Raises:
        FileError: it cannot be written; the message says why.
    """
    if name == "-":
        yield write_result
        return
    path = Path(os.path.realpath(name))
    try:
        plain = stat.S_ISREG(path.stat().st_mode) if path.exists() else True
        new = path.with_name(f".{path.name}.{os.getpid()}.new") if plain else path
        stream = new.open("w", encoding="utf-8", newline="")
    except OSError as exc:
        raise FileError(f"cannot write {name}: {exc.strerror}") from None
    try:
        with stream:
            yield lambda text: stream.write(text)
            stream.flush()
            if plain:
                os.fsync(stream.fileno())
        if plain:
            _put_in_place(new, path)
    except OSError as exc:
        raise FileError(f"cannot write {name}: {exc.strerror}") from None
    finally:
        if plain:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _put_in_place(new: Path, path: Path) -> None:
    if path.exists():
        new.chmod(stat.S_IMODE(path.stat().st_mode))
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_bytes(name: str) -> bytes:
    """All that a file holds.

    Raises:
        FileError: it cannot be read; the message says why.
    """
    try:
        if name != "-":
            return Path(name).read_bytes()
        if sys.stdin is None:
            raise FileError("standard input is closed")
        return sys.stdin.buffer.read()
    except OSError as exc:
        raise FileError(f"cannot read {name}: {exc.strerror}") from None
