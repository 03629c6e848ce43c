"""Who belongs to the cluster changes under load: nodes join, leave, come back, lose their disks or get older ones.

While a member joins or leaves, the leader is struck: whoever leads next has to finish it.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import methodcaller
from threading import Thread

from qcore.client import QcoreError
from qcore.client.blocking import connect
from qcore.model.errors import Removed
from tests.proof.injector import Carry
from tests.proof.nodes import BRIEF, Nodes
from tests.proof.schedule import Fault
from tests.proof.waiting import Waiting
from tests.torture.orders import Orders

__all__ = ["member_faults"]

BEHIND = 50
"""Log entries that a node has written since its disk was copied."""


def member_faults(nodes: Nodes, waiting: Waiting) -> Mapping[Fault, Carry]:
    """See `MoreFaults`."""
    faults = _MemberFaults(nodes, waiting)
    return {
        "join": faults.join,
        "leave": faults.leave,
        "replace": faults.replace,
        "wipe": faults.wipe,
        "roll_back": faults.roll_back,
    }


class _MemberFaults:
    def __init__(self, nodes: Nodes, waiting: Waiting) -> None:
        self._nodes = nodes
        self._waiting = waiting
        self._orders = Orders(nodes, waiting)

    def join(self, id: int, seconds: float) -> bool:
        """A blank node joins, with the vote that an order gives it."""
        (spare,) = self._nodes.spares
        if spare in self._nodes.ids:
            self.leave(id, seconds)
        with self._leader_struck(seconds):
            self._start_blank(spare)
            self._orders.until(methodcaller("cluster_add", spare), lambda: self._vote(spare), f"node {spare} is there")
            promoted = methodcaller("cluster_promote", spare)
            self._orders.until(promoted, lambda: self._votes(spare), f"node {spare} votes")
        self._nodes.join(spare)
        return True

    def leave(self, id: int, seconds: float) -> bool:
        """It leaves again, for good, and its disk is thrown away."""
        (spare,) = self._nodes.spares
        if spare not in self._nodes.ids:
            self.join(id, seconds)
        with self._leader_struck(seconds, but=spare):
            self._remove(spare)
        self._nodes.leave(spare)
        return True

    def replace(self, id: int, seconds: float) -> bool:
        """A member is removed, and comes back by order: on its own disk, or on an empty one."""
        with self._leader_struck(seconds, but=id):
            self._remove(id)
        self._waiting.for_operations(1, f"without node {id}")
        if int(seconds * 100) % 2:
            self._start_blank(id)
        else:
            self._nodes.start(id)
        self._orders.until(methodcaller("cluster_add", id), lambda: self._is_back(id), f"node {id} is a member")
        self._until_healed(id)
        return True

    def wipe(self, id: int, seconds: float) -> bool:
        """Its disk is lost, and an empty one is in its place."""
        code = self._nodes.processes[id].kill()
        self._waiting.last(seconds)
        self._start_blank(id)
        self._until_healed(id)
        return code == -signal.SIGKILL

    def roll_back(self, id: int, seconds: float) -> bool:
        """Its disk is as it was some time ago: the others refuse it by name, and it has to begin anew."""
        process = self._nodes.processes[id]
        copy = process.folder / "copy"
        process.kill()
        shutil.copytree(process.data_dir, copy)
        self._nodes.start(id)
        self._until_log_grew(id)
        process.kill()
        shutil.rmtree(process.data_dir)
        copy.rename(process.data_dir)
        self._nodes.start(id)
        self._waiting.until(lambda: self._is_refused(id), f"node {id} is refused")
        process.kill()
        self._start_blank(id)
        self._until_healed(id)
        return True

    def _start_blank(self, id: int) -> None:
        """Start a node on an empty disk, told which cluster it belongs to, as the guide says."""
        process = self._nodes.processes[id]
        shutil.rmtree(process.data_dir, ignore_errors=True)
        if "--cluster-id" not in process.flags:
            process.flags = (*process.flags, "--cluster-id", self._nodes.cluster())
        self._nodes.start(id)

    def _remove(self, id: int) -> None:
        process = self._nodes.processes[id]
        gone: Callable[[], bool] = lambda: not process.running  # noqa: E731
        self._orders.until(methodcaller("cluster_remove", id), gone, f"the end of node {id}")
        code = process.wait()
        assert code == Removed.exit_code, f"node {id} was removed and ended with {code}:\n{process.log()}"

    @contextmanager
    def _leader_struck(self, seconds: float, but: int | None = None) -> Iterator[None]:
        """Kill the leader, hang it, cut it off, or leave it in peace, while something else is under way."""
        strike = [self._kill, self._hang, self._cut_off, None][int(seconds * 100) % 4]
        leader = self._nodes.leader()
        if strike is None or leader == but:
            yield
            return
        problems: list[BaseException] = []

        def struck() -> None:
            try:
                strike(leader, seconds)
            except BaseException as exc:  # told where the fault is carried out
                problems.append(exc)

        thread = Thread(target=struck, name="strike")
        thread.start()
        try:
            yield
        finally:
            thread.join()
        if problems:
            raise problems[0]

    def _kill(self, id: int, seconds: float) -> None:
        self._waiting.last(seconds / 3)
        self._nodes.processes[id].kill()
        self._waiting.last(seconds)
        self._nodes.start(id)

    def _hang(self, id: int, seconds: float) -> None:
        self._nodes.processes[id].pause()
        self._waiting.last(seconds)
        self._nodes.processes[id].resume()

    def _cut_off(self, id: int, seconds: float) -> None:
        for other in self._nodes.others(id):
            self._nodes.proxy.cut(id, other)
            self._nodes.proxy.cut(other, id)
        self._waiting.last(seconds)
        self._nodes.proxy.heal()

    def _vote(self, id: int) -> str | None:
        """The vote of a node, as the node that leads has it; None of no member. A removed one does not know that."""
        try:
            with connect(self._nodes.processes[self._nodes.leader()].url, client="operator", timeout=BRIEF) as store:
                return next((each.vote for each in store.cluster_status().members if each.node == id), None)
        except QcoreError:
            return None

    def _votes(self, id: int) -> bool:
        """Whether a node has a vote, and data: the voter that the others know may be the disk before its own."""
        info = self._nodes.info(id)
        applied = info is not None and info.applied is not None and info.role != "learner"
        return applied and self._vote(id) == "voter"

    def _is_back(self, id: int) -> bool:
        """Whether it is a member again; one that heard that it is removed before the order came is started again."""
        if not self._nodes.processes[id].running:
            self._nodes.start(id)
        return self._vote(id) is not None

    def _until_healed(self, id: int) -> None:
        """With an order: as the fourth it would wait for a fifth."""
        self._orders.until(methodcaller("cluster_promote", id), lambda: self._votes(id), f"node {id} votes again")

    def _until_log_grew(self, id: int) -> None:
        begin = self._nodes.log(id)[1]
        self._waiting.until(lambda: self._nodes.log(id)[1] > begin + BEHIND, f"{BEHIND} entries at node {id}")

    def _is_refused(self, id: int) -> bool:
        infos = map(self._nodes.info, self._nodes.others(id))
        return any("forgotten" in text for info in infos if info is not None for text in info.refused)
