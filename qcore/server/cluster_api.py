"""What clients ask about the cluster and of it: status, forming it, handing leadership over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from qcore.cluster.formation.machine import Formation
from qcore.disk.directory import Directory
from qcore.engine.base import ChangeDone, Engine
from qcore.model.entry import Membership, public_id
from qcore.model.errors import Busy, Forbidden, NoQuorum, NotFound, RequestError, Timeout
from qcore.model.requests.cluster import (
    ClusterAdd,
    ClusterFormed,
    ClusterInit,
    ClusterMember,
    ClusterPromote,
    ClusterRemove,
    ClusterState,
    ClusterStatus,
    ClusterTransfer,
    ClusterTransferred,
)
from qcore.server.calls import Call
from qcore.server.operations.members import Cluster
from qcore.server.runtime.timers import Alarm
from qcore.server.writes.full_disks import DiskReport

__all__ = ["ClusterApi", "TransferBy"]

TransferBy = Callable[[int, float, ChangeDone], None]
"""Has a voter (Raft NodeId) lead by a deadline, in monotonic seconds; who asked hears that it does, or why not."""


class ClusterApi:
    """Answers the calls of its route on the loop's thread.

    Args:
        membership: gives the last membership applied, None before the first.
        full_disks: gives the members whose disk is below its reserve, by public id.
        transfer: hands over the leadership of this node.
    """

    def __init__(
        self,
        engine: Engine,
        directory: Directory,
        addr: str,
        membership: Callable[[], Membership | None],
        full_disks: Callable[[], Mapping[int, DiskReport]],
        transfer: TransferBy,
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._addr = addr
        self._membership = membership
        self._full_disks = full_disks
        self._transfer_by = transfer
        self._formation: Formation | None = None
        """The node's part in forming a cluster, None where it runs alone."""
        self._on_wish: Callable[[], None]
        self.order: Callable[[Call], None] = self._refuse_order
        """Carries out an order about members."""
        self.waiting: Callable[[], Mapping[int, str]] = dict
        """Gives why nodes are no voters, by the id people see."""
        self._inits: list[Call] = []
        """Who waits for the cluster to be formed."""
        self._late = Alarm()
        self._runs: dict[type[Any], Callable[[Call], None]] = {
            ClusterStatus: lambda call: call.result(self.status()),
            ClusterInit: self._init,
            ClusterTransfer: self._transfer,
            ClusterAdd: lambda call: self.order(call),
            ClusterRemove: lambda call: self.order(call),
            ClusterPromote: lambda call: self.order(call),
        }

    def form_by(self, formation: Formation, on_wish: Callable[[], None]) -> None:
        """Be part of forming a cluster.

        Who carries out its actions says `init_done` for each `InitDone`; `on_wish` tells that there may be some.
        """
        self._formation, self._on_wish = formation, on_wish

    def transfer_by(self, transfer: TransferBy) -> None:
        """Have leadership handed over by whoever leads."""
        self._transfer_by = transfer

    def run(self, call: Call) -> None:
        """Carry a call out; the answer may come later."""
        try:
            self._runs[type(call.params)](call)
        except RequestError as error:
            call.fail(error)

    def stop(self) -> None:
        """Answer those who wait; a cluster that is being formed goes on after the next start."""
        self._end_inits(Busy("the node is stopping; what was promised goes on after its start"))

    def init_done(self, error: RequestError | None) -> None:
        """The cluster was formed, or why it was not."""
        self._end_inits(error)

    def status(self) -> ClusterState:
        """What this node knows of the cluster."""
        status, identity, formation = self._engine.status(), self._directory.identity, self._formation
        membership, full = self._membership(), self._full_disks()
        cluster = Cluster(identity.node, self._addr, membership, status, full, self.waiting())
        voters = set() if membership is None else set(cluster.voters)
        members = [
            ClusterMember(
                each.node,
                each.addr,
                each.role,
                "voter" if each.node in voters else "learner",
                each.lag,
                each.alive,
                each.waiting,
                disk=full[each.node].full if each.node in full else None,
                witness=each.witness,
            )
            for each in cluster.members()
        ]
        return ClusterState(
            node=identity.node,
            cluster=status.cluster,
            formation="member" if formation is None else formation.state,
            role=status.role,
            leader=status.leader,
            term=status.term,
            members=members,
            tolerates=cluster.tolerates,
            outlook=cluster.outlook(),
            waiting=None if formation is None else formation.waiting(),
        )

    # -- forming -----------------------------------------------------------------------------------------------

    def _init(self, call: Call) -> None:
        if self._formation is None:
            identity = self._directory.identity
            raise Forbidden(
                f"node {identity.node} runs alone as cluster {identity.cluster}: "
                "a cluster is formed of blank nodes that were started with --peers"
            )
        self._formation.init(call.params.ids)
        self._inits.append(call)
        self._inits.sort(key=lambda each: each.deadline)
        self._wait()
        self._on_wish()

    def _wait(self) -> None:
        """Have those answered whose time is up; with the last of them nobody waits any longer."""
        self._inits = [call for call in self._inits if not call.done]
        self._late.cancel()
        if self._inits:
            self._late.set(max(self._inits[0].deadline - time.monotonic(), 0.0), self._end_late)

    def _end_late(self) -> None:
        assert self._formation is not None
        call = self._inits.pop(0)
        if self._inits:
            call.fail(Timeout(f"{call.method}: {self._formation.waiting()}", applied="unknown"))
        else:
            call.fail(self._formation.give_up())
        self._wait()

    def _end_inits(self, error: RequestError | None) -> None:
        calls, self._inits = self._inits, []
        self._late.cancel()
        for call in calls:
            if error is None:
                call.result(ClusterFormed(self._directory.identity.cluster))
            else:
                call.fail(error)

    # -- members -----------------------------------------------------------------------------------------------

    def _refuse_order(self, call: Call) -> None:
        raise Forbidden(f"node {self._directory.identity.node} runs alone: members need --peers, on every node")

    # -- leadership --------------------------------------------------------------------------------------------

    def _transfer(self, call: Call) -> None:
        id, leader = call.params.id, self._engine.status().leader
        if id == leader:
            call.result(ClusterTransferred(id))
            return
        node = self._voter(id)
        if leader is None:
            raise NoQuorum("there is no leader that could hand over", elsewhere=True)
        call.fail_at_deadline(Timeout(f"leadership was not handed to node {id} in time", applied="unknown"))

        def done(error: RequestError | None) -> None:
            if error is None:
                call.result(ClusterTransferred(id))
            else:
                call.fail(error)

        self._transfer_by(node, call.deadline, done)

    def _voter(self, id: int) -> int:
        """The Raft NodeId of a voter.

        Raises:
            NotFound, Forbidden: it is no member, or has no vote.
        """
        membership = self._membership()
        nodes = {} if membership is None else {public_id(node): node for node in membership.nodes}
        if membership is None or id not in nodes:
            known = ", ".join(map(str, sorted(nodes))) or "none"
            raise NotFound(f"node {id} is no member of the cluster; its members: {known}")
        if not any(nodes[id] in config for config in membership.configs):
            raise Forbidden(f"node {id} is a learner: only a voter can lead")
        if nodes[id] in membership.witnesses:
            raise Forbidden(f"node {id} is a witness, which keeps no state: only a node with the data can lead")
        return nodes[id]
