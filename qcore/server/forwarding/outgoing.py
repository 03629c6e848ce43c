"""Writes of this node's clients that are at the node that leads, sans-I/O: what was sent where, what became of it.

Each call is answered once or taken back. One without a number is sent again only if it is known that it was appended
nowhere. Batches go in streams: when anything comes back, or the leader changes, nothing further is sent until all that
is out has been heard of, so that the writes of a client keep their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from qcore.model.errors import RequestError, Timeout, error_from_wire
from qcore.model.wire import decode_json
from qcore.server.calls import Call
from qcore.server.forwarding.messages import NotLeading, Outcome, Outcomes
from qcore.server.runtime import budgets

__all__ = ["Batch", "Outgoing"]


class Batch:
    """Calls on their way to `leader` in a term; `stream` and `number` are its place among all batches."""

    __slots__ = ("calls", "leader", "number", "stream", "term")

    def __init__(self, calls: list[Call], leader: int, term: int, stream: int, number: int) -> None:
        self.calls = calls
        self.leader = leader
        self.term = term
        self.stream = stream
        self.number = number


class Outgoing:
    """The batches of `node` that are out. `take_back` gets the calls that are to wait again, in their order."""

    def __init__(self, node: int, take_back: Callable[[list[Call]], None]) -> None:
        self._node = node
        self._take_back = take_back
        self._leader: int | None = None
        """The other node that leads."""
        self._leads = False
        self._term = 0
        self._out: dict[Batch, None] = {}
        self._stream = 0
        self._number = 0
        self._ending = False
        """Whether what is out belongs to a stream that has ended."""
        self._paused = False

    @property
    def idle(self) -> bool:
        """Whether nothing is out."""
        return not self._out

    @property
    def paused(self) -> bool:
        """Whether the leader could not be reached or does not lead, and `resume` was not called since."""
        return self._paused

    @property
    def is_overdue(self) -> bool:
        """Whether batches are out at a node that does not lead any more, which hold up others."""
        return (self._leader is not None or self._leads) and any(map(self._is_stale, self._out))

    # -- who leads -----------------------------------------------------------------------------------------

    def lead(self, term: int) -> None:
        """This node leads: nothing is sent any more."""
        self._turn_to(None, term)
        self._leads = True

    def follow(self, leader: int | None, term: int) -> None:
        """Another node leads in a term, or nobody is known to."""
        if term >= self._term and (self._leads or (leader, term) != (self._leader, self._term)):
            self._turn_to(leader, term)
            self._leads = False

    def _turn_to(self, leader: int | None, term: int) -> None:
        self._leader, self._term = leader, max(term, self._term)
        self._end_stream()

    # -- out and back --------------------------------------------------------------------------------------

    def accepts(self) -> bool:
        """Whether a batch may be sent now."""
        return (
            self._leader is not None
            and not (self._ending or self._paused)
            and len(self._out) < budgets.FORWARDED_BATCHES
        )

    def begin(self, calls: list[Call]) -> Batch:
        """Send calls; `answered` or `failed` follows. Only where it `accepts`."""
        assert self._leader is not None
        batch = Batch(calls, self._leader, self._term, self._stream, self._number)
        self._number += 1
        self._out[batch] = None
        return batch

    def answered(self, batch: Batch, reply: Outcomes | NotLeading) -> None:
        """The leader says what became of a batch."""
        outcomes = reply.outcomes if isinstance(reply, Outcomes) else [Outcome()] * len(batch.calls)
        if batch not in self._out:
            self._hear_late(batch, outcomes)
            return
        back = [call for call, outcome in zip(batch.calls, outcomes, strict=False) if not _settle(call, outcome)]
        back += [call for call in batch.calls[len(outcomes) :] if not _lose(call)]
        over = isinstance(reply, NotLeading) or reply.over
        if over and reply.term <= self._term:
            self._paused = True  # it may lead again in the same term, or this node is about to hear of another one
        self._ended(batch, back, ends_stream=over)
        if over and reply.term > self._term:
            self.follow(None if reply.leader == self._node else reply.leader, reply.term)

    def failed(self, batch: Batch, *, left: bool) -> None:
        """There is no answer to a batch, which has `left` this node or has not; wait for `resume`."""
        if batch in self._out:
            self._paused = True
            back = [call for call in batch.calls if not call.done and not (left and _lose(call))]
            self._ended(batch, back, ends_stream=True)

    def resume(self) -> None:
        """Try again to reach the leader."""
        self._paused = False

    def give_up(self) -> None:
        """Wait no longer for what is out at nodes that do not lead any more."""
        self._lose_all([batch for batch in self._out if self._is_stale(batch)])

    def stop(self) -> None:
        """Nobody will hear what becomes of what is out."""
        for call in self.calls():
            call.fail(Timeout("the node is stopping, and the leader has not answered", applied="unknown"))
        self._out.clear()

    def calls(self) -> Iterable[Call]:
        """All calls that are out."""
        return itertools.chain.from_iterable(batch.calls for batch in tuple(self._out))

    def _is_stale(self, batch: Batch) -> bool:
        return (batch.leader, batch.term) != (self._leader, self._term)

    def _lose_all(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._ended(batch, [call for call in batch.calls if not _lose(call)], ends_stream=True)

    def _ended(self, batch: Batch, back: list[Call], *, ends_stream: bool) -> None:
        del self._out[batch]
        if batch.stream == self._stream and (back or ends_stream):
            self._end_stream()
        if not self._out:
            self._ending = False
        if back:
            self._take_back(back)

    def _end_stream(self) -> None:
        self._stream, self._number = self._stream + 1, 0
        self._ending = bool(self._out)

    def _hear_late(self, batch: Batch, outcomes: list[Outcome]) -> None:
        """Hear what became of a batch that was given up: a result is one, whoever has asked again since."""
        for call, outcome in zip(batch.calls, outcomes, strict=False):
            if outcome.result is not None:
                call.answer(outcome.result)


def _settle(call: Call, outcome: Outcome) -> bool:
    """Answer a call as the leader says; False if it is to wait again."""
    if outcome.result is not None:
        call.answer(outcome.result)
    elif outcome.error is not None and (call.numbered or call.uncertain):
        error = error_from_wire(decode_json(outcome.error))
        if error.data.get("applied") == "unknown" and error.kind != "session_expired":
            return _lose(call, error)
        call.fail(error)
    elif outcome.error is not None:
        call.fail_raw(outcome.error)
    return call.done


def _lose(call: Call, error: RequestError | None = None) -> bool:
    """Nobody knows what became of a call: answer it with that; False if it has a number and is to be sent again."""
    if call.done or not call.numbered:
        call.fail(error or Timeout("the connection to the leader was lost, or it leads no more", applied="unknown"))
        return True
    call.uncertain = True
    return False
