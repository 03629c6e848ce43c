"""benchmark-tool: how many requests a server answers in a second, and how long each takes.

`plan` is what was asked for. `dataset` makes the types and entities that the tests need and removes them, `workloads`
says what each test sends. The load comes from processes of their own: `frames` is what goes over a socket, `client` one
connection, `load` many of them, `generator` the process, `messages` what it and the tool tell each other, `generators`
the tool's side of them. `measuring` runs a test, `server_metrics` reads what the server itself has counted, `latencies`
and `chart` sum up, `report` writes the results, `running` is a run from its beginning to its end, `main` the command
line.
"""

from __future__ import annotations

from qcore_tools.benchmark.main import main

__all__ = ["main"]
