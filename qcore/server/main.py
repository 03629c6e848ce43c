"""Where the command ``qcore`` begins: nothing is imported before an interrupt ends it quietly."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code."""
    try:
        from qcore.server.command_line import run_command_line

        return run_command_line(args)
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
