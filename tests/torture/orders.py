"""Orders of an operator, given until they are carried out: whoever was to do it may be struck meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.client import QcoreError
from qcore.client.blocking import Store, connect
from tests.proof.nodes import Nodes
from tests.proof.waiting import Waiting

__all__ = ["Orders"]

PATIENCE = 10.0
"""Seconds that one attempt may take."""


class Orders:
    """Of one run; blocking."""

    def __init__(self, nodes: Nodes, waiting: Waiting) -> None:
        self._nodes = nodes
        self._waiting = waiting

    def ask(self, what: Callable[[Store], Any]) -> None:
        """Ask once, of whichever node; a refusal is none of our business."""
        try:
            with connect(self._urls(), client="operator", timeout=PATIENCE) as store:
                what(store)
        except QcoreError:
            return

    def until(self, what: Callable[[Store], Any], done: Callable[[], object], text: str) -> None:
        """Ask again and again until something is so."""

        def asked() -> bool:
            if not done():
                self.ask(what)
            return bool(done())

        self._waiting.until(asked, text)

    def _urls(self) -> str:
        running = [id for id in self._nodes.ids if self._nodes.processes[id].running]
        return ",".join(self._nodes.processes[id].url for id in running)
