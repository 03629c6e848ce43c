"""What the tools write: results to standard output, all else to standard error, and how text looks to people.

No other module writes to either. Text for people is escaped here, whoever wrote it into the store: what a terminal
would obey, or show in another order than it stands, is shown as what it is.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

import click

__all__ = ["OutputError", "complain", "discard_output", "note", "visible", "write_result"]

_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (Cc), line and paragraph separators (Zl, Zp), bidi controls, and halves of surrogate pairs."""


class OutputError(Exception):
    """Standard output does not take what is written; the message says why."""


def visible(text: str) -> str:
    r"""Text on one line of a terminal: what that would obey stands there as its escape, such as ``\u009b``."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_result(text: str) -> None:
    """Write to standard output, at once.

    Raises:
        BrokenPipeError: its reader has seen enough.
        OutputError: it is closed, its disk is full, its encoding has no such character.
    """
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OutputError("standard output is closed")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write to standard output: {exc.strerror or exc}") from None
    except UnicodeEncodeError as exc:
        missing = f"U+{ord(exc.object[exc.start]):04X}"
        raise OutputError(
            f"cannot write to standard output: its encoding {stream.encoding} has no {missing} (PYTHONIOENCODING=utf-8 "
            "sets another)"
        ) from None


def discard_output() -> None:
    """Drop what standard output did not take, so that the flush at exit does not try again."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(line: str) -> None:
    """Tell people something beside the results: on standard error."""
    with suppress(OSError):  # there is no other place to say that it does not take it
        click.echo(visible(line), err=True)


def complain(message: str) -> None:
    """Print an error for people: on standard error, red on a terminal unless NO_COLOR is set."""
    coloured = sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    with suppress(OSError):
        click.echo(click.style(visible(message), fg="red") if coloured else visible(message), err=True)
