"""Faults of several nodes at once, and what an operator does to a cluster that works."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from operator import methodcaller

from qcore.model.entry import FEATURE_LEVEL
from tests.proof.injector import Carry
from tests.proof.nodes import Nodes
from tests.proof.schedule import Fault
from tests.proof.waiting import Waiting
from tests.torture.orders import Orders

__all__ = ["OLDER_LEVEL", "group_faults"]

OLDER_LEVEL = ("--max-feature-level", str(FEATURE_LEVEL - 1))
"""Has a node play the version before, until it is upgraded."""

MEANWHILE = 30
"""Operations that are acknowledged while some nodes are away."""


def group_faults(nodes: Nodes, waiting: Waiting) -> Mapping[Fault, Carry]:
    """See `MoreFaults`."""
    faults = _GroupFaults(nodes, waiting)
    return {
        "restart_all": faults.restart_all,
        "upgrade": faults.upgrade,
        "transfer": faults.transfer,
        "two_down": faults.two_down,
        "split": faults.split,
    }


class _GroupFaults:
    def __init__(self, nodes: Nodes, waiting: Waiting) -> None:
        self._nodes = nodes
        self._waiting = waiting
        self._orders = Orders(nodes, waiting)

    def restart_all(self, id: int, seconds: float) -> bool:
        """SIGTERM to all at once."""
        processes = [self._nodes.processes[each] for each in self._nodes.ids]
        with ThreadPoolExecutor() as pool:
            codes = set(pool.map(lambda process: process.stop(), processes))
        assert codes == {0}, f"the nodes ended with {codes}:\n{self._nodes.logs()}"
        self._waiting.last(seconds)
        self._nodes.start_all()
        return True

    def upgrade(self, id: int, seconds: float) -> bool:
        """One node after the other comes back as the next version; after the last one the level rises."""
        for each in list(self._nodes.ids):
            process = self._nodes.processes[each]
            assert process.stop() == 0, f"node {each} did not stop:\n{process.log()}"
            process.flags = tuple(flag for flag in process.flags if flag not in OLDER_LEVEL)
            self._waiting.last(seconds)
            self._nodes.start(each)
            self._waiting.for_operations(1, f"after the upgrade of node {each}")
        self._waiting.until(lambda: self._nodes.level() == FEATURE_LEVEL, f"feature level {FEATURE_LEVEL}")
        return True

    def transfer(self, id: int, seconds: float) -> bool:
        """To each of the others in turn, until one has taken over."""
        for other in self._nodes.others(id):
            self._orders.ask(methodcaller("cluster_transfer", other))
            if self._nodes.leader() == other:
                return True
        return False

    def two_down(self, id: int, seconds: float) -> bool:
        """The leader and another node are dead together; of five the others go on."""
        both = [id, self._nodes.others(id)[0]]
        codes = {self._nodes.processes[each].kill() for each in both}
        self._waiting.for_operations(MEANWHILE, "with two nodes down")
        self._waiting.last(seconds)
        for each in both:
            self._nodes.start(each)
        return codes == {-signal.SIGKILL}

    def split(self, id: int, seconds: float) -> bool:
        """The leader is cut off with as many others as make a minority."""
        others = self._nodes.others(id)
        few = [id, *others[: (len(others) - 1) // 2]]
        many = [each for each in others if each not in few]
        ways = [way for one in few for other in many for way in ((one, other), (other, one))]
        proxy = self._nodes.proxy
        held = {way: proxy.held(*way) for way in ways}
        for way in ways:
            proxy.cut(*way)
        self._waiting.last(seconds)
        self._waiting.for_operations(MEANWHILE, "by the majority")
        proxy.heal()
        return any(proxy.held(*way) > before for way, before in held.items())
