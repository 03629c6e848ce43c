"""select-tool: the entities of a type that a filter chooses, as a table or for programs.

`finding` reads them page by page, `writing` knows the forms of output, `main` is the command line.
"""

from __future__ import annotations

from qcore_tools.select.main import main

__all__ = ["main"]
