"""Writes on their way into the log: those that wait become the next entry together (group commit), and are proposed.

While the engine accepts no proposal, whatever arrives waits. What was proposed comes back from the engine: committed,
returned because it was never appended, or rejected because nobody can know; what a committed command did is decided
where entries are applied. Writes of clients flow only while this node leads and the leadership is set up; its own
commands go first, each as an entry of its own. While another node leads, what waits goes there by the `Forwarder`.

Numbered writes of which nobody knows are under way again until their deadline: carried out twice they do no more than
once. All others are answered, once they may have been appended anywhere.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from qcore.engine.base import Engine, Proposal
from qcore.model.entry import EntryBody
from qcore.model.errors import Busy, NoQuorum, RequestError, Timeout
from qcore.model.leader_commands import RunStaged, StagePart
from qcore.model.requests.commands import Command
from qcore.server.calls import Call, Sink
from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets
from qcore.server.runtime.timers import Periodic
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.server.writes.forwarded_call import ForwardedCall
from qcore.server.writes.sealing import cut, refuse_oversize, seal, set_limits
from qcore.store.state.state import State

__all__ = ["Forwarder", "Group", "Proposals"]


class Forwarder(Protocol):
    """Sends writes to the node that leads. Each is answered in the end, or comes back by `Proposals.take_back`."""

    @property
    def idle(self) -> bool:
        """Whether no write is at another node: until then none may be proposed here, lest their order change."""

    def accepts(self) -> bool:
        """Whether `send` may be called now; if not, `Proposals.flush` is called when it may."""

    def send(self, calls: list[Call]) -> None:
        """Send writes, which are no more than a batch holds, in their order."""

    def sweep(self, now: float) -> None:
        """Answer those that are at another node and past their deadline."""

    def stop(self) -> None:
        """Answer all that are at another node: nobody knows what becomes of them."""


class Group:
    """The calls whose commands are one entry: the token of its proposal."""

    __slots__ = ("calls",)

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls


class _Part(Call):
    """A part of the staged write `whole`, of which nobody hears by itself."""

    __slots__ = ("whole",)

    def __init__(self, whole: Call, stage: StagePart, size: int) -> None:
        super().__init__(_NOBODY, None, stage.method, stage, time.monotonic(), 0)
        self.deadline = whole.deadline
        self.size = size
        self.ticket = whole.ticket
        self.whole = whole


class _Own(Call):
    """A command of the leader's own, of a leadership of this node: `leadership` counts them."""

    __slots__ = ("leadership",)

    def __init__(self, command: Command, sink: Sink, leadership: int) -> None:
        super().__init__(sink, b"0", command.method, command, time.monotonic(), 0)
        self.deadline = math.inf  # it ends with the leadership
        self.leadership = leadership


class Proposals:
    """All writes that are not committed yet, and their deadlines. Leaves the engine alone until `lead`."""

    def __init__(self, settings: Settings, state: State, engine: Engine, reserve: DiskReserve) -> None:
        self._settings = settings
        self._state = state
        self._engine = engine
        self._reserve = reserve
        self._max_entry = settings.max_entry_mb * budgets.MEGABYTE
        self.why_no_cluster: Callable[[], str | None] = lambda: None
        """What this node waits for while it belongs to no cluster, None where it belongs to one."""
        self.forwarder: Forwarder | None = None
        """None on a node alone."""
        self._leads = False
        self._held = False
        """Whether this node leads and yet proposes nothing, as it hands leadership over."""
        self._leader: int | None = None
        """The other node that leads."""
        self._leadership = 0
        """Counts when the lead may have been lost: own commands of before are not proposed again."""
        self._own: deque[_Own] = deque()
        self._waiting: deque[Call] = deque()
        self._size = 0
        """Bytes of what waits."""
        self._tickets = 0
        self._parts: dict[Call, list[tuple[str, int]]] = {}
        """The text of each staged write that is neither committed nor answered: it may have to be staged anew."""
        self._unstaged: set[Call] = set()
        """Staged writes of which a part came back, was lost, or was left out as another node leads."""
        self._proposed: dict[Group, None] = {}
        self._flush_due = False
        self._sweeper = Periodic(budgets.DEADLINE_SWEEP_SECONDS, self._sweep)
        self._stopped = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._waiting or self._own or self._proposed) and self._is_home

    @property
    def _is_home(self) -> bool:
        return self.forwarder is None or self.forwarder.idle

    @property
    def waiting(self) -> int:
        """Writes that are not proposed yet."""
        return len(self._waiting) + len(self._own)

    @property
    def waiting_bytes(self) -> int:
        """Their size."""
        return self._size

    # -- writes in -----------------------------------------------------------------------------------------

    def put(self, call: Call) -> None:
        """Take a write.

        It is answered `too_large` where no state could take it, `busy` where too many wait already, and `disk_full`
        where the reserve is touched.
        """
        if isinstance(call, ForwardedCall) and call.go_back():
            return
        command: Command = call.params
        try:
            refuse_oversize(command, call.size, self._settings, self._state.level)
        except RequestError as exc:
            call.fail(exc)
            return
        seal(command)
        set_limits(command, self._settings, self._state.level)
        if call.size > budgets.LONG_COMMAND_BYTES:
            self.put_parts(call, cut(command))
        elif self._may_wait(call):
            self._add(call)

    def put_parts(self, call: Call, parts: list[tuple[str, int]]) -> None:
        """Take a write whose whole command, limits and all, is the JSON in `parts`, of so many bytes each."""
        if isinstance(call, ForwardedCall) and call.go_back():
            return
        call.size = sum(size for _, size in parts)
        if self._may_wait(call):
            call.numbered = call.params.session != 0
            self._tickets += 1
            call.ticket = self._tickets
            self._parts[call] = parts
            for each in self._staged(call):
                self._enqueue(each)
            call.mark_queued()

    def put_own(self, command: Command, sink: Sink | None = None) -> None:
        """Propose a command of the leader's own, as an entry of its own and before what clients wrote."""
        set_limits(command, self._settings, self._state.level)
        self._own.append(_Own(command, sink or _NOBODY, self._leadership))
        self.flush_later()

    def parts_of(self, call: Call) -> list[tuple[str, int]] | None:
        """The JSON of a long write in parts, for who sends it to the leader; None where the command is in the call."""
        return self._parts.get(call)

    def take_back(self, calls: Iterable[Call]) -> None:
        """Take writes again that were never appended anywhere, at the place that they had."""
        for call in calls:
            if isinstance(call, _Part):
                self._stage_anew(call.whole)
            elif not (call.go_back() if isinstance(call, ForwardedCall) else call.done):
                call.proposed = False
                self._size += call.size
                self._waiting.append(call)
        self._waiting = deque(sorted(self._waiting, key=_ticket))
        if self._stopped:
            self.refuse_waiting()
        self.flush_later()

    def _stage_anew(self, whole: Call) -> None:
        """A part of a long write is not in the log, or perhaps not: take all of it again when its turn comes."""
        if not whole.done:
            self._unstaged.add(whole)

    def _may_wait(self, call: Call) -> bool:
        problem: RequestError | None = None
        outside = self.why_no_cluster()
        if outside is not None:
            problem = NoQuorum(f"{call.method}: {outside}", applied="no")
        elif len(self._waiting) >= self._settings.max_pending:
            problem = Busy(f"{len(self._waiting)} writes are waiting already (max_pending)", applied="no")
        elif self._size >= budgets.WAITING_WRITES_BYTES:
            problem = Busy(f"writes of {self._size >> 20} MB are waiting already; try again later", applied="no")
        else:
            problem = self._reserve.problem(call.params, call.size, self._size)
        if problem is not None:
            call.fail(problem)
        return problem is None

    def _add(self, call: Call) -> None:
        call.numbered = call.params.session != 0
        self._tickets += 1
        call.ticket = self._tickets
        self._enqueue(call)
        call.mark_queued()

    def _enqueue(self, call: Call) -> None:
        self._waiting.append(call)
        self._size += call.size
        self.flush_later()

    def flush_later(self) -> None:
        """Have `flush` called in this turn of the loop, once."""
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _staged(self, call: Call) -> list[Call]:
        """The calls that stage a write part by part under a new name, and carry it out."""
        parts, stage = self._parts[call], secrets.token_hex(8)
        staged: list[Call] = [
            _Part(call, StagePart(stage, number, text), size) for number, (text, size) in enumerate(parts)
        ]
        call.params, call.size = RunStaged(stage, len(parts)), 0
        return [*staged, call]

    # -- entries out ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Propose what is waiting, as far as the engine accepts it; where another node leads, send it there."""
        self._flush_due = False
        while self._own and self._may_propose():
            self._propose([self._own.popleft()])
        while self._leads and self._waiting and self._is_home and self._may_propose():
            self._propose(self._gather())
        forwarder = self.forwarder
        while not self._leads and forwarder is not None and self._waiting and forwarder.accepts():
            calls = self._gather_batch()
            if calls:
                forwarder.send(calls)
        if self._has_deadlines():
            self._sweeper.start()

    def _may_propose(self) -> bool:
        return not self._held and self._engine.accepts_proposals()

    def _gather(self) -> list[Call]:
        """Take out as many calls as one entry holds; those that are answered already go."""
        waiting = self._waiting
        calls: list[Call] = []
        size = 0
        while waiting and (not calls or size + waiting[0].size <= self._max_entry):
            call = waiting.popleft()
            self._size -= call.size
            if isinstance(call, _Part) and (call.whole.done or call.whole in self._unstaged):
                continue
            if call in self._unstaged:
                self._unstaged.discard(call)
                if not call.done:
                    anew = self._staged(call)
                    self._size += sum(each.size for each in anew)
                    waiting.extendleft(reversed(anew))
            elif not call.done:
                call.proposed = True
                size += call.size
                calls.append(call)
        return calls

    def _propose(self, calls: list[Call]) -> None:
        if calls:
            group = Group(calls)
            body = EntryBody(self._state.level, time.time_ns(), "commands", [call.params for call in calls])
            self._proposed[group] = None
            self._engine.propose(Proposal(body, group))

    def _gather_batch(self) -> list[Call]:
        """Take out as many calls as a batch to the leader holds; after one that may take long nobody has to wait."""
        calls: list[Call] = []
        size = 0
        while self._waiting and len(calls) < budgets.FORWARDED_CALLS and size < budgets.FORWARDED_BYTES:
            call = self._waiting.popleft()
            self._size -= call.size
            if call.done or isinstance(call, _Part):
                continue
            if call in self._parts:
                self._unstaged.add(call)
                size += sum(part for _, part in self._parts[call])
            call.proposed = True
            size += call.size
            calls.append(call)
        return calls

    # -- what the engine says ------------------------------------------------------------------------------

    def lead(self) -> None:
        """This node leads, and the leadership is set up: writes of clients may flow."""
        self._leads, self._leader = True, None
        self.flush_later()

    def hold(self) -> None:
        """See `WriteGate.hold`."""
        self._held = True

    def release(self) -> None:
        """See `WriteGate.release`."""
        self._held = False
        self.flush_later()

    def follow(self, leader: int | None) -> None:
        """This node does not lead (any more), but perhaps another one does; own commands were of the leadership."""
        self._leads, self._leader, self._held = False, leader, False
        self._leadership += 1
        self._own.clear()
        self._send_back()
        self.flush_later()

    def _send_back(self) -> None:
        """Send back what waits here for a leadership that is over."""
        for call in tuple(self._waiting):
            if isinstance(call, ForwardedCall):
                call.go_back()
        self._forget_answered()

    def committed(self, group: Group) -> list[Call] | None:
        """An entry is in the log: its calls, None if they were told already that nobody knows."""
        if group not in self._proposed:
            return None
        del self._proposed[group]
        if self._parts:
            for call in group.calls:
                self._parts.pop(call, None)
        return group.calls

    def returned(self, group: Group) -> None:
        """An entry was never appended: its writes wait again; a command of the leader's own only if it leads still."""
        if group in self._proposed:
            del self._proposed[group]
            first = group.calls[0]
            if not isinstance(first, _Own):
                self.take_back(group.calls)
            elif first.leadership == self._leadership:
                self._own.appendleft(first)
                self.flush_later()

    def rejected(self, group: Group, error: RequestError) -> None:
        """Nobody can know whether an entry will be committed."""
        if self._proposed.pop(group, _MISSING) is _MISSING:
            return
        again = []
        for call in group.calls:
            if isinstance(call, _Part):
                self._stage_anew(call.whole)
            elif call.numbered and not (call.done or self._stopped or isinstance(call, ForwardedCall)):
                call.uncertain = True
                self._unstaged.update([call] if call in self._parts else [])
                again.append(call)
            else:
                self._parts.pop(call, None)
                call.fail(error)
        if again:
            self.take_back(again)

    # -- deadlines and the end -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Answer what is left: what waits was not written, of what was proposed nobody knows."""
        self._sweeper.stop()
        self._stopped = True
        self.refuse_waiting()
        if self.forwarder is not None:
            self.forwarder.stop()
        for group in list(self._proposed):
            self.rejected(group, Timeout("the node is stopping and this write is not committed", applied="unknown"))

    def refuse_waiting(self) -> None:
        """Answer what waits: the node stops, and it was not written."""
        self._send_back()
        for call in self._waiting:
            call.fail(Busy("the node is stopping", applied="no", elsewhere=True))
        self._waiting.clear()
        self._own.clear()
        self._size = 0

    def _sweep(self) -> bool:
        now = time.monotonic()
        self._drop_expired(now)
        if self.forwarder is not None:
            self.forwarder.sweep(now)
        for group in self._proposed:
            for call in group.calls:
                if call.deadline <= now:
                    call.fail(Timeout(f"{call.method} was not committed before its deadline", applied="unknown"))
        if self._parts or self._unstaged:
            self._parts = {call: parts for call, parts in self._parts.items() if not call.done}
            self._unstaged = {call for call in self._unstaged if not call.done}
        return self._has_deadlines()

    def _has_deadlines(self) -> bool:
        """Whether there is anything to sweep: the text of a long write may wait for the answer of another node."""
        return not self.idle or bool(self._parts or self._unstaged)

    def _drop_expired(self, now: float) -> None:
        """Fail who has waited too long, and forget who is answered: neither counts any more."""
        for call in self._waiting:
            if call.deadline <= now:
                call.fail(self._late(call))
        self._forget_answered()

    def _forget_answered(self) -> None:
        kept = deque(call for call in self._waiting if not call.done)
        if len(kept) < len(self._waiting):
            self._waiting, self._size = kept, sum(call.size for call in kept)

    def _late(self, call: Call) -> RequestError:
        if self._leads:
            return Timeout(f"{call.method} waited longer than its deadline for the log", applied="no")
        why = "there is no leader" if self._leader is None else f"node {self._leader}, which leads, was not reached"
        return NoQuorum(f"{call.method} waited until its deadline, but {why}", applied="no", elsewhere=True)


def _ticket(call: Call) -> int:
    return call.ticket


class _Nobody:
    """Where the answers to the leader's own commands go."""

    def answered(self, call: Call, text: bytes | None) -> None:
        pass


_NOBODY = _Nobody()
_MISSING = object()
