"""The node: wires the rooms. Calls come in from sessions, writes go to the engine, entries come back to the store.

Results are made in apply and nowhere else. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from qcore.disk.directory import Directory
from qcore.engine.base import Engine, SnapshotMeta
from qcore.model.entry import FEATURE_LEVEL, Entry
from qcore.model.errors import Fatal, RequestError, error_from_wire
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.commands import Bootstrap, Command
from qcore.model.wire import decode_json
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.documents.exports import Exports
from qcore.server.documents.restore import DocumentCalls
from qcore.server.documents.uploads import Uploads
from qcore.server.reads.running import run_read
from qcore.server.reads.table import ReadTable
from qcore.server.router import Router
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

_EVENTS_SLICE = 0.001
"""Seconds of one turn for telling listeners: short, as whoever made the event has most likely more to ask."""

_BUSY = 0.02
"""Seconds since the last request during which more are expected."""

_MEGABYTE = 1 << 20


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
        self.scheduler = Scheduler(busy=lambda: time.monotonic() - self.router.last_call < _BUSY)
        self.stopping = False
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
            settings, state, engine, directory, lambda: self.router.last_call, lambda: self._applier.idle
        )
        # Half of the queue: a client that reads is not cut off for one answer.
        reads = InlineReads(self._reads.run, settings.send_queue_mb * _MEGABYTE // 2)
        self._applier = Applier(
            settings, state, self.scheduler, reads, self._snapshots.applied, self._applied, on_fatal
        )
        self._digest_checks: DigestCheckProposals
        self.router = Router(
            state,
            engine,
            self.scheduler,
            self._reads.filters,
            settings.max_pending,
            self._watch.disconnected,
            {
                "write": self._proposals.put,
                "read": lambda call: run_read(call, self.scheduler, self._reads.run, call.params),
                "local": lambda call: run_read(call, self.scheduler, self._reads.run, call.params),
                "watch": lambda call: run_read(call, self.scheduler, self._watch.run, call),
                "document": self._document_calls.start,
                "snapshot": self._snapshots.take,
            },
        )

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
        for part in (self.router, self._document_calls, self._digest_checks, self._exports, self._uploads, self._watch):
            part.stop()
        self._check_idle()
        await self._idle.wait()
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
        self._proposals.put(call)
        answer = decode_json(await sink.text)
        if "error" in answer:
            raise error_from_wire(answer["error"])
        return bool(answer["result"]["applied"])

    # -- calls ---------------------------------------------------------------------------------------------

    @property
    def last_call(self) -> float:
        """Monotonic time of the latest call."""
        return self.router.last_call

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
        self.router.gate.applied()
        if self.stopping:
            self._check_idle()
        else:
            self._digest_checks.applied()

    def _check_idle(self) -> None:
        if self._proposals.idle and self._applier.idle:
            self._idle.set()


class _Awaited:
    """A sink for the node's own calls."""

    def __init__(self) -> None:
        self.text: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answered(self, call: Call, text: bytes | None) -> None:
        assert text is not None
        if not self.text.done():  # whoever waited may have given up
            self.text.set_result(text)
