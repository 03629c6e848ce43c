"""The node: wires the rooms. Calls come in from sessions, writes go to the engine, entries come back to the store.

Results are made in apply and nowhere else. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any

from qcore.disk.directory import Directory
from qcore.engine.base import Engine, SnapshotMeta
from qcore.model.entry import FEATURE_LEVEL, Entry
from qcore.model.errors import Busy, Fatal, Internal, RequestError, Timeout, error_from_wire
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.commands import Bootstrap, Command, SnapshotRestore
from qcore.model.requests.queries import Listen, Query, SnapshotPlan, SnapshotTake, Unlisten
from qcore.model.wire import decode_json
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.documents.exports import Exports
from qcore.server.documents.restore import DocumentCalls
from qcore.server.documents.uploads import Uploads
from qcore.server.outbox import Outbox
from qcore.server.reads.table import ReadTable
from qcore.server.reads.waiting import WaitingReads
from qcore.server.runtime import logs
from qcore.server.runtime.scheduler import Scheduler
from qcore.server.snapshots.taking import SnapshotTaker
from qcore.server.watch.api import WatchApi
from qcore.server.writes.applier import Applier
from qcore.server.writes.digest_checks import DigestCheckProposals
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.server.writes.inline_reads import InlineReads
from qcore.server.writes.proposals import Proposals
from qcore.store.apply import apply_entry
from qcore.store.state.state import State
from qcore.store.watch.history import History

__all__ = ["Node"]

_SWEEP = 0.25
"""Seconds between two looks for reads whose deadline has passed."""

_EVENTS_SLICE = 0.001
"""Seconds of one turn for telling listeners: short, as whoever made the event has most likely more to ask."""

_BUSY = 0.02
"""Seconds since the last request during which more are expected."""

_MEGABYTE = 1 << 20

_DOCUMENTS = (SnapshotPlan, SnapshotRestore)
"""Calls that come with a whole document."""

log = logs.get("qcore.node")


class Node:
    """One running node at `addr`. `on_fatal` hears why the daemon must end.

    `state` is that of the snapshot that was loaded, and `base` where it leaves off, or a fresh one.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        engine: Engine,
        directory: Directory,
        addr: str,
        on_fatal: Callable[[Fatal], None],
        base: SnapshotMeta | None = None,
    ) -> None:
        self.settings = settings
        self.state = state
        self.engine = engine
        self.scheduler = Scheduler(busy=lambda: time.monotonic() - self.last_call < _BUSY)
        self.stopping = False
        self.last_call = time.monotonic()
        self._idle: asyncio.Event
        self._base = base
        self._on_fatal = on_fatal
        self._exports = Exports(state, settings.max_exports)
        self._uploads = Uploads(settings.max_upload_mb * _MEGABYTE)
        history = History(state, settings.watch_history, settings.watch_history_mb * _MEGABYTE)
        self._reads = ReadTable(settings, state, engine, directory, addr, self._exports, self._uploads, history)
        live, later = Scheduler(_EVENTS_SLICE), Scheduler(_EVENTS_SLICE)
        self._watch = WatchApi(settings, state, history, live.add, later.add, self._reads.filters)
        reserve = DiskReserve(str(directory.path), settings.disk_reserve_mb)
        self._proposals = Proposals(settings, state, engine, reserve)
        self._document_calls = DocumentCalls(settings, state, self.scheduler, self._proposals, self._uploads)
        self._snapshots = SnapshotTaker(
            settings, state, engine, directory, lambda: self.last_call, lambda: self._applier.idle
        )
        # Half of the queue: a client that reads is not cut off for one answer.
        reads = InlineReads(self._reads.run, settings.send_queue_mb * _MEGABYTE // 2)
        self._applier = Applier(
            settings, state, self.scheduler, reads, self._snapshots.applied, self._applied, on_fatal
        )
        self._digest_checks: DigestCheckProposals
        self._waiting_for_revision = WaitingReads()
        """Reads that wait for a revision this node has not applied yet."""
        self._waiting_for_index = WaitingReads()
        """Reads that wait for a log index."""
        self._sweeper: asyncio.TimerHandle | None = None

    # -- start and stop ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Apply what is on disk, then take calls; blocking.

        Raises:
            Fatal: the log cannot be used or applied.
        """
        self.engine.start(self, self._replay, self._base)
        self._watch.applied()
        self._digest_checks = DigestCheckProposals(self.state, self._propose_own)

    def _replay(self, entry: Entry) -> None:
        for _ in apply_entry(self.state, entry):
            pass
        self._snapshots.replayed(entry.id)

    def lead(self) -> None:
        """Do what falls to a new leader; the loop runs."""
        if self.state.level < FEATURE_LEVEL:
            self._propose_own(RaiseLevel(FEATURE_LEVEL))

    async def stop(self) -> None:
        """Refuse new calls, finish the open ones, stop the engine."""
        self.stopping = True
        self._idle = asyncio.Event()
        for waiting in (self._waiting_for_revision, self._waiting_for_index):
            waiting.fail(Busy("the node is stopping"))
        for part in (self._document_calls, self._digest_checks, self._exports, self._uploads, self._watch):
            part.stop()
        self._check_idle()
        await self._idle.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._proposals.stop()
        await self._snapshots.stop()
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
        elif isinstance(call.params, _DOCUMENTS):
            self._document_calls.start(call)
        elif isinstance(call.params, SnapshotTake):
            self._snapshots.take(call)
        elif self._reads.filters.prepare(call.params, lambda error: self._prepared(call, error)):
            pass
        else:
            self._carry_out(call)

    def _prepared(self, call: Call, error: RequestError | None) -> None:
        """The filters of a call are parsed, or cannot be; in a pipeline that is the answer to one command alone."""
        if self.stopping:
            call.fail(Busy("the node is stopping", applied="no"))
        elif error is not None and not call.writes:
            call.fail(error)
        elif not call.done:
            self._carry_out(call)

    def _carry_out(self, call: Call) -> None:
        if call.writes:
            self._proposals.put(call)
        elif getattr(call.params, "consistency", "local") == "local":
            self._read(call)
        else:
            self.engine.read_barrier(lambda index: self._read_from(index, call))

    def _read_from(self, index: int, call: Call) -> None:
        """Read once the log is applied up to `index`, which makes the read linearizable."""
        if index > self.state.applied:
            self._wait(self._waiting_for_index, index, call)
        else:
            self._read(call)

    def _wait(self, waiting: WaitingReads, number: int, call: Call) -> None:
        if len(waiting) >= self.settings.max_pending:
            call.fail(Busy(f"{len(waiting)} reads are waiting for a revision already (max_pending)"))
            return
        waiting.add(number, call)
        self._sweep_later()

    def left(self, outbox: Outbox) -> None:
        """See `Service.left`."""
        self._watch.closed(outbox)

    def later(self, step: Callable[[], bool]) -> None:
        """See `Service.later`."""
        self.scheduler.add(step)

    def _read(self, call: Call) -> None:
        query: Query = call.params
        needed = _revision_needed(query)
        if needed > self.state.revision:
            self._wait(self._waiting_for_revision, needed, call)
            return
        try:
            result = self._run(call)
        except RequestError as exc:
            call.fail(exc)
            return
        except Exception as exc:
            _read_failed(call, exc)
            return
        if type(result) is GeneratorType:
            self.scheduler.add(_LongRead(call, result).step)
        else:
            call.result(result)

    def _run(self, call: Call) -> Any:
        if isinstance(call.params, Listen):
            return self._watch.listen(call)
        if isinstance(call.params, Unlisten):
            return self._watch.unlisten(call)
        return self._reads.run(call.params)

    def _propose_own(self, command: Command) -> None:
        self._proposals.put_own(command, time.monotonic() + self.settings.request_timeout)

    # -- what the engine says ------------------------------------------------------------------------------

    def committed(self, entry: Entry, token: Any) -> None:
        """See `Host.committed`."""
        if token is not None:
            self._proposals.committed()
        self._applier.add(entry, token)

    def rejected(self, token: Any, error: RequestError) -> None:
        """See `Host.rejected`."""
        self._proposals.rejected(token, error)

    def room(self) -> None:
        """See `Host.room`."""
        self._proposals.flush()

    def failed(self, error: Fatal) -> None:
        """See `Host.failed`."""
        self._on_fatal(error)

    def _applied(self) -> None:
        """Everything committed is applied."""
        self._watch.applied()
        self._release()
        if self.stopping:
            self._check_idle()
        else:
            self._digest_checks.applied()

    def _check_idle(self) -> None:
        if self._proposals.idle and self._applier.idle:
            self._idle.set()

    def _release(self) -> None:
        for call in (
            *self._waiting_for_index.due(self.state.applied),
            *self._waiting_for_revision.due(self.state.revision),
        ):
            self._read(call)

    # -- deadlines -----------------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now, revision = time.monotonic(), self.state.revision
        self._waiting_for_index.sweep(now, lambda index: Timeout("this node did not come up to the others in time"))
        self._waiting_for_revision.sweep(
            now, lambda asked: Timeout(f"this node is at revision {revision}, {asked} asked")
        )
        if self._waiting_for_revision or self._waiting_for_index:
            self._sweep_later()


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


def _revision_needed(query: Query) -> int:
    """The revision the node has to have applied before it reads."""
    return max(getattr(query, "min_revision", 0), getattr(query, "since", None) or 0)


def _read_failed(call: Call, exc: Exception) -> None:
    log.error("read_failed", message=f"{call.method} failed", exc_info=exc)
    call.fail(Internal(f"{call.method} failed: {exc!r}"))
