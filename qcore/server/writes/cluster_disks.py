"""The disks of all members: this node's by its reserve, those of others as they say. Times are monotonic."""

from __future__ import annotations

import time
from collections.abc import Callable

from qcore.engine.base import Engine
from qcore.model.entry import Membership
from qcore.server.runtime import budgets
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.server.writes.full_disks import DiskReport, FullDisks

__all__ = ["ClusterDisks"]


class ClusterDisks:
    """As node `own` knows them; `membership` gives the last one applied.

    Attributes:
        reported: what other nodes say.
    """

    def __init__(
        self, own: int, reserve: DiskReserve, engine: Engine, membership: Callable[[], Membership | None]
    ) -> None:
        self.reported = FullDisks(budgets.DISK_REPORT_LIFE_SECONDS)
        self._own = own
        self._reserve = reserve
        self._engine = engine
        self._membership = membership
        reserve.others = self._voters_of_leader

    def look(self) -> DiskReport:
        """Look at the own disk, and say what others should know of it."""
        self._reserve.look()
        return self._reserve.report

    def full(self) -> dict[int, DiskReport]:
        """The members whose disk is below its reserve, by public id; this node by its last look."""
        membership, own = self._membership(), self._reserve.report
        found = self.reported.of(() if membership is None else membership.nodes, time.monotonic())
        return {**found, self._own: own} if own.full else found

    def problem(self) -> str | None:
        """Why writes are refused for want of room, here or at another voter."""
        own = self.look().full
        return own or next((f"node {node}: {each.full}" for node, each in self._other_voters().items()), None)

    def _other_voters(self) -> dict[int, DiskReport]:
        if not len(self.reported):  # as nearly always, and each write asks
            return {}
        membership = self._membership()
        voters = set() if membership is None else set().union(*membership.configs)
        found = self.reported.of(voters, time.monotonic())
        return {node: each for node, each in found.items() if node != self._own}

    def _voters_of_leader(self) -> dict[int, DiskReport]:
        """Who does not lead leaves it to the leader, who may know better."""
        found = self._other_voters()
        return found if found and self._engine.status().role == "leader" else {}
