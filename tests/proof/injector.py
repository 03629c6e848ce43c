"""Carries out the actions of a schedule on real nodes, heals them, and says whether each fault really happened.

A fault of a process has happened to a lone node only if clients felt it; in a cluster the others may hide it. A cut
lasts until something stood before it, and a node falls behind until the others have nothing left for it but a snapshot.

Blocking, for a thread beside the loop of the clients.
"""

from __future__ import annotations

import errno
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from qcore.model.errors import DiskFailed
from tests.faults import Rule
from tests.proof.nodes import Nodes
from tests.proof.proxy import CLIENTS
from tests.proof.schedule import Action, Fault
from tests.proof.waiting import Waiting
from tests.proof.workload import Load

__all__ = ["LOG_FILES", "Carry", "Injector", "MoreFaults", "end_of_disk"]

_DISK_FAILED = DiskFailed.exit_code
LOG_FILES = "*/logs/*"
CLOCK_SECONDS = 1000
"""By which the clock jumps, for each second that the schedule says."""

NEARLY_FULL = 1 << 20
"""Bytes that a full disk has left."""


Carry = Callable[[int, float], bool]
"""Carries out a fault of a node for so many seconds, heals it, and tells whether something ran into it."""

MoreFaults = Callable[[Nodes, Waiting], Mapping[Fault, Carry]]
"""Makes further faults for the nodes of a run."""


def end_of_disk(nodes: Nodes, waiting: Waiting, id: int, rule: Rule, seconds: float) -> bool:
    """Have a node end of its disk, and start it again so many seconds later; tell whether the rule was followed."""
    process, faults = nodes.processes[id], nodes.faults[id]
    faults.set(rule)
    code = process.wait()
    assert code == _DISK_FAILED, f"node {id} ended with {code} at a failed {rule.call}:\n{process.log()}"
    faults.clear()
    waiting.last(seconds)
    nodes.start(id)
    return faults.seen(rule.call, "fail") > 0


class Injector:
    """Of one run; `more` are the faults that are carried out elsewhere.

    Attributes:
        met: how often something ran into which fault, and ``leader_change``: how often another leadership began.
        timeline: what was done to which node and when, in seconds of the history's clock.
    """

    def __init__(self, nodes: Nodes, load: Load, more: Iterable[MoreFaults] = ()) -> None:
        self._nodes = nodes
        self._load = load
        self._waiting = Waiting(nodes, load)
        self._alone = len(nodes.ids) == 1
        self.met: Counter[str] = Counter()
        self.timeline: list[str] = []
        self._faults: dict[Fault, Carry] = {
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
            "fall_behind": self._fall_behind,
        }
        for make in more:
            self._faults.update(make(nodes, self._waiting))

    def end(self) -> None:
        """Give up whatever is carried out; from any thread."""
        self._waiting.ended.set()

    def carry_out_all(self, schedule: Iterable[Action]) -> None:
        """Have one fault after the other come and go, with operations acknowledged before and after each."""
        for action in schedule:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        self._waiting.for_operations(action.after, f"before {action.describe()}")
        self._nodes.check_running()
        leader, term = self._nodes.leadership()
        others = self._nodes.others(leader)
        target = leader if action.target == 0 else others[min(action.target, len(others)) - 1]
        self._note(f"{action.what}: node {target}, node {leader} leads in term {term}")
        if self._faults[action.fault](target, action.seconds):
            self.met[action.what] += 1
        self._note(f"{action.fault} is over")
        self._waiting.for_operations(1, f"after {action.describe()}")
        self._nodes.check_running()
        if self._nodes.leadership() != (leader, term):
            self.met["leader_change"] += 1

    def _note(self, what: str) -> None:
        self.timeline.append(f"{time.monotonic_ns() / 1e9:.6f} {what}")

    def _kill(self, id: int, seconds: float) -> bool:
        lost = self._load.lost
        code = self._nodes.processes[id].kill()
        self._waiting.last(seconds)
        self._nodes.start(id)
        return code == -signal.SIGKILL and (self._load.lost > lost or not self._alone)

    def _pause(self, id: int, seconds: float) -> bool:
        self._nodes.processes[id].pause()
        begin = time.monotonic_ns()
        try:
            self._waiting.last(seconds)
            end = time.monotonic_ns()
        finally:
            self._nodes.processes[id].resume()
        return bool(self._load.history.spanning(begin, end)) or not self._alone

    def _restart(self, id: int, seconds: float) -> bool:
        lost = self._load.lost
        code = self._nodes.processes[id].stop()
        assert code == 0, f"node {id} ended with {code} at SIGTERM:\n{self._nodes.processes[id].log()}"
        self._waiting.last(seconds)
        self._nodes.start(id)
        return self._load.lost > lost or not self._alone

    def _slow_fsync(self, id: int, seconds: float) -> bool:
        faults = self._nodes.faults[id]
        seen = faults.seen("fsync", "delay")
        faults.set(Rule("fsync", "delay", round(seconds * 1000), LOG_FILES))
        self._waiting.until(lambda: faults.seen("fsync", "delay") > seen, "a slow fsync")
        self._waiting.last(seconds)
        faults.clear()
        return True

    def _failed_fsync(self, id: int, seconds: float) -> bool:
        return end_of_disk(self._nodes, self._waiting, id, Rule("fsync", "fail", errno.EIO, LOG_FILES), seconds)

    def _full_disk(self, id: int, seconds: float) -> bool:
        """Of all nodes at once: they write the same, so their disks are full together."""
        operations = self._load.history.operations
        begin = len(operations)
        for faults in self._nodes.faults.values():
            faults.set(Rule("space", "left", NEARLY_FULL))
        self._waiting.until(lambda: any(op.error == "disk_full" for op in operations[begin:]), "a write refused")
        for faults in self._nodes.faults.values():
            faults.clear()
        return True

    def _clock_jump(self, id: int, seconds: float) -> bool:
        """Back and forth by some minutes, as sessions end after an hour by this clock."""
        faults = self._nodes.faults[id]
        for shift in (-round(seconds * CLOCK_SECONDS), round(seconds * CLOCK_SECONDS)):
            goal = faults.seen("clock", "shift") + 1
            faults.set(Rule("clock", "shift", shift))
            self._waiting.for_operations(10, f"with the clock of node {id} shifted by {shift} s")
            self._waiting.until(partial(lambda goal: faults.seen("clock", "shift") >= goal, goal), "the other clock")
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
        """Of a leader and a follower: two followers have little to say to each other."""
        leader = self._nodes.leader()
        other = leader if leader != id else self._nodes.others(id)[0]
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
        self._waiting.last(seconds)
        self._waiting.until(lambda: any(proxy.passed(id, each) > passed[each] for each in passed), "a slow link")
        proxy.heal()
        return True

    def _kill_all(self, id: int, seconds: float) -> bool:
        codes = {process.kill() for process in self._nodes.processes.values()}
        self._waiting.last(seconds)
        self._nodes.start_all()
        return codes == {-signal.SIGKILL}

    def _fall_behind(self, id: int, seconds: float) -> bool:
        """Down until the others have let go of the log that it lacks: it has to be sent a snapshot."""
        process = self._nodes.processes[id]
        code = process.kill()
        self._waiting.until_log_is_gone(id)
        self._nodes.start(id)
        self._waiting.until(lambda: process.events("snapshot_installed"), "a snapshot installed")
        return code == -signal.SIGKILL

    def _busiest(self) -> int:
        """The node with most clients; the seed cannot say where they are."""
        return max(self._nodes.ids, key=lambda node: self._nodes.proxy.connected(CLIENTS, node))

    def _cut(self, seconds: float, *ways: tuple[int, int]) -> bool:
        proxy = self._nodes.proxy
        held = {way: proxy.held(*way) for way in ways}
        for way in ways:
            proxy.cut(*way)
        self._waiting.last(seconds)
        self._waiting.until(lambda: any(proxy.held(*way) > before for way, before in held.items()), "a cut")
        proxy.heal()
        return True
