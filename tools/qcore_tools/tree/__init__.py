"""tree-tool: the entities of a store as the tree they are.

`reading` gets them, level by level and in batches; `drawing` makes lines or JSON of them; `main` is the command line.
"""

from __future__ import annotations

from qcore_tools.tree.main import main

__all__ = ["main"]
