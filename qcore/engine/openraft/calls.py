"""What was asked of the core and is heard of later, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qcore.engine.base import BarrierDone
from qcore.model.entry import public_id
from qcore.model.errors import Busy, Forbidden, NoQuorum, RequestError, Timeout

if TYPE_CHECKING:
    from qcore_openraft import RefusalParts

__all__ = ["Calls", "error_of"]


class Calls:
    """Open calls; each hears a log index, or why there is none."""

    def __init__(self) -> None:
        self._open: dict[int, BarrierDone] = {}
        self._last = 0

    def begin(self, ask: Callable[[int], None], done: BarrierDone) -> None:
        """Ask under a new number. A core that does not run answers by an error."""
        self._last += 1
        self._open[self._last] = done
        try:
            ask(self._last)
        except RuntimeError:
            self.done(self._last, None, ("stopped", "the engine does not run", None))

    def done(self, call: int, index: int | None, refusal: RefusalParts | None) -> None:
        """Hear of one; unknown ones were given up."""
        done = self._open.pop(call, None)
        if done is not None:
            done(-1 if index is None else index, None if refusal is None else error_of(refusal))

    def give_up(self) -> None:
        """Answer all that are open: the node stops."""
        for call in list(self._open):
            self.done(call, None, ("stopped", "the node is stopping", None))


def error_of(refusal: RefusalParts) -> RequestError:
    """What a client is told."""
    kind, message, leader = refusal
    if kind == "not_leader" and leader is not None:
        node = public_id(leader)
        return NoQuorum(f"this node does not lead, node {node} does", leader=node)
    if kind in ("not_leader", "no_quorum"):
        return NoQuorum(f"there is no leader with a quorum: {message}")
    if kind == "refused":
        return Forbidden(message)
    return Timeout(message, applied="unknown") if kind == "unknown" else Busy(message)
