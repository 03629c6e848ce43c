"""Faults of a disk, a process or a thread in its middle: what fails, what dies between two steps, what stands still."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping

from tests.faults import Call, Rule
from tests.proof.injector import LOG_FILES, Carry, end_of_disk
from tests.proof.nodes import Nodes
from tests.proof.schedule import Fault
from tests.proof.waiting import Waiting

__all__ = ["disk_faults"]

HINT = "*/committed.json"
TRIES = 10
"""How often a leader is cut off at most until it has written something that the others replace."""


def disk_faults(nodes: Nodes, waiting: Waiting) -> Mapping[Fault, Carry]:
    """See `MoreFaults`."""
    faults = _DiskFaults(nodes, waiting)
    return {
        "stall": faults.stall,
        "failed_write": faults.failed_write,
        "failed_snapshot": faults.failed_snapshot,
        "crash_at_install": faults.crash_at_install,
        "crash_at_truncate": faults.crash_at_truncate,
    }


class _DiskFaults:
    def __init__(self, nodes: Nodes, waiting: Waiting) -> None:
        self._nodes = nodes
        self._waiting = waiting

    def stall(self, id: int, seconds: float) -> bool:
        """Who asks for the time waits and holds the interpreter's lock: no thread of Python does anything."""
        return self._follow(id, Rule("clock", "delay", round(seconds * 1000), times=1))

    def failed_write(self, id: int, seconds: float) -> bool:
        return end_of_disk(self._nodes, self._waiting, id, Rule("write", "fail", errno.ENOSPC, LOG_FILES), seconds)

    def failed_snapshot(self, id: int, seconds: float) -> bool:
        """It costs nothing: the node goes on, and takes the next one."""
        faults = self._nodes.faults[id]
        seen = faults.seen("rename", "fail")
        faults.set(Rule("rename", "fail", errno.EIO, "*/snapshot_*"))

        def failed() -> bool:
            self._nodes.take_snapshot(id)
            return faults.seen("rename", "fail") > seen

        self._waiting.until(failed, f"a failed snapshot of node {id}")
        faults.clear()
        return True

    def crash_at_install(self, id: int, seconds: float) -> bool:
        """It dies when the snapshot that it was sent has its name, and is not installed yet."""
        process = self._nodes.processes[id]
        process.kill()
        self._waiting.until_log_is_gone(id)
        died = self._dies(id, Rule("named", "kill", 0, "*/received_*"))
        self._nodes.start(id)
        return died

    def crash_at_truncate(self, id: int, seconds: float) -> bool:
        """A leader that is cut off writes what the others replace; it dies where it takes that back.

        The hint is written before, and the last files go first: it dies before the first of them, or a few later.
        """
        for _ in range(TRIES):
            leader = self._nodes.leader()
            if self._dies_truncating(leader, int(seconds * 100) % 4):
                return True
        return False

    def _dies_truncating(self, id: int, files: int) -> bool:
        """Whether it died behind the hint of a truncate, which alone is synced, with so many files taken back."""
        faults, proxy = self._nodes.faults[id], self._nodes.proxy
        _, term = self._nodes.leadership()
        for other in self._nodes.others(id):
            proxy.cut(id, other)
            proxy.cut(other, id)
        self._waiting.until(lambda: self._led_in_another_term(id, term), "another leader")
        seen = faults.seen("fsync", "delay")
        faults.set(Rule("fsync", "delay", 0, HINT), Rule("write", "kill", files, LOG_FILES))
        proxy.heal()
        code = self._nodes.processes[id].wait()
        faults.clear()
        self._nodes.start(id)
        return code == -signal.SIGKILL and faults.seen("fsync", "delay") > seen

    def _led_in_another_term(self, id: int, term: int) -> bool:
        """Whether another node than this one leads, and this one knows that it does not."""
        infos = {each: self._nodes.info(each) for each in self._nodes.ids}
        own = infos.pop(id)
        leads = any(info is not None and info.role == "leader" and info.term > term for info in infos.values())
        return leads and own is not None and own.role != "leader"

    def _dies(self, id: int, rule: Rule) -> bool:
        """Start a node that dies of a rule."""
        faults = self._nodes.faults[id]
        faults.set(rule)
        self._nodes.processes[id].start(wait=False)
        self._waiting.until(lambda: self._at_its_address(id), f"the death of node {id}")
        code = self._nodes.processes[id].wait()
        faults.clear()
        return code == -signal.SIGKILL

    def _at_its_address(self, id: int) -> bool:
        """Lead the proxy to a node that has begun to listen; whether it is gone again."""
        process = self._nodes.processes[id]
        self._nodes.proxy.point(id, process.address)
        return not process.running

    def _follow(self, id: int, rule: Rule) -> bool:
        """Have a rule followed once."""
        faults = self._nodes.faults[id]
        call: Call = rule.call
        seen = faults.seen(call, rule.action)
        faults.set(rule)
        self._waiting.until(lambda: faults.seen(call, rule.action) > seen, f"{call} {rule.action}")
        faults.clear()
        return True
