"""The one writer of a node's directory: log, vote, marks and identity change in the order in which that was asked.

A strict FIFO with a thread of its own. An entry is durable before the next is begun, so an answer says that all
that was asked before is durable, too. Purges and hints are not answered but keep their place: a purge never
overtakes an entry, and a hint written behind a truncate says what is true then. After a failure nothing is written
any more, and all that is asked fails. Snapshots have a writer of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from qcore.disk.directory import Directory
from qcore.disk.hint import CommittedHint
from qcore.disk.identity import Identity
from qcore.disk.log.record import RawEntry, encode
from qcore.model.entry import LogId, Vote
from qcore.model.errors import Fatal

__all__ = ["UNANSWERED", "Completion", "DiskWriter", "Job", "Jobs"]


class Completion(NamedTuple):
    """What was asked under `token` is durable, or nobody can know: `error`. It took the writer so many seconds."""

    token: Any
    error: Fatal | None
    seconds: float


UNANSWERED = object()
"""The token of what is not answered."""


class Job(NamedTuple):
    """One thing to do."""

    action: Callable[[], None]
    token: Any


class Jobs(Protocol):
    """A queue of jobs, None at its end; `queue.SimpleQueue` but for tests of time."""

    def put(self, item: Job | None, /) -> None:
        """Add one at the end."""

    def get(self, block: bool = True, timeout: float | None = None) -> Job | None:
        """Take the first; raises `queue.Empty` if there is none, with `block` after `timeout` seconds."""

    def empty(self) -> bool:
        """Tell whether there is none."""


class DiskWriter:
    """Writes to `directory`. `completed` hears, on the writer's thread and in the order of the queue, what is done.

    What is asked without a token is not answered. Until `start`, `run_pending` does it on the caller's thread. Every
    method but `run`, `step` and `run_pending` may be called from any thread and returns at once, `stop` in its limit.

    Attributes:
        failure: why nothing is written any more, None as long as all is well.
    """

    def __init__(
        self,
        directory: Directory,
        completed: Callable[[Sequence[Completion]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        jobs: Jobs | None = None,
    ) -> None:
        self.failure: Fatal | None = None
        self._directory = directory
        self._log = directory.log
        self._completed = completed
        self._clock = clock
        self._jobs: Jobs = SimpleQueue() if jobs is None else jobs
        self._hint = CommittedHint(directory.committed)
        self._finished: list[Completion] = []
        self._failed: Callable[[Fatal], None] = lambda error: None
        self._failing = threading.Lock()
        self._abandoned = False
        self._thread = threading.Thread(target=self.run, name="qcore-log", daemon=True)

    # -- what may be asked ---------------------------------------------------------------------------------

    def append(self, entries: Sequence[RawEntry], token: Any, committed: LogId | None = None) -> None:
        """Store entries one after the other; those at or below the purge mark count as stored.

        `committed` is the hint to take once they are, as `note_committed` would.
        """
        self._jobs.put(Job(partial(self._append, entries, committed), token))

    def truncate(self, index: int, token: Any = UNANSWERED) -> None:
        """Remove entry `index` and all above it."""
        self._jobs.put(Job(partial(self._truncate, index), token))

    def save_vote(self, vote: Vote, token: Any = UNANSWERED) -> None:
        """Store the vote."""
        self._jobs.put(Job(partial(self._directory.save_vote, vote), token))

    def save_identity(self, identity: Identity, token: Any = UNANSWERED) -> None:
        """Replace node.json."""
        self._jobs.put(Job(partial(self._directory.save_identity, identity), token))

    def purge(self, upto: LogId) -> None:
        """Drop the log up to and including `upto`, which a durable snapshot holds; not answered."""
        self._jobs.put(Job(partial(self._purge, upto), UNANSWERED))

    def note_committed(self, committed: LogId) -> None:
        """Take a hint how far the log is committed, for the next start; not answered.

        One that is not in the log when its turn comes is ignored.
        """
        self._jobs.put(Job(partial(self._note_committed, committed), UNANSWERED))

    def probe(self, done: Callable[[], None]) -> None:
        """Call `done` on the writer's thread when it comes to it."""
        self._jobs.put(Job(done, UNANSWERED))

    # -- start and stop ------------------------------------------------------------------------------------

    def start(self, failed: Callable[[Fatal], None]) -> None:
        """Begin on a thread of its own, with another one beside it that keeps files ready for the log.

        `failed` hears once, on whichever thread met it, why nothing is written any more.
        """
        self._failed = failed
        self._directory.prepare(self._fail)
        self._thread.start()

    def stop(self, limit: float) -> bool:
        """Finish what was asked, make the marks durable and end; blocks for `limit` seconds at most.

        Returns whether all of it is on the disk. If a disk does not answer in time, nothing is completed any more, and
        nothing new is begun should it come back. Nothing may be asked afterwards.
        """
        if self._thread.ident is None:
            return self._jobs.empty()
        self.close()
        self._thread.join(limit)
        self._abandoned = self._thread.is_alive()
        return not self._abandoned and self.failure is None

    def close(self) -> None:
        """Take no more: `run` ends behind what was asked."""
        self._jobs.put(None)

    def run(self) -> None:
        """Do what is asked until `close`; the thread's work."""
        try:
            while (job := self._next()) is not None:
                self._do(job)
            if not self._abandoned:
                self._attempt(partial(self._write_hint, sync=True))
                self._deliver()
        except Exception as exc:
            self._fail(Fatal(f"completing what was written failed: {exc!r}"))

    def step(self) -> bool:
        """Do one thing that was asked, without waiting for it; False if there is none."""
        if self._jobs.empty():
            return False
        job = self._jobs.get()
        if job is not None:
            self._do(job)
        return job is not None

    def run_pending(self) -> None:
        """Do all that was asked so far.

        Raises:
            Fatal: why it cannot be written; nothing will be.
        """
        while self.step():
            pass
        if self.failure is not None:
            raise self.failure

    # -- the writer's thread -------------------------------------------------------------------------------

    def _next(self) -> Job | None:
        """Wait for something to do; when it has been quiet for a while, the hint is written once."""
        while not self._abandoned:
            wait = None if self.failure is not None else self._hint.wait(self._clock())
            try:
                return self._jobs.get(timeout=wait)
            except Empty:
                self._attempt(self._write_hint)
        return None

    def _do(self, job: Job) -> None:
        begun = self._clock()
        error = self._attempt(job.action)
        now = self._clock()
        if job.token is not UNANSWERED:
            self._finished.append(Completion(job.token, error, now - begun))
        if error is None or self._jobs.empty():
            self._deliver()
        if self._hint.is_due(now):
            self._attempt(self._write_hint)

    def _deliver(self) -> None:
        if self._finished and not self._abandoned:
            finished, self._finished = self._finished, []
            self._completed(finished)

    def _attempt(self, action: Callable[[], None]) -> Fatal | None:
        """Do something unless anything failed before; returns the first failure."""
        if self.failure is None:
            try:
                action()
            except Fatal as exc:
                self._fail(exc)
            except Exception as exc:
                self._fail(Fatal(f"writing the log failed: {exc!r}"))
        return self.failure

    def _fail(self, error: Fatal) -> None:
        with self._failing:
            if self.failure is not None:
                return
            self.failure = error
        self._failed(error)

    def _append(self, entries: Sequence[RawEntry], committed: LogId | None) -> None:
        for id, body in entries:
            self._log.append(id, encode(id, body))
        self._hint.stored(self._clock())
        if committed is not None:
            self._note_committed(committed)

    def _truncate(self, index: int) -> None:
        self._log.truncate(index)
        committed = self._hint.committed
        if committed is not None and committed.index >= index:
            self._hint.take(self._log.log_id(index - 1), self._clock())

    def _purge(self, upto: LogId) -> None:
        self._log.purge(upto)
        committed = self._hint.committed
        if committed != upto and (committed is None or committed.index <= upto.index):
            self._hint.take(upto, self._clock())

    def _note_committed(self, committed: LogId) -> None:
        before = self._hint.committed
        if before is not None and before.index >= committed.index:
            return
        if committed == self._log.last or committed == self._log.log_id(committed.index):
            self._hint.take(committed, self._clock())

    def _write_hint(self, sync: bool = False) -> None:
        self._directory.save_committed(self._hint.committed, sync=sync)
        self._hint.written(self._clock())
