"""Carries out the membership task of a node that leads: looks, changes one thing, and looks again once it is committed.

Orders of operators (`MemberOrders`) change nothing by themselves: they list a disk or wish for a vote, and wait until
the membership is as they want it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from qcore.cluster.hub import PeerStatus
from qcore.cluster.membership.task import MembershipTask
from qcore.cluster.membership.view import (
    AddLearner,
    Admit,
    Change,
    HandOver,
    LeaveJoint,
    LinkedNode,
    ListRemoved,
    Promote,
    Remove,
    SetAddress,
    View,
)
from qcore.engine.base import ChangeDone, Engine, EngineStatus
from qcore.model.entry import Member, Membership, public_id
from qcore.model.errors import RequestError, error_from_wire
from qcore.model.leader_commands import RemoveDisk
from qcore.model.requests.commands import Command
from qcore.model.wire import decode_json
from qcore.server.calls import Call, Sink
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.timers import Periodic
from qcore.store.state.removed_disks import REMOVED_LEVEL
from qcore.store.state.state import State

__all__ = ["ChangingNode", "Heard", "MemberChanges"]

log = logs.get("qcore.members")


class ChangingNode(Protocol):
    """What changing the membership needs of the node."""

    state: State
    engine: Engine
    role_changes: int
    """How often it has begun or ceased to lead or follow."""

    def membership(self) -> Membership | None:
        """The members as far as entries are applied."""

    def leads_set_up(self) -> bool:
        """Whether this node leads, and all that a leadership begins with is applied."""

    def put_own(self, command: Command, sink: Sink | None = None) -> None:
        """See `Proposals.put_own`."""


class Heard:
    """The sink of a command of the leader's own: `done` hears None, or why it was refused or may be lost."""

    def __init__(self, done: ChangeDone) -> None:
        self._done = done

    def answered(self, call: Call, text: bytes | None) -> None:
        """See `Sink`."""
        answer: dict[str, Any] = {} if text is None else decode_json(text)
        self._done(error_from_wire(answer["error"]) if "error" in answer else None)


class MemberChanges:
    """The membership task on the loop of a node; does nothing while another one leads.

    Args:
        own: Raft NodeId and address ``host:port`` of this node.
        linked: gives the nodes that are linked.
        admit: offers a node to belong to the cluster.
        may_grow: whether others may be sent the log.
    """

    def __init__(
        self,
        node: ChangingNode,
        own: Callable[[], tuple[int, str]],
        linked: Callable[[], Sequence[PeerStatus]],
        admit: Callable[[Admit], None],
        may_grow: Callable[[Membership], bool],
        max_voters: int,
    ) -> None:
        self.task = MembershipTask()
        self._node = node
        self._own = own
        self._linked = linked
        self._admit = admit
        self._may_grow = may_grow
        self.looked: Callable[[], None] = _nothing
        """Called after each look."""
        self._max_voters = max_voters
        self._changing = False
        self._role_changes = -1
        self._applies = -1
        """Up to there the log has to be applied before the membership is known again."""
        self._stopped = False
        self._looks = Periodic(budgets.MEMBERSHIP_LOOK_SECONDS, self._look_again)

    def start(self) -> None:
        """Look from now on."""
        self._looks.start()

    def stop(self) -> None:
        """Change nothing more."""
        self._stopped = True
        self._looks.stop()

    def view(self) -> View | None:
        """What this node, as the leader, knows of its cluster; None where it does not lead."""
        membership, status = self._node.membership(), self._node.engine.status()
        if membership is None or status.role != "leader" or not self._node.leads_set_up():
            return None
        node, addr = self._own()
        state = self._node.state
        return View(
            node=node,
            addr=addr,
            cluster=status.cluster,
            level=state.level,
            membership=membership,
            removed=state.removed.nodes,
            linked=_linked_nodes(self._linked(), status),
            last=-1 if status.last is None else status.last,
            lists_removed=state.level >= REMOVED_LEVEL,
            max_voters=self._max_voters,
        )

    def waiting(self) -> Mapping[int, str]:
        """Why nodes are no voters, by the id people see; only a leader knows."""
        view = self.view()
        return {} if view is None else self.task.waiting(view)

    def _look_again(self) -> bool:
        self.look()
        return not self._stopped

    def look(self) -> None:
        """See what is to be done, unless something is under way."""
        if self._node.role_changes != self._role_changes:
            self._role_changes, self._changing, self.task = self._node.role_changes, False, MembershipTask()
        view = self.view()
        behind = self._changing or self._node.state.applied < self._applies
        if view is not None and not behind and not self._stopped and self._may_grow(view.membership):
            now = time.monotonic()
            change = self.task.look(view, now)
            for offer in self.task.offers(view, now):
                self._admit(offer)
            if change is not None:
                self._carry_out(change, view)
        self.looked()

    def _carry_out(self, change: Change, view: View) -> None:
        self._changing = True
        leadership = self._role_changes

        def done(error: RequestError | None) -> None:
            if self._role_changes != leadership:
                return
            self._changing = False
            self._applies = self._node.engine.status().committed or -1
            if error is not None:
                log.warning("membership_unchanged", message=f"The membership was not changed: {error.message}")

        log.info("membership_change", message=_text(change, view))
        self._begin(change, view, done)

    def _begin(self, change: Change, view: View, done: ChangeDone) -> None:
        engine = self._node.engine
        match change:
            case LeaveJoint():
                engine.promote(view.membership.configs[-1][0], done)
            case HandOver(node):
                engine.transfer(node, done)
            case ListRemoved(node, incarnation):
                self._node.put_own(RemoveDisk(node=node, incarnation=incarnation), Heard(done))
            case Remove(node):
                engine.remove(node, done)
            case SetAddress(node, addr):
                engine.set_address(node, addr, done)
            case AddLearner(node, addr, incarnation, witness):
                engine.add_learner(node, Member(addr, incarnation, witness), done)
            case Promote(node):
                engine.promote(node, done)


def _nothing() -> None:
    """Nobody is told."""


def _linked_nodes(linked: Sequence[PeerStatus], status: EngineStatus) -> tuple[LinkedNode, ...]:
    lags = {peer.node: peer.lag for peer in status.peers}
    return tuple(
        LinkedNode(
            node=each.hello.node,
            incarnation=each.hello.incarnation,
            cluster=each.hello.cluster,
            addr=each.hello.addr,
            reached=each.hello.addr in each.addresses,
            level=each.hello.levels[1],
            lag=lags.get(each.hello.id),
            witness=each.hello.witness,
        )
        for each in linked
    )


def _text(change: Change, view: View) -> str:
    match change:
        case LeaveJoint():
            return "A change of the membership that another leader began is finished"
        case HandOver(node):
            return f"This node is to be removed: it hands leadership to node {public_id(node)}"
        case ListRemoved(node, incarnation):
            return f"Node {public_id(node)} is here on a new disk: the one before ({incarnation[:8]}) is removed"
        case Remove(node):
            return f"Removing node {public_id(node)} ({view.membership.nodes[node].addr}) from the cluster"
        case SetAddress(node, addr):
            return f"Node {public_id(node)} is reached at {addr} now, not at {view.membership.nodes[node].addr}"
        case AddLearner(node, addr, _, witness):
            what = "witness" if witness else "node"
            return f"Adding {what} {public_id(node)} ({addr}) to the cluster, without a vote at first"
        case Promote(node):
            return f"Node {public_id(node)} has caught up and gets a vote"
