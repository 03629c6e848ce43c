"""Plans and restores JSON snapshot documents, each request in a task of its own.

Reading a document and hashing its passwords takes a thread; comparing it with the store runs in slices over a pinned
view. A restore then goes into the log as one command, in parts if it is long.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from qcore.model.documents.document import Document, with_texts
from qcore.model.documents.limits import check_limits
from qcore.model.documents.password import SALT_BYTES
from qcore.model.errors import BadParams, Busy, Internal, RequestError, Timeout
from qcore.model.requests.commands import SnapshotRestore
from qcore.model.requests.queries import SnapshotPlan
from qcore.model.requests.restore import Password, Restore
from qcore.model.requests.results import PlanResult
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.config.settings import Settings
from qcore.server.documents.moving import MovingUploads
from qcore.server.documents.uploads import Upload, Uploads
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.scheduler import Scheduler, step_of
from qcore.server.writes.proposals import Proposals
from qcore.server.writes.sealing import cut, seal, set_limits
from qcore.store.budget import BUDGET_LEVEL
from qcore.store.documents.plan import Prepared, check_types, passwords, planning
from qcore.store.state.state import State
from qcore.store.state.view import View

__all__ = ["DocumentCalls"]

log = logs.get("qcore.documents")


class DocumentCalls:
    """Carries out `snapshot.plan` and `snapshot.restore`."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        scheduler: Scheduler,
        proposals: Proposals,
        uploads: Uploads,
        moving: MovingUploads,
    ) -> None:
        self._settings = settings
        self._state = state
        self._scheduler = scheduler
        self._proposals = proposals
        self._uploads = uploads
        self._moving = moving
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: dict[str, Callable[[Call], Coroutine[Any, Any, None]]] = {
            "snapshot.plan": self._plan,
            "snapshot.restore": self._restore,
        }

    def start(self, call: Call) -> None:
        """Carry out a call: it is answered when its task ends."""
        task = asyncio.create_task(self._run(call))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, call))

    def stop(self) -> None:
        """Give up what is not in the log yet; its calls are answered `busy`."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None], call: Call) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            call.fail(Busy("the node is stopping", applied="no"))

    async def _run(self, call: Call) -> None:
        try:
            async with asyncio.timeout(max(call.deadline - time.monotonic(), 0)):
                await self._work[call.method](call)
        except RequestError as exc:
            exc.data["applied"] = "no"
            call.fail(exc)
        except TimeoutError:
            call.fail(Timeout(f"{call.method} was not through by its deadline", applied="no"))
        except Exception as exc:
            log.error("documents_failed", message=f"{call.method} failed", exc_info=exc)
            call.fail(Internal(f"{call.method} failed: {exc!r}", applied="no"))

    async def _plan(self, call: Call) -> None:
        query: SnapshotPlan = call.params
        if not 1 <= query.limit <= budgets.PLAN_LINES:
            raise BadParams(f"limit is 1 to {budgets.PLAN_LINES} lines, {query.limit} given")
        await self._moving.bring(query.upload, _client(call))
        with self._uploads.using(query.upload, _client(call)) as upload:
            prepared = await self._prepared(upload)
            view = self._state.pin()
            try:
                prepared = await self._hashed(view, prepared)
                limits = {"max_depth": self._settings.max_depth, "max_list": self._settings.max_list}
                plan = await self._scheduler.run(planning(view, prepared, prune=query.prune, **limits))
                if self._state.level >= BUDGET_LEVEL:
                    check_types(view, plan)
                counts = plan.counts()
                lines = list(itertools.islice(plan.lines(), query.limit))
            finally:
                view.release()
        more = plan.length - len(lines)
        call.result(PlanResult(view.revision, counts, lines, more, plan.reset))

    async def _restore(self, call: Call) -> None:
        command: SnapshotRestore = call.params
        seal(command)
        if self._answered_before(call, command):
            return
        await self._moving.bring(command.upload, _client(call))
        with self._uploads.using(command.upload, _client(call)) as upload:
            prepared = await self._prepared(upload)
            view = self._state.pin()
            try:
                document = (await self._hashed(view, prepared)).document
            finally:
                view.release()
        restore = Restore(document, command.prune, command.reset)
        restore.session, restore.seq, restore.acked, restore.hash = (
            command.session,
            command.seq,
            command.acked,
            command.hash,
        )
        set_limits(restore, self._settings, self._state.level)
        parts = await _in_thread(lambda: cut(restore))
        call.on_result = lambda: self._restored(command.upload, upload)
        self._proposals.put_parts(call, parts)

    async def _prepared(self, upload: Upload) -> Prepared:
        """The document, if any store of this node could take it: what none could is not worth a place in the log."""
        prepared = await upload.prepared()
        most = self._settings.max_depth, self._settings.max_list
        await _in_thread(lambda: check_limits(prepared.document, prepared.tree, prepared.types, *most))
        return prepared

    def _restored(self, name: str, upload: Upload) -> None:
        """Let go of what was restored, in slices: a large document takes long to free."""
        self._uploads.restored(name, upload)
        self._scheduler.add(step_of(upload.taking_apart()))

    def _answered_before(self, call: Call, command: SnapshotRestore) -> bool:
        """Answer a retry as the first attempt; its upload may be gone. Whether it was one."""
        answer = self._state.sessions.answer(command.session, command.seq, command.hash)
        if answer is None:
            return False
        (call.fail_raw if answer.failed else call.answer)(answer.raw)
        return True

    async def _hashed(self, view: View, prepared: Prepared) -> Prepared:
        """The document with its passwords hashed; one that the store has a hash of already keeps that."""
        found = await self._scheduler.run(passwords(view, prepared))
        if not found:
            return prepared
        texts = await _in_thread(lambda: {(each.place, each.field): _hash(each) for each in found})
        document: Document = await _in_thread(lambda: with_texts(prepared.document, texts))
        return prepared._replace(document=document)


def _client(call: Call) -> Client:
    assert call.client is not None  # documents are for clients alone
    return call.client


def _hash(password: Password) -> str:
    return password.hashed(os.urandom(SALT_BYTES))


async def _in_thread(work: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)
