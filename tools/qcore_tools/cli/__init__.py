"""qcore-cli: the store's commands, one by one, from files or at a prompt.

`words` splits text into commands, `commands` knows each of them (words, help, request), `views` prints their
results, `runner` carries them out, `prompt` is the interactive shell and `main` the command line.
"""

from __future__ import annotations

from qcore_tools.cli.main import main

__all__ = ["main"]
