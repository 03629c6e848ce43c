"""The node: wires the rooms. Calls come in from sessions, writes go to the engine, entries come back to the store.

Writes that arrive while an entry is on its way are gathered into the next one (group commit). Results are made
in apply and nowhere else. Entries are applied in slices. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from hashlib import blake2b
from types import GeneratorType
from typing import Any

from qcore.disk.directory import Directory
from qcore.engine.base import Engine, Proposal
from qcore.model.commands import DEFAULT_MAX_DEPTH, DEFAULT_MAX_LIST, Bootstrap, Command
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody
from qcore.model.errors import BadFilter, Busy, Fatal, Internal, RequestError, Timeout, error_from_wire
from qcore.model.queries import Query
from qcore.model.wire import decode_json, encode_json
from qcore.server import logs
from qcore.server.calls import Call
from qcore.server.reads import Reads
from qcore.server.settings import Settings
from qcore.server.slices import SLICE, Slices
from qcore.server.slow import SlowLog
from qcore.store.apply import Outcome, apply_entry
from qcore.store.state import State

__all__ = ["Node"]

_SWEEP = 0.25
"""Seconds between two looks for calls whose deadline has passed."""

_MEGABYTE = 1 << 20

log = logs.get("qcore.node")


class _Applying:
    """An entry in the middle of being applied."""

    __slots__ = ("begun", "calls", "entry", "outcomes", "place")

    def __init__(self, state: State, entry: Entry, calls: list[Call] | None, reads: Reads) -> None:
        self.entry = entry
        self.calls = calls
        self.outcomes: Iterator[Outcome] = apply_entry(state, entry, reads.run_whole if calls is not None else None)
        self.place = 0
        self.begun = 0.0


class Node:
    """One running node at `addr`. `on_fatal` hears why the daemon must end."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        addr: str,
        on_fatal: Callable[[Fatal], None],
    ) -> None:
        self.settings = settings
        self.state = state
        self.engine = engine
        self.slices = Slices()
        self.stopping = False
        self.last_call = time.monotonic()
        self._idle: asyncio.Event
        self._on_fatal = on_fatal
        self._reads = Reads(settings, state, engine, directory, addr)
        self._waiting: deque[Call] = deque()
        self._proposed: deque[list[Call]] = deque()
        self._applying: deque[_Applying] = deque()
        self._slicing = False
        self._flush_due = False
        self._behind: list[Call] = []
        """Reads that wait for a revision this node has not applied yet."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._max_entry = int(settings.max_entry_mb * _MEGABYTE)
        self._slow_request = settings.slow_request_ms / 1000
        self._slow_apply = settings.slow_apply_ms / 1000
        self._slow_log = SlowLog()

    # -- start and stop ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Apply what is on disk, then take calls; blocking.

        Raises:
            Fatal: the log cannot be used or applied.
        """
        self.engine.start(self, self._replay)

    def _replay(self, entry: Entry) -> None:
        for _ in apply_entry(self.state, entry):
            pass

    async def stop(self) -> None:
        """Refuse new calls, finish the open ones, stop the engine."""
        self.stopping = True
        self._idle = asyncio.Event()
        for call in self._behind:
            call.fail(Busy("the node is stopping"))
        self._behind.clear()
        self._check_idle()
        await self._idle.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.engine.stop()

    def not_ready(self) -> str | None:
        """Why the node should not get requests now, None when it should."""
        if self.stopping:
            return "the node is stopping"
        return None if self.engine.status().leader is not None else "there is no leader"

    async def bootstrap(self, command: Bootstrap) -> bool:
        """Propose the schema file; False where the state holds the mark of an earlier one.

        Raises:
            RequestError: the file does not fit this store.
        """
        sink = _Awaited()
        call = Call(sink, b"0", "bootstrap", command, time.monotonic(), 0)
        call.deadline = call.begun + 3600
        call.writes = True
        self.submit(call)
        answer = decode_json(await sink.text)
        if "error" in answer:
            raise error_from_wire(answer["error"])
        return bool(answer["result"]["applied"])

    # -- calls ---------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Carry out a call; see `Service.submit`."""
        self.last_call = call.begun
        if self.stopping:
            call.fail(Busy("the node is stopping", applied="no"))
        elif self._reads.filters.prepare(call.params, lambda error: self._prepared(call, error)):
            pass
        else:
            self._carry_out(call)

    def _prepared(self, call: Call, error: RequestError | None) -> None:
        """The filters of a call are parsed, or cannot be."""
        if self.stopping:
            error = Busy("the node is stopping", applied="no")
        if error is not None and not (call.writes and isinstance(error, BadFilter)):
            call.fail(error)
        elif not call.done:
            self._carry_out(call)

    def _carry_out(self, call: Call) -> None:
        if call.writes:
            self._write(call)
        elif getattr(call.params, "consistency", "local") == "local":
            self._read(call)
        else:
            self.engine.read_barrier(lambda index: self._read_from(index, call))

    def _read_from(self, index: int, call: Call) -> None:
        """Read once the log is applied up to `index`, which makes the read linearizable."""
        if index > self.state.applied:
            self._behind.append(call)
            self._sweep_later()
        else:
            self._read(call)

    def later(self, step: Callable[[], bool]) -> None:
        """See `Service.later`."""
        self.slices.add(step)

    def _read(self, call: Call) -> None:
        query: Query = call.params
        if getattr(query, "min_revision", 0) > self.state.revision:
            if len(self._behind) >= self.settings.max_pending:
                call.fail(Busy(f"{len(self._behind)} reads are waiting for a revision already (max_pending)"))
                return
            self._behind.append(call)
            self._sweep_later()
            return
        try:
            result = self._reads.run(call)
        except RequestError as exc:
            call.fail(exc)
            return
        except Exception as exc:
            _read_failed(call, exc)
            return
        if type(result) is GeneratorType:
            self.slices.add(_LongRead(call, result).step)
        else:
            call.result(result)

    # -- writes --------------------------------------------------------------------------------------------

    def _write(self, call: Call) -> None:
        if len(self._waiting) >= self.settings.max_pending:
            call.fail(Busy(f"{len(self._waiting)} writes are waiting already (max_pending)", applied="no"))
            return
        command: Command = call.params
        _seal(command)
        command.max_depth = self.settings.max_depth
        command.max_list = self.settings.max_list
        self._waiting.append(call)
        self._flush_later()

    def _flush_later(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Propose what is waiting, as far as the engine has room."""
        self._flush_due = False
        while self._waiting and self.engine.has_room():
            self._propose(self._gather())
        if self._waiting or self._proposed:
            self._sweep_later()

    def _gather(self) -> list[Call]:
        waiting = self._waiting
        calls: list[Call] = []
        size = 0
        while waiting and (not calls or size + waiting[0].size <= self._max_entry):
            call = waiting.popleft()
            if not call.done:
                call.proposed = True
                size += call.size
                calls.append(call)
        return calls

    def _propose(self, calls: list[Call]) -> None:
        if calls:
            body = EntryBody(FEATURE_LEVEL, time.time_ns(), "commands", [call.params for call in calls])
            self._proposed.append(calls)
            self.engine.propose(Proposal(body, calls))

    # -- what the engine says ------------------------------------------------------------------------------

    def committed(self, entry: Entry, token: Any) -> None:
        """See `Host.committed`."""
        if token is not None:
            self._proposed.popleft()
        self._applying.append(_Applying(self.state, entry, token, self._reads))
        if not self._slicing:
            self._slicing = self._apply_some()
            if self._slicing:
                self.slices.add(self._apply_slice)

    def rejected(self, token: Any, error: RequestError) -> None:
        """See `Host.rejected`."""
        self._proposed.remove(token)
        for call in token:
            call.fail(error)

    def room(self) -> None:
        """See `Host.room`."""
        if self._waiting:
            self._flush()

    def failed(self, error: Fatal) -> None:
        """See `Host.failed`."""
        self._on_fatal(error)

    # -- apply ---------------------------------------------------------------------------------------------

    def _apply_slice(self) -> bool:
        self._slicing = self._apply_some()
        return self._slicing

    def _apply_some(self) -> bool:
        """Apply commands for one slice; True while there are more."""
        end = time.monotonic() + SLICE
        try:
            while self._applying:
                if not self._apply_until(self._applying[0], end):
                    return True
                self._applying.popleft()
        except Exception as exc:
            log.critical("apply_failed", message="A command failed in a way no command may", exc_info=exc)
            self._applying.clear()
            self._on_fatal(Fatal(f"applying the log failed: {exc!r}; nothing was acknowledged that is not on disk"))
        if self._behind:
            self._release()
        if self.stopping:
            self._check_idle()
        return False

    def _check_idle(self) -> None:
        if not (self._waiting or self._proposed or self._applying):
            self._idle.set()

    def _apply_until(self, applying: _Applying, end: float) -> bool:
        """Apply an entry's commands until `end`; True when it is through."""
        calls = applying.calls
        begun = time.monotonic()
        for outcome in applying.outcomes:
            now = time.monotonic()
            if calls is not None:
                call = calls[applying.place]
                applying.place += 1
                if now - begun > self._slow_apply:
                    self._slow_log.tell("slow_apply", "Applying a command took long", call.method, now - begun)
                if now - call.begun > self._slow_request:
                    self._slow_log.tell("slow_request", "A request took long", call.method, now - call.begun)
                _answer(call, outcome)
            if now >= end:
                return False
            begun = now
        return True

    def _release(self) -> None:
        behind, self._behind = self._behind, []
        for call in behind:
            if not call.done:
                self._read(call)

    # -- deadlines -----------------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

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
        for call in self._behind:
            if call.deadline <= now:
                call.fail(Timeout(f"this node is at revision {self.state.revision}, {call.params.min_revision} asked"))
        self._behind = [call for call in self._behind if not call.done]
        if self._waiting or self._proposed or self._behind:
            self._sweep_later()


def _answer(call: Call, outcome: Outcome) -> None:
    if outcome.before is not None:
        if outcome.before.failed:
            call.fail_raw(outcome.before.raw)
        else:
            call.answer(outcome.before.raw)
    elif outcome.error is not None:
        call.fail(outcome.error)
    else:
        call.result(outcome.result)


def _seal(command: Command) -> None:
    """Clear what only the leader decides, and give a numbered command the hash that a retry must repeat."""
    command.timeout = None
    command.hash = ""
    command.max_depth = DEFAULT_MAX_DEPTH
    command.max_list = DEFAULT_MAX_LIST
    if command.session:
        session, seq, acked = command.session, command.seq, command.acked
        command.session = command.seq = command.acked = 0
        command.hash = blake2b(encode_json(command), digest_size=8).hexdigest()
        command.session, command.seq, command.acked = session, seq, acked


class _Awaited:
    """A sink for the node's own calls."""

    def __init__(self) -> None:
        self.text: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answered(self, call: Call, text: bytes | None) -> None:
        assert text is not None
        if not self.text.done():  # whoever waited may have given up
            self.text.set_result(text)


class _LongRead:
    """A read in slices, cut at its deadline."""

    def __init__(self, call: Call, work: Generator[None, None, Any]) -> None:
        self._call = call
        self._work = work

    def step(self) -> bool:
        call = self._call
        try:
            next(self._work)
        except StopIteration as done:
            call.result(done.value)
            return False
        except RequestError as exc:
            call.fail(exc)
            return False
        except Exception as exc:
            _read_failed(call, exc)
            return False
        if time.monotonic() > call.deadline:
            call.fail(Timeout(f"{call.method} was not through by its deadline"))
            return False
        return True


def _read_failed(call: Call, exc: Exception) -> None:
    log.error("read_failed", message=f"{call.method} failed", exc_info=exc)
    call.fail(Internal(f"{call.method} failed: {exc!r}"))
