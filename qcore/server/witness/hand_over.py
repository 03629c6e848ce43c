"""How a witness that leads lets a node with the data lead: as soon as one has the whole log.

It leads only where it alone has the newest entries. While it does, it sends them to the others and takes no writes.
"""

from __future__ import annotations

from collections.abc import Callable

from qcore.engine.base import Engine
from qcore.model.entry import Membership
from qcore.model.errors import RequestError
from qcore.server.leadership.successors import successors
from qcore.server.leadership.transfer import LeadershipTransfer
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic

__all__ = ["HandOver"]

log = logs.get("qcore.node")

_CLOSE_ENTRIES = 64
"""The core waits a moment for a target that lacks no more."""


class HandOver:
    """Of witness `itself` (public id); `membership` gives the last one applied."""

    def __init__(
        self,
        itself: int,
        engine: Engine,
        transfer: LeadershipTransfer,
        membership: Callable[[], Membership | None],
    ) -> None:
        self._self = itself
        self._engine = engine
        self._transfer = transfer
        self._membership = membership
        self._under_way = False
        self._looks = Periodic(budgets.HAND_OVER_LOOK_SECONDS, self._look)

    def begin(self) -> None:
        """This node leads."""
        self._looks.start()

    def stop(self) -> None:
        """Hand over no more."""
        self._looks.stop()

    def _look(self) -> bool:
        status = self._engine.status()
        if status.role != "leader":
            return False
        close = [peer for peer in status.peers if peer.lag is not None and peer.lag <= _CLOSE_ENTRIES]
        found = successors(self._self, self._membership(), close)
        if found and not self._under_way:
            self._under_way = True
            self._transfer.start(found[0], self._ended)
        return True

    def _ended(self, error: RequestError | None) -> None:
        self._under_way = False
        if error is not None:
            log.info("transfer_failed", message=f"The leadership was not handed over yet: {error.message}")
