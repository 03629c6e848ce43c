"""Writes that other nodes send to this one because it leads: they are carried out as those of its own clients.

A batch is for the leader of one term. One that comes before this node has heard that it leads in it is held. When a
leadership ends, what was not appended goes back to its sender and never into a later one of this node, and with it all
that still comes of the same stream. A node that found no quorum for a moment may lead again in the same term.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from qcore.model.entry import Logged
from qcore.model.errors import Busy, Internal
from qcore.model.leader_commands import RunStaged
from qcore.server.forwarding.link import Forwarded
from qcore.server.forwarding.messages import NotLeading, Outcome, Outcomes, Part, Write, Writes, encode
from qcore.server.forwarding.parts import Parts
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.server.writes.forwarded_call import ForwardedCall

__all__ = ["Incoming"]

PutParts = Callable[[ForwardedCall, list[tuple[str, int]]], None]

_decode_command = msgspec.json.Decoder(Logged).decode


class _Line:
    """The writes of one node in their order: each waits until the one before it has its place in the log's order."""

    def __init__(self) -> None:
        self.run = ""
        self.stream = 0
        self.next = 0
        self.parts = Parts(budgets.FORWARDED_PARTS_BYTES)
        self.queue: deque[ForwardedCall] = deque()
        self.writes: dict[ForwardedCall, Write] = {}
        """Those in the queue, as they came."""
        self.preparing: ForwardedCall | None = None
        """A write that was submitted and is not queued yet, as its filters are being parsed."""

    def follows(self, batch: Writes) -> bool:
        """Whether a batch is the next one of its stream, and no stream after that has begun."""
        if batch.run != self.run or batch.stream > self.stream:
            self.run, self.stream, self.next = batch.run, batch.stream, 0
        if batch.stream < self.stream or batch.number != self.next:
            return False
        self.next += 1
        return True

    def end_stream(self) -> None:
        """Something of the stream goes back: all behind it does, too."""
        self.next = -1


class _Batch:
    """A batch that came, and the outcomes of its writes so far; see `Sender`."""

    def __init__(self, incoming: Incoming, asked: Forwarded, writes: Writes, line: _Line) -> None:
        self.asked = asked
        self.writes = writes
        self.line = line
        self.deadline = time.monotonic() + asked.call.left
        self._incoming = incoming
        self.leadership = -1
        """In which of this node's leaderships it was taken."""
        self._outcomes = [Outcome() for _ in writes.writes]
        self._open = len(writes.writes)

    def outcome(self, call: ForwardedCall, result: bytes | None, error: bytes | None) -> None:
        """See `Sender.outcome`."""
        self._outcomes[call.place] = Outcome(result, error)
        self._open -= 1
        if self._open == 0:
            back = any(each.result is None and each.error is None for each in self._outcomes)
            self._incoming.reply(self, self._outcomes, over=back and self.over())
        self._incoming.go_on(self.line, call)

    def over(self) -> bool:
        """See `Sender.over`."""
        return self._incoming.judge(self.writes.term) != "leads" or self.leadership != self._incoming.leadership


class Incoming:
    """The writes of all other nodes. `node` is this one's public id.

    `put` and `put_parts` take a write as one of this node's clients; `knows` tells whether an epoch is of this history.
    """

    def __init__(
        self,
        node: int,
        put: Callable[[ForwardedCall], None],
        put_parts: PutParts,
        knows: Callable[[str], bool],
    ) -> None:
        self._node = node
        self._put = put
        self._put_parts = put_parts
        self._knows = knows
        self._leader: int | None = None
        self._term = 0
        """The newest term that was heard of."""
        self.leadership = 0
        """Counts this node's leaderships."""
        self._leads = False
        self._stopping = False
        self._lines: dict[int, _Line] = {}
        self._held: list[_Batch] = []
        self._sweeper = Periodic(budgets.DEADLINE_SWEEP_SECONDS, self._sweep)

    # -- who leads -----------------------------------------------------------------------------------------

    def lead(self, term: int) -> None:
        """This node leads in a term."""
        self._end_leadership()
        self._leads, self._leader, self._term = True, self._node, term
        self.leadership += 1
        self._judge_held()

    def follow(self, leader: int | None, term: int) -> None:
        """This node does not lead (any more)."""
        self._end_leadership()
        self._leader, self._term = leader, max(term, self._term)
        self._judge_held()

    def stop(self) -> None:
        """Take nothing more: what comes, and what comes back from the engine, is the next leader's."""
        self._stopping = True
        self._sweeper.stop()
        self._judge_held()

    def _end_leadership(self) -> None:
        if self._leads:
            self._leads = False
            for line in self._lines.values():
                line.end_stream()

    def judge(self, term: int) -> Literal["leads", "ahead", "over"]:
        """Whether this node leads in a term, may hear that it does, or never will."""
        if self._stopping or term < self._term:
            return "over"
        if term > self._term:
            return "ahead"
        if self._leads:
            return "leads"
        return "ahead" if self._leader in (None, self._node) else "over"

    @property
    def leads(self) -> bool:
        """Whether this node leads and goes on to."""
        return self._leads and not self._stopping

    def not_leading(self) -> bytes:
        """The reply of a node that does not lead."""
        return encode(NotLeading(None if self._stopping else self._leader, self._term))

    # -- what comes ----------------------------------------------------------------------------------------

    def take_part(self, asked: Forwarded, part: Part) -> None:
        """Take a part of a long write."""
        line = self._line(asked.node)
        if line.parts.add(part.stage, part.number, part.text, time.monotonic() + asked.call.left):
            asked.answer(b"")
        else:
            asked.fail(Busy("too many long writes of this node are under way", applied="no"))
        self._sweeper.start()

    def take(self, asked: Forwarded, writes: Writes) -> None:
        """Take a batch."""
        line = self._line(asked.node)
        batch = _Batch(self, asked, writes, line)
        follows, state = line.follows(writes), self.judge(writes.term)
        if not follows and state != "over":
            self.reply(batch, [Outcome() for _ in writes.writes], over=False)
        elif state == "ahead":
            self._held.append(batch)
            self._sweeper.start()
        else:
            self._begin(batch)

    def _line(self, node: int) -> _Line:
        return self._lines.setdefault(node, _Line())

    def _judge_held(self) -> None:
        held, self._held = self._held, []
        for batch in held:
            if self.judge(batch.writes.term) == "ahead":
                self._held.append(batch)
            else:
                self._begin(batch)

    def _begin(self, batch: _Batch) -> None:
        foreign = bool(batch.writes.epoch) and self._leads and not self._knows(batch.writes.epoch)
        batch.leadership = self.leadership
        if batch.over() or foreign or not batch.writes.writes:
            batch.asked.answer(self.not_leading())
            return
        line, now = batch.line, time.monotonic()
        for place, write in enumerate(batch.writes.writes):
            call = ForwardedCall(batch, write.method, None, now, now + write.left, place)
            line.writes[call] = write
            line.queue.append(call)
        self._pump(line)

    def _pump(self, line: _Line) -> None:
        while line.queue and line.preparing is None:
            call = line.queue.popleft()
            line.preparing = call
            self._submit(line, call, line.writes.pop(call))
            if call.queued or call.done:
                line.preparing = None
            else:
                call.on_queued = functools.partial(self.go_on, line, call)

    def _submit(self, line: _Line, call: ForwardedCall, write: Write) -> None:
        call.size = write.size
        if write.stage:
            parts = line.parts.take(write.stage, write.parts)
            if parts is None:
                call.fail(Busy("the parts of this write did not arrive at the leader", applied="no"))
            else:
                call.params = RunStaged(write.stage, write.parts)
                self._put_parts(call, parts)
            return
        try:
            call.params = _decode_command(write.command)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            call.fail(Internal(f"the leader cannot read this {write.method}: {exc}", applied="no"))
        else:
            self._put(call)

    def go_on(self, line: _Line, call: ForwardedCall) -> None:
        """A write has its place, or will have none."""
        if line.preparing is call and call.on_queued is not None:
            line.preparing = None
            self._pump(line)

    # -- what goes back ------------------------------------------------------------------------------------

    def reply(self, batch: _Batch, outcomes: list[Outcome], *, over: bool) -> None:
        """Answer a batch."""
        if over:
            leader = None if self._stopping else self._leader
            batch.asked.answer(encode(Outcomes(outcomes, True, leader, self._term)))
        else:
            batch.asked.answer(encode(Outcomes(outcomes)))

    def _sweep(self) -> bool:
        """Forget what nobody waits for any more."""
        now = time.monotonic()
        late = [batch for batch in self._held if batch.deadline <= now or batch.asked.cancelled]
        self._held = [batch for batch in self._held if batch not in late]
        for batch in late:
            self.reply(batch, [Outcome() for _ in batch.writes.writes], over=False)
        for line in self._lines.values():
            line.parts.sweep(now)
        return bool(self._held) or any(len(line.parts) for line in self._lines.values())
