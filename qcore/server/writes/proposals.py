"""Writes on their way into the log: sealed, cut into parts where they are long, gathered into entries, proposed.

While the engine has no room, whatever arrives waits and becomes the next entry together (group commit). What is
proposed comes back from the engine in order; what became of it is decided where entries are applied.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from qcore.engine.base import Engine, Proposal
from qcore.model.entry import EntryBody
from qcore.model.errors import Busy, RequestError, Timeout
from qcore.model.leader_commands import RunStaged, StagePart
from qcore.model.requests.commands import DEFAULT_MAX_DEPTH, DEFAULT_MAX_LIST, Command
from qcore.model.requests.compound import COMPOUND
from qcore.model.wire import cut_text, encode_json, text_size
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.store.state.state import State

__all__ = ["LONG", "Proposals", "cut", "seal"]

_MEGABYTE = 1 << 20

LONG = _MEGABYTE
"""Bytes above which a command travels in parts."""

_PART = 512 << 10
"""Bytes of one part."""

_MOST_WAITING = 256 << 20
"""Bytes of writes that may wait when another one comes."""

_SWEEP = 0.25
"""Seconds between two looks for writes whose deadline has passed."""


class Proposals:
    """All writes that are not committed yet, and their deadlines."""

    def __init__(self, settings: Settings, state: State, engine: Engine, reserve: DiskReserve) -> None:
        self._settings = settings
        self._state = state
        self._engine = engine
        self._reserve = reserve
        self._max_entry = settings.max_entry_mb * _MEGABYTE
        self._waiting: deque[Call] = deque()
        self._size = 0
        """Bytes of what waits."""
        self._proposed: deque[list[Call]] = deque()
        self._flush_due = False
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self._waiting or self._proposed)

    def put(self, call: Call) -> None:
        """Take a write; it is answered `busy` where too many wait already, `disk_full` where the reserve is touched."""
        command: Command = call.params
        seal(command)
        for each in _with_steps(command):
            each.max_depth = self._settings.max_depth
            each.max_list = self._settings.max_list
        if call.size > LONG:
            self.put_parts(call, cut(command))
        elif self._has_room(call):
            self._add(call)

    def put_parts(self, call: Call, parts: list[tuple[str, int]]) -> None:
        """Take a write whose whole command, limits and all, is the JSON in `parts`, of so many bytes each."""
        call.size = sum(size for _, size in parts)
        if not self._has_room(call):
            return
        stage = secrets.token_hex(8)
        for number, (text, size) in enumerate(parts):
            self.put_own(StagePart(stage, number, text), call.deadline, size)
        call.params, call.size = RunStaged(stage, len(parts)), 0
        self._add(call)

    def put_own(self, command: Command, deadline: float, size: int = 0) -> None:
        """Propose a command of the leader's own, whose outcome nobody waits for."""
        call = Call(_NOBODY, None, command.method, command, time.monotonic(), 0)
        call.deadline = deadline
        call.size = size
        self._add(call)

    def _has_room(self, call: Call) -> bool:
        if len(self._waiting) >= self._settings.max_pending:
            call.fail(Busy(f"{len(self._waiting)} writes are waiting already (max_pending)", applied="no"))
            return False
        if self._size >= _MOST_WAITING:
            call.fail(Busy(f"writes of {self._size >> 20} MB are waiting already; try again later", applied="no"))
            return False
        problem = self._reserve.problem(call.params, call.size, self._size)
        if problem is not None:
            call.fail(problem)
            return False
        return True

    def _add(self, call: Call) -> None:
        self._waiting.append(call)
        self._size += call.size
        call.mark_queued()
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Propose what is waiting, as far as the engine has room."""
        self._flush_due = False
        while self._waiting and self._engine.has_room():
            self._propose(self._gather())
        if not self.idle and self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _gather(self) -> list[Call]:
        waiting = self._waiting
        calls: list[Call] = []
        size = 0
        while waiting and (not calls or size + waiting[0].size <= self._max_entry):
            call = waiting.popleft()
            self._size -= call.size
            if not call.done:
                call.proposed = True
                size += call.size
                calls.append(call)
        return calls

    def _propose(self, calls: list[Call]) -> None:
        if calls:
            body = EntryBody(self._state.level, time.time_ns(), "commands", [call.params for call in calls])
            self._proposed.append(calls)
            self._engine.propose(Proposal(body, calls))

    def committed(self) -> None:
        """The oldest entry proposed is in the log."""
        self._proposed.popleft()

    def rejected(self, token: Any, error: RequestError) -> None:
        """An entry will not happen, or nobody can know."""
        self._proposed.remove(token)
        for call in token:
            call.fail(error)

    def stop(self) -> None:
        """Look for deadlines no more."""
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        self._sweeper = None
        now = time.monotonic()
        for call in self._waiting:
            if call.deadline <= now:
                call.fail(Timeout(f"{call.method} waited longer than its deadline for the log", applied="no"))
        for calls in self._proposed:
            for call in calls:
                if call.deadline <= now:
                    call.fail(Timeout(f"{call.method} was not committed before its deadline", applied="unknown"))
        if not self.idle:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)


def seal(command: Command) -> None:
    """Clear what only the leader decides, and give a numbered command the hash that a retry must repeat."""
    for each in _with_steps(command):
        each.timeout = None
        each.hash = ""
        each.max_depth = DEFAULT_MAX_DEPTH
        each.max_list = DEFAULT_MAX_LIST
    if command.session:
        session, seq, acked = command.session, command.seq, command.acked
        command.session = command.seq = command.acked = 0
        command.hash = blake2b(encode_json(command), digest_size=8).hexdigest()
        command.session, command.seq, command.acked = session, seq, acked


def _with_steps(command: Command) -> Sequence[Command]:
    """The command, and the writes that it holds as a pipeline or transaction."""
    if isinstance(command, COMPOUND):
        return command, *(step for step in command.commands if isinstance(step, Command))
    return (command,)


def cut(command: Command) -> list[tuple[str, int]]:
    """The JSON of a sealed command in parts, and how many bytes each has."""
    return [(text, text_size(text)) for text in cut_text(encode_json(command), _PART)]


class _Nobody:
    """Where the answers to the leader's own commands go."""

    def answered(self, call: Call, text: bytes | None) -> None:
        pass


_NOBODY = _Nobody()
