"""What a fault waits for: operations of the clients, something that a node runs into, time. It ends with the load.

Blocking, for the thread of the faults.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.proof.nodes import Nodes, until
from tests.proof.workload import Load

__all__ = ["LoadEnded", "Waiting"]


class LoadEnded(RuntimeError):
    """Nothing that is waited for will come: the clients have ended."""


class Waiting:
    """Of one run.

    Attributes:
        ended: set to have all that waits give up with `LoadEnded`.
    """

    def __init__(self, nodes: Nodes, load: Load) -> None:
        self.ended = threading.Event()
        self._nodes = nodes
        self._load = load

    def for_operations(self, more: int, when: str) -> None:
        """Wait until so many further operations were acknowledged."""
        history = self._load.history
        goal = history.acknowledged + more
        self.until(lambda: history.acknowledged >= goal, f"{more} operations acknowledged {when}")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; the logs of the nodes are told if it does not come."""

        def met() -> bool:
            if self.ended.is_set() or self._load.stopped.is_set():
                raise LoadEnded(f"the load ended before there was: {what}")
            return bool(condition())

        until(met, lambda: f"{what} seen\n{self._nodes.logs()}")

    def last(self, seconds: float) -> None:
        """How long a fault lasts is part of the fault."""
        self.ended.wait(seconds)

    def until_log_is_gone(self, id: int) -> None:
        """Wait until the others have purged all that a node which is down can have: only a snapshot helps it then.

        They are told to take snapshots: after one that found the disk full, none comes by itself for a minute.
        """
        others = self._nodes.others(id)
        self.until(lambda: all(any(self._nodes.log(each)) for each in others), "the logs of the others")
        lacks = max(last for _, last in map(self._nodes.log, others))

        def gone() -> bool:
            for each in others:
                self._nodes.take_snapshot(each)
            return all(first > lacks for first, _ in map(self._nodes.log, others))

        self.until(gone, "a purge")
