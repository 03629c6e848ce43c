"""Carries out the actions of a schedule on real nodes, heals them, and says whether each fault really happened.

A fault of a process has happened to a lone node only if clients felt it; in a cluster the others may hide it.

Blocking, for a thread beside the loop of the clients.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable

from tests.faults import Rule
from tests.process import DEADLINE
from tests.proof.nodes import Nodes, until
from tests.proof.proxy import CLIENTS
from tests.proof.schedule import Action, Fault
from tests.proof.workload import Load

__all__ = ["Injector"]

DISK_FAILED = 74
LOG_FILES = "*/logs/*"
CLOCK_SECONDS = 1000
"""By which the clock jumps, for each second that the schedule says."""

NEARLY_FULL = 1 << 20
"""Bytes that a full disk has left."""


class Injector:
    """`met` are the faults that something ran into, and ``leader_change`` if another node came to lead."""

    def __init__(self, nodes: Nodes, load: Load) -> None:
        self._nodes = nodes
        self._load = load
        self._alone = len(nodes.ids) == 1
        self.met: set[str] = set()
        self._faults: dict[Fault, Callable[[int, float], bool]] = {
            "kill": self._kill,
            "pause": self._pause,
            "restart": self._restart,
            "slow_fsync": self._slow_fsync,
            "failed_fsync": self._failed_fsync,
            "full_disk": self._full_disk,
            "clock_jump": self._clock_jump,
            "reset_clients": self._reset_clients,
            "cut_clients": self._cut_clients,
            "isolate": self._isolate,
            "cut_pair": self._cut_pair,
            "cut_outgoing": self._cut_outgoing,
            "cut_incoming": self._cut_incoming,
            "slow_link": self._slow_link,
            "kill_all": self._kill_all,
        }

    def carry_out_all(self, schedule: Iterable[Action]) -> None:
        """Have one fault after the other come and go, with operations acknowledged before and after each."""
        for action in schedule:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        self._wait_for_operations(action.after, f"before {action.describe()}")
        leader = self._nodes.leader()
        target = [leader, *self._nodes.others(leader)][action.target]
        if self._faults[action.fault](target, action.seconds):
            self.met.add(action.fault)
        self._wait_for_operations(1, f"after {action.describe()}")
        if self._nodes.leader() != leader:
            self.met.add("leader_change")

    def _wait_for_operations(self, more: int, when: str) -> None:
        """Wait until so many further operations were acknowledged."""
        history = self._load.history
        goal = history.acknowledged + more

        def acknowledged() -> bool:
            if self._load.stopped.is_set():
                raise RuntimeError(f"the load ended {when}")
            return history.acknowledged >= goal

        until(acknowledged, lambda: f"{more} operations acknowledged {when}\n{self._nodes.logs()}")

    def _kill(self, id: int, seconds: float) -> bool:
        lost = self._load.lost
        self._nodes.processes[id].kill()
        _last(seconds)
        self._nodes.start(id)
        return self._load.lost > lost or not self._alone

    def _pause(self, id: int, seconds: float) -> bool:
        self._nodes.processes[id].pause()
        begin = time.monotonic_ns()
        try:
            _last(seconds)
            end = time.monotonic_ns()
        finally:
            self._nodes.processes[id].resume()
        return bool(self._load.history.spanning(begin, end)) or not self._alone

    def _restart(self, id: int, seconds: float) -> bool:
        lost = self._load.lost
        code = self._nodes.processes[id].stop()
        assert code == 0, f"node {id} ended with {code} at SIGTERM:\n{self._nodes.processes[id].log()}"
        _last(seconds)
        self._nodes.start(id)
        return self._load.lost > lost or not self._alone

    def _slow_fsync(self, id: int, seconds: float) -> bool:
        faults = self._nodes.faults[id]
        seen = faults.seen("fsync", "delay")
        faults.set(Rule("fsync", "delay", round(seconds * 1000), LOG_FILES))
        self._wait_for_fault(lambda: faults.seen("fsync", "delay") > seen, "a slow fsync")
        faults.clear()
        return True

    def _failed_fsync(self, id: int, seconds: float) -> bool:
        process, faults = self._nodes.processes[id], self._nodes.faults[id]
        faults.set(Rule("fsync", "fail", errno.EIO, LOG_FILES))
        code = process.wait()
        assert code == DISK_FAILED, f"node {id} ended with {code} at a failed fsync:\n{process.log()}"
        faults.clear()
        _last(seconds)
        self._nodes.start(id)
        return faults.seen("fsync", "fail") > 0

    def _full_disk(self, id: int, seconds: float) -> bool:
        operations = self._load.history.operations
        begin = len(operations)
        self._nodes.faults[id].set(Rule("space", "left", NEARLY_FULL))
        self._wait_for_fault(lambda: any(op.error == "disk_full" for op in operations[begin:]), "a write refused")
        self._nodes.faults[id].clear()
        return True

    def _clock_jump(self, id: int, seconds: float) -> bool:
        """Back and forth by some minutes, as sessions end after an hour by this clock."""
        faults = self._nodes.faults[id]
        for shift in (-round(seconds * CLOCK_SECONDS), round(seconds * CLOCK_SECONDS)):
            goal = faults.seen("clock", "shift") + 1
            faults.set(Rule("clock", "shift", shift))
            self._wait_for_operations(10, f"with the clock of node {id} shifted by {shift} s")
            if faults.seen("clock", "shift") < goal:
                return False
        faults.clear()
        return True

    def _reset_clients(self, id: int, seconds: float) -> bool:
        return self._nodes.proxy.reset(CLIENTS, self._busiest()) > 0

    def _cut_clients(self, id: int, seconds: float) -> bool:
        """Answers do not come; requests do."""
        return self._cut(seconds, (self._busiest(), CLIENTS))

    def _isolate(self, id: int, seconds: float) -> bool:
        others = self._nodes.others(id)
        return self._cut(seconds, *((id, other) for other in others), *((other, id) for other in others))

    def _cut_pair(self, id: int, seconds: float) -> bool:
        other = self._nodes.others(id)[0]
        return self._cut(seconds, (id, other), (other, id))

    def _cut_outgoing(self, id: int, seconds: float) -> bool:
        return self._cut(seconds, *((id, other) for other in self._nodes.others(id)))

    def _cut_incoming(self, id: int, seconds: float) -> bool:
        return self._cut(seconds, *((other, id) for other in self._nodes.others(id)))

    def _slow_link(self, id: int, seconds: float) -> bool:
        proxy = self._nodes.proxy
        passed = {other: proxy.passed(id, other) for other in self._nodes.others(id)}
        for other in passed:
            proxy.slow(id, other, delay=seconds / 10, rate=100_000)
        _last(seconds)
        proxy.heal()
        return any(proxy.passed(id, other) > before for other, before in passed.items())

    def _kill_all(self, id: int, seconds: float) -> bool:
        lost = self._load.lost
        for process in self._nodes.processes.values():
            process.kill()
        _last(seconds)
        for each in self._nodes.ids:
            self._nodes.start(each)
        return self._load.lost > lost or not self._alone

    def _busiest(self) -> int:
        """The node with most clients; the seed cannot say where they are."""
        return max(self._nodes.ids, key=lambda node: self._nodes.proxy.connected(CLIENTS, node))

    def _cut(self, seconds: float, *ways: tuple[int, int]) -> bool:
        proxy = self._nodes.proxy
        held = {way: proxy.held(*way) for way in ways}
        for way in ways:
            proxy.cut(*way)
        _last(seconds)
        proxy.heal()
        return any(proxy.held(*way) > before for way, before in held.items())

    def _wait_for_fault(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, lambda: f"{what} seen\n{self._nodes.logs()}", DEADLINE)


def _last(seconds: float) -> None:
    """How long a fault lasts is part of the fault."""
    threading.Event().wait(seconds)
