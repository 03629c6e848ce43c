"""The shell around forwarding: between the link to other nodes, the writes and the reads of this one.

Everything here runs on the loop's thread. Nothing is forwarded twice: what came from another node is carried out here
or goes back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from qcore.engine.base import BarrierDone, ChangeDone, Engine
from qcore.model.errors import InvalidRequest, NoQuorum, RequestError, Timeout
from qcore.model.wire import encode_json
from qcore.server.calls import Call
from qcore.server.forwarding.incoming import Incoming
from qcore.server.forwarding.link import Forwarded, ForwardLink
from qcore.server.forwarding.messages import (
    Index,
    NotLeading,
    Outcomes,
    Part,
    ReadIndex,
    Reply,
    TransferLeadership,
    Transferred,
    UploadPiece,
    UploadText,
    Write,
    Writes,
    decode_reply,
    decode_request,
    encode,
)
from qcore.server.forwarding.outgoing import Batch, Outgoing
from qcore.server.router import Router
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Alarm
from qcore.server.writes.proposals import Proposals
from qcore.store.state.state import State

__all__ = ["Forwarding", "ForwardingNode"]


class ForwardingNode(Protocol):
    """What forwarding needs of the node."""

    def peer(self, leader: int) -> int | None:
        """The Raft NodeId of a member by its public id; None where this node does not know it."""

    def transfer(self, to: int, done: ChangeDone) -> None:
        """Hand the leadership of this node to a voter (Raft NodeId); see `LeadershipTransfer.start`."""

    def forwards_settled(self) -> None:
        """Writes that were at another node are not any more."""


class Forwarding:
    """Of the node with public id `node`; the `Forwarder` of its proposals."""

    def __init__(
        self,
        node: int,
        host: ForwardingNode,
        link: ForwardLink,
        engine: Engine,
        state: State,
        proposals: Proposals,
        router: Router,
    ) -> None:
        self._host = host
        self._link = link
        self._engine = engine
        self._state = state
        self._proposals = proposals
        self.take_upload: Callable[[UploadText, Callable[[UploadPiece], None]], None]
        """Answers for the uploads of this node."""
        self._router = router
        self._run = secrets.token_hex(8)
        self._leader: int | None = None
        self._outgoing = Outgoing(node, proposals.take_back)
        self._incoming = Incoming(
            node, router.submit_forwarded, proposals.put_parts, lambda epoch: epoch in state.epochs
        )
        self._retry = Alarm()
        self._grace = Alarm()
        self._grace_runs = False
        self._ended = False

    # -- who leads -----------------------------------------------------------------------------------------

    def lead(self, term: int) -> None:
        """This node leads in a term; to be called before its leadership begins."""
        self._leader = None
        self._outgoing.lead(term)
        self._incoming.lead(term)
        self._turned()

    def follow(self, leader: int | None, term: int) -> None:
        """Another node leads in a term, or nobody does; to be called before this one's leadership ends."""
        self._leader = leader
        self._incoming.follow(leader, term)
        self._outgoing.follow(leader, term)
        self._turned()

    def refuse(self) -> None:
        """The node is stopping: what others send goes back to them."""
        self._incoming.stop()

    def _turned(self) -> None:
        self._retry.cancel()
        self._outgoing.resume()
        self._look()

    # -- writes to the leader: see `Forwarder` -------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """See `Forwarder.idle`."""
        return self._outgoing.idle

    def accepts(self) -> bool:
        """See `Forwarder.accepts`."""
        return not self._ended and self._outgoing.accepts()

    def send(self, calls: list[Call]) -> None:
        """See `Forwarder.send`."""
        batch = self._outgoing.begin(calls)
        now = time.monotonic()
        bodies = self._bodies(batch, now)
        last = len(bodies) - 1

        def done(place: int, body: bytes, error: RequestError | None) -> None:
            if place == last:
                self._done(batch, body, error)

        node = self._host.peer(batch.leader)
        if node is None:
            self._done(batch, b"", NoQuorum("the node that leads is not known here yet", applied="no"))
        else:
            left = max(call.deadline for call in calls) - now + budgets.FORWARD_GRACE_SECONDS
            self._link.forward(node, bodies, left, done)

    def sweep(self, now: float) -> None:
        """See `Forwarder.sweep`."""
        for call in self._outgoing.calls():
            if call.deadline <= now:
                call.fail(Timeout(f"{call.method} was not answered by the leader in time", applied="unknown"))

    def stop(self) -> None:
        """See `Forwarder.stop`."""
        self._cancel_timers()
        self._outgoing.stop()

    def abandon(self) -> None:
        """Send, take and answer nothing more."""
        self._ended = True
        self._cancel_timers()

    def _cancel_timers(self) -> None:
        self._retry.cancel()
        self._grace.cancel()

    def _bodies(self, batch: Batch, now: float) -> list[bytes]:
        """The parts of long writes, and behind them the batch itself."""
        bodies: list[bytes] = []
        writes = []
        for call in batch.calls:
            write = Write(call.method, call.deadline - now, call.size)
            parts = self._proposals.parts_of(call)
            if parts is None:
                write.command = encode_json(call.params)
            else:
                write.stage, write.parts = secrets.token_hex(8), len(parts)
                bodies += [encode(Part(write.stage, number, text)) for number, (text, _) in enumerate(parts)]
            writes.append(write)
        epoch = self._state.epochs.current or ""
        return [*bodies, encode(Writes(self._run, batch.stream, batch.number, batch.term, writes, epoch))]

    def _done(self, batch: Batch, body: bytes, error: RequestError | None) -> None:
        reply = _read(body) if error is None else None
        if isinstance(reply, Outcomes | NotLeading):
            self._outgoing.answered(batch, reply)
        else:
            self._outgoing.failed(batch, left=error is None or error.data.get("applied") != "no")
        if self._outgoing.paused:
            self._retry.set(budgets.FORWARD_RETRY_SECONDS, self._try_again)
        self._look()

    def _try_again(self) -> None:
        self._outgoing.resume()
        self._proposals.flush()

    def _look(self) -> None:
        """Go on with what the last event allows."""
        if not self._outgoing.is_overdue:
            self._grace.cancel()
            self._grace_runs = False
        elif not self._grace_runs:
            self._grace_runs = True
            self._grace.set(budgets.FORWARD_GRACE_SECONDS, self._give_up)
        if self._outgoing.idle or self.accepts():
            self._proposals.flush_later()
        self._host.forwards_settled()

    def _give_up(self) -> None:
        self._grace_runs = False
        self._outgoing.give_up()
        self._look()

    # -- reads ---------------------------------------------------------------------------------------------

    def read_barrier(self, done: BarrierDone, deadline: float, lease: bool = False) -> None:
        """The same as `Engine.read_barrier`, but asks the leader where that is another node."""
        leader = self._leader
        node = None if leader is None else self._host.peer(leader)
        if leader is None:
            self._engine.read_barrier(done, deadline, lease)
        elif node is None:
            done(-1, NoQuorum("the node that leads is not known here yet"))
        else:
            left = deadline - time.monotonic()
            self._link.forward(
                node, [encode(ReadIndex(lease))], left, lambda _, body, error: done(*_index(body, error))
            )

    # -- uploads -------------------------------------------------------------------------------------------

    def ask_upload(self, node: int, question: UploadText, done: Callable[[UploadPiece | None], None]) -> None:
        """Ask another node for an upload; `done` hears its answer, None where it gives none."""

        def hear(_place: int, body: bytes, error: RequestError | None) -> None:
            reply = _read(body) if error is None else None
            done(reply if isinstance(reply, UploadPiece) else None)

        self._link.forward(node, [encode(question)], budgets.UPLOAD_ANSWER_SECONDS, hear)

    # -- leadership ----------------------------------------------------------------------------------------

    def transfer(self, to: int, deadline: float, done: ChangeDone) -> None:
        """Have a voter (Raft NodeId) lead, by asking the leader where that is another node."""
        leader = self._leader
        node = None if leader is None else self._host.peer(leader)
        if leader is None:
            self._host.transfer(to, done)
        elif node is None:
            done(NoQuorum("the node that leads is not known here yet", elsewhere=True))
        else:
            left = deadline - time.monotonic()
            self._link.forward(
                node, [encode(TransferLeadership(to))], left, lambda _, body, error: done(_transfer_error(body, error))
            )

    # -- what other nodes send -----------------------------------------------------------------------------

    def take(self, batch: Sequence[Forwarded]) -> None:
        """Take what came over the link, in its order; each is answered later."""
        for asked in batch:
            if not (asked.cancelled or self._ended):
                self._take(asked)

    def _take(self, asked: Forwarded) -> None:
        self._router.last_call = time.monotonic()
        try:
            request = decode_request(asked.call.body)
        except ValueError as exc:
            asked.fail(InvalidRequest(f"another version sent what this node cannot read: {exc}", applied="no"))
            return
        if isinstance(request, Writes):
            self._incoming.take(asked, request)
        elif isinstance(request, Part):
            self._incoming.take_part(asked, request)
        elif isinstance(request, UploadText):
            self.take_upload(request, lambda piece: asked.answer(encode(piece)))
        elif not self._incoming.leads:
            asked.answer(self._incoming.not_leading())
        elif isinstance(request, TransferLeadership):
            self._host.transfer(request.to, lambda error: _answer(asked, Transferred(), error))
        else:
            deadline = time.monotonic() + asked.call.left
            lease = request.lease
            self._engine.read_barrier(lambda index, error: _answer(asked, Index(index), error), deadline, lease)


def _answer(asked: Forwarded, reply: Reply, error: RequestError | None) -> None:
    if error is None:
        asked.answer(encode(reply))
    else:
        asked.fail(error)


def _index(body: bytes, error: RequestError | None) -> tuple[int, RequestError | None]:
    """What a barrier is told by the answer of the leader."""
    reply = _read(body) if error is None else None
    if isinstance(reply, Index):
        return reply.index, None
    return -1, NoQuorum("the leader could not be asked for the read index" if error is None else error.message)


def _transfer_error(body: bytes, error: RequestError | None) -> RequestError | None:
    """What the leader's answer says against a transfer, None if the other node leads."""
    if error is not None:
        return error
    reply = _read(body)
    if isinstance(reply, Transferred):
        return None
    leader = reply.leader if isinstance(reply, NotLeading) else None
    return NoQuorum("the node that led does not lead any more", leader=leader, elsewhere=True)


def _read(body: bytes) -> Reply | None:
    try:
        return decode_reply(body)
    except ValueError:
        return None
