"""Orders of operators about members: carried out by the node that leads, whichever node was asked, and answered when
the membership is as it was ordered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from qcore.cluster.membership.task import removal_problem, witness_problem
from qcore.cluster.membership.view import View
from qcore.cluster.traffic.questions import Question
from qcore.model.entry import public_id
from qcore.model.errors import BadParams, Forbidden, NoQuorum, NotFound, RequestError, Timeout
from qcore.model.leader_commands import ReadmitDisk, RemoveDisk
from qcore.model.requests.cluster import ClusterAdd, ClusterPromote, ClusterRemove, MemberState
from qcore.model.requests.commands import Command
from qcore.server.calls import Call
from qcore.server.peers.member_changes import ChangingNode, Heard, MemberChanges
from qcore.server.runtime import budgets

__all__ = ["ORDER", "MemberOrders", "Order"]

ORDER = "order"
"""The kind of question in which a node passes an order on to the leader."""

Order = ClusterAdd | ClusterRemove | ClusterPromote

_encoder = msgspec.msgpack.Encoder()
_decode_order = msgspec.msgpack.Decoder(Order).decode
_decode_state = msgspec.msgpack.Decoder(MemberState).decode


class AskLeader(Protocol):
    """Asks the node that leads, by its public id; `done` hears the answer once, on the loop."""

    def __call__(
        self, leader: int, body: bytes, limit: float, done: Callable[[bytes, RequestError | None], None]
    ) -> None: ...


class _Open:
    """An order that is not answered yet."""

    def __init__(
        self, order: Order, deadline: float, done: Callable[[MemberState | None, RequestError | None], None]
    ) -> None:
        self.order = order
        self.deadline = deadline
        self.done = done
        self.proposed_in = -1
        """The leadership, by `role_changes`, in which the list of removed disks was changed for it."""
        self.asking = False
        self.ended = False

    def end(self, state: MemberState | None, error: RequestError | None = None) -> None:
        """Answer it, once."""
        if not self.ended:
            self.ended = True
            self.done(state, error)


class MemberOrders:
    """The open orders of a node, of its own clients and of those that other nodes pass on."""

    def __init__(self, node: ChangingNode, changes: MemberChanges, ask_leader: AskLeader) -> None:
        self._node = node
        self._changes = changes
        self._ask_leader = ask_leader
        self._open: list[_Open] = []
        changes.looked = self.look

    def run(self, call: Call) -> None:
        """Carry out the order of a client of this node."""

        def done(state: MemberState | None, error: RequestError | None) -> None:
            if error is None:
                call.result(state)
            else:
                call.fail(error)

        call.fail_at_deadline(Timeout(f"{call.method}: not done yet", applied="unknown"))
        self._begin(_Open(call.params, call.deadline, done))

    def asked(self, question: Question) -> None:
        """Another node passes an order on, as this one leads."""
        try:
            order = _decode_order(question.body)
        except msgspec.DecodeError as exc:
            question.fail(BadParams(f"no order about members: {exc}"))
            return

        def done(state: MemberState | None, error: RequestError | None) -> None:
            if error is None:
                question.answer(_encoder.encode(state))
            else:
                question.fail(error)

        opened = _Open(order, time.monotonic() + question.left, done)
        if self._changes.view() is None:
            opened.end(None, NoQuorum("this node does not lead", applied="no"))
        else:
            self._begin(opened)

    def _begin(self, opened: _Open) -> None:
        self._open.append(opened)
        self.look()

    def stop(self) -> None:
        """Answer all: what was listed is carried out by whoever leads."""
        for opened in self._open:
            opened.end(None, NoQuorum("the node is stopping", applied="unknown"))
        self._open.clear()

    def was_removed(self, id: int) -> None:
        """This node, which has that id, is no member any more, and nobody talks to it: so its removal is done."""
        for opened in self._open:
            if isinstance(opened.order, ClusterRemove) and opened.order.id == id:
                opened.end(MemberState(id, "none"))

    def look(self) -> None:
        """See which orders are carried out, and pass on those that are another leader's."""
        view, now = self._changes.view(), time.monotonic()
        for opened in self._open:
            try:
                if view is None:
                    self._pass_on(opened, now)
                else:
                    self._judge(opened, view, now)
            except RequestError as error:
                opened.end(None, error)
        self._open = [opened for opened in self._open if not opened.ended and opened.deadline > now]

    # -- another node leads ----------------------------------------------------------------------------------

    def _pass_on(self, opened: _Open, now: float) -> None:
        leader = self._node.engine.status().leader
        if leader is None or opened.asking:
            return
        opened.asking = True

        def done(body: bytes, error: RequestError | None) -> None:
            opened.asking = False
            if error is None:
                opened.end(_decode_state(body))
            elif error.kind != NoQuorum.kind:  # else it is asked again, of whoever leads then
                opened.end(None, error)

        self._ask_leader(leader, _encoder.encode(opened.order), max(opened.deadline - now, 0.0), done)

    # -- this node leads -------------------------------------------------------------------------------------

    def _judge(self, opened: _Open, view: View, now: float) -> None:
        match opened.order:
            case ClusterAdd(id=id):
                state = self._add(opened, id, view)
            case ClusterRemove(id=id):
                state = self._remove(opened, id, view)
            case ClusterPromote(id=id):
                state = self._promote(id, view)
        if state is not None:
            opened.end(state)
        elif opened.deadline - now < budgets.ORDER_ANSWER_SECONDS:
            why = self._changes.task.waiting(view).get(id, "is on its way")
            raise Timeout(f"node {id} {why}; this goes on by itself", applied="unknown")

    def _add(self, opened: _Open, id: int, view: View) -> MemberState | None:
        member = view.of_id(id)
        if member is not None and not view.is_removed(member):
            return self._state(id, member, view)
        disks = sorted((node, disk) for disk, node in view.removed.items() if public_id(node) == id)
        if disks:
            self._propose(opened, ReadmitDisk(incarnation=disks[-1][1]))
            return None
        if any(each.id == id for each in view.linked):
            return None
        if opened.proposed_in < 0:
            raise NotFound(f"node {id} is not there: start it with --peers that lead to this cluster, and it is added")
        return MemberState(id, "none", "it is let in again: start it, and it is added")

    def _remove(self, opened: _Open, id: int, view: View) -> MemberState | None:
        member = view.of_id(id)
        if member is None:
            if any(public_id(node) == id for node in view.removed.values()):
                return MemberState(id, "none")
            raise _no_member(id, view)
        if not view.is_removed(member):
            problem = removal_problem(view, member)
            if problem:
                raise Forbidden(f"node {id} cannot be removed: {problem}")
            self._propose(opened, RemoveDisk(node=member, incarnation=view.membership.nodes[member].incarnation))
        return None

    def _promote(self, id: int, view: View) -> MemberState | None:
        member = view.of_id(id)
        if member is None:
            raise _no_member(id, view)
        if view.is_removed(member):
            raise Forbidden(f"node {id} is being removed")
        if member in view.voters:
            return self._state(id, member, view)
        problem = witness_problem(view, member)
        if problem:
            raise Forbidden(f"node {id} gets no vote: {problem}")
        self._changes.task.wished.add(member)
        return None

    def _state(self, id: int, member: int, view: View) -> MemberState:
        vote: Literal["voter", "learner"] = "voter" if member in view.voters else "learner"
        return MemberState(id, vote, self._changes.task.waiting(view).get(id))

    def _propose(self, opened: _Open, command: Command) -> None:
        if opened.proposed_in == self._node.role_changes:
            return
        opened.proposed_in = self._node.role_changes

        def done(error: RequestError | None) -> None:
            if error is not None:
                opened.end(None, error)

        self._node.put_own(command, Heard(done))


def _no_member(id: int, view: View) -> NotFound:
    known = ", ".join(sorted(str(public_id(node)) for node in view.membership.nodes))
    return NotFound(f"node {id} is no member of the cluster; its members: {known}")
