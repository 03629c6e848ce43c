"""snapshot-tool: JSON snapshots of a store: taken, checked, compared and restored.

`transfers` speaks to the server, for which `lifeline` waits no longer than it should; `indenting` makes its text
readable, `comparing` tells what differs between two documents, `about` where one comes from, `factory_restore` makes a
data directory of one, `main` is the command line.
What a document is and what is wrong with one is the model's business: the same code that the server uses.
"""

from __future__ import annotations

from qcore_tools.snapshot.main import main

__all__ = ["main"]
