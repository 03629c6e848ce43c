"""wal-tool: what the entries of a node's log did, read from its directory, running or not.

`place` finds the directory, `bounds` reads times and ranges. `reading` gives the entries in order and tells what came
in between, `replay` applies them to a state that begins with a snapshot, `changes` and `lines` make records of what
each command did, `selection` says which are wanted, `wording` and `values` write them, `showing` does all of that.
`info` and `verifying` are for the directory as a whole, `main` is the command line.
What the bytes mean, and which are wrong, is the business of `qcore.disk`.
"""

from __future__ import annotations

from qcore_tools.wal.main import main

__all__ = ["main"]
