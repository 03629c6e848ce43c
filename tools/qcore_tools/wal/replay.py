"""The state as the log makes it: a snapshot to begin with, entries applied to it, and what each command changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Generic, TypeVar

import msgspec

from qcore.disk.live_directory import LiveDirectory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import Entry
from qcore.model.errors import Damaged, Fatal
from qcore.model.leader_commands import RunStaged
from qcore.model.requests.commands import Command
from qcore.model.schema import Types
from qcore.model.work import Work, run_whole
from qcore.server.recovery import cannot_apply, read_snapshot
from qcore.store.apply import Outcome, apply_entry
from qcore.store.staged_commands import decode_staged
from qcore.store.state.draft import Draft
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.journal import Change
from qcore.store.state.state import Observed, State
from qcore.store.watch.events import DELETED, Event
from qcore.store.watch.revision_events import events_of, reading_events

__all__ = ["Applied", "Batch", "Replay", "base_for"]


T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """What one command, or one step of a pipeline, has changed; `before` and `after` are the types."""

    revision: int
    events: list[Event]
    before: Types
    after: Types

    @cached_property
    def only_orders(self) -> bool:
        """Whether nothing but orders of children is another."""
        return all(event.field is not None and event.field.slot == CHILDREN for event in self.events)

    @cached_property
    def deleted(self) -> dict[int, Entity]:
        """Entities that are gone, as they were before."""
        return {event.id: event.value for event in self.events if event.kind == DELETED}


@dataclass(frozen=True)
class Applied(Generic[T]):
    """A command of an entry, what became of it, and what was made of the batch of each step that went through.

    `staged` says that it came in parts; `command` is the whole then. `revision` is that of the state before.
    """

    command: Command
    revision: int
    staged: bool
    outcome: Outcome
    steps: list[T]


def base_for(snapshots: Sequence[SnapshotFile], first: int, want: int) -> SnapshotFile | None:
    """The snapshot to begin with, of those whose entries from `first` on are there, so that entry `want` can be read.

    That is the newest below `want`; None stands for a fresh state, if the log begins at 0, or else for the fact that
    there is none. One above `want` makes the entries behind it readable at least.
    """
    usable = [found for found in snapshots if found.header.last.index >= first - 1]
    below = [found for found in usable if found.header.last.index < want]
    if below:
        return max(below, key=_index)
    return min(usable, key=_index, default=None) if first > 0 else None


def _index(found: SnapshotFile) -> int:
    return found.header.last.index


class Replay:
    """A state that entries are applied to.

    Attributes:
        state: None where it is not known what came before the log.
        next: the index of the entry that it takes next; below that nothing is known.
        problems: what is wrong with snapshots.
    """

    def __init__(self, state: State | None, next: int) -> None:
        self.state = state
        self.next = next
        self.problems: list[Damaged] = []
        self._take: Callable[[Batch], None] = lambda _batch: None
        if state is not None:
            self._types = state.types

    @classmethod
    def begin(cls, directory: LiveDirectory, first: int, want: int, between: Callable[[], None]) -> Replay:
        """Begin with the best snapshot there is for a log that begins at `first`, of which `want` is wanted."""
        problems: dict[str, Damaged] = {}
        while True:
            snapshots = directory.snapshots()
            problems |= {str(problem.data["path"]): problem for problem in snapshots.problems}
            base = base_for([found for found in snapshots.found if found.path not in problems], first, want)
            if base is None:
                replay = cls(State(), 0) if first == 0 else cls(None, 0)
                break
            try:
                replay = cls(_whole(read_snapshot(snapshots, base), between), base.header.last.index + 1)
                break
            except Damaged as problem:
                problems[base.path] = problem
        replay.problems = [
            problem for path, problem in problems.items() if os.path.lexists(path)
        ]  # others were removed
        return replay

    def knows(self, index: int) -> bool:
        """Whether entry `index` can be applied."""
        return self.state is not None and index == self.next

    def forget(self) -> None:
        """Know nothing any more."""
        self.state = None

    def skip(self, entry: Entry) -> None:
        """Apply an entry nobody wants to see.

        Raises:
            Fatal: it cannot be applied.
        """
        for _ in self._outcomes(entry, watched=False):
            pass

    def apply(self, entry: Entry, describe: Callable[[Command, Batch], T]) -> Iterator[Applied[T]]:
        """Apply an entry, command by command; each batch is described when the state is as it has left it.

        Raises:
            Fatal: it cannot be applied; the state is of no use any more.
        """
        outcomes = self._outcomes(entry, watched=True)
        for command in entry.body.commands:
            whole = self._unstaged(command)
            steps: list[T] = []
            self._take = partial(_describe, steps, describe, whole)
            revision = self._revision
            yield Applied(whole, revision, whole is not command, next(outcomes), steps)
        for _ in outcomes:
            pass

    def _outcomes(self, entry: Entry, *, watched: bool) -> Iterator[Outcome]:
        state = self.state
        assert state is not None
        state.observer, state.observe_ahead = (self._finished, self._ahead) if watched else (None, None)
        through = 0
        try:
            for outcome in apply_entry(state, entry):
                through += 1
                self._types = state.types
                yield outcome
        except Fatal:
            self.forget()
            raise
        except Exception as exc:
            self.forget()
            raise cannot_apply(entry, through, exc) from exc
        self.next = entry.id.index + 1

    @property
    def _revision(self) -> int:
        assert self.state is not None
        return self.state.revision

    def _unstaged(self, command: Command) -> Command:
        """The command that came in parts, if this one says that they are all there."""
        assert self.state is not None
        if not isinstance(command, RunStaged):
            return command
        parts = self.state.staged.open.get(command.stage)
        if parts is None or len(parts.texts) != command.parts:
            return command
        try:
            return run_whole(decode_staged("".join(parts.texts)))
        except msgspec.DecodeError:  # applying it says so
            return command

    def _finished(self, changes: list[Change]) -> None:
        state = self.state
        assert state is not None
        before, self._types = self._types, state.types
        events = events_of(changes, state.revision, before is not state.types)
        self._take(Batch(state.revision, events, before, state.types))

    def _ahead(self, draft: Draft) -> Work[Observed]:
        assert self.state is not None
        before, after, revision = self._types, draft.types, self.state.revision + 1
        events = yield from reading_events(draft.journal, revision)

        def observed() -> Work[None]:
            self._types = after
            self._take(Batch(revision, events, before, after))
            return (_ for _ in ())

        return observed


def _describe(steps: list[T], describe: Callable[[Command, Batch], T], command: Command, batch: Batch) -> None:
    steps.append(describe(command, batch))


def _whole(work: Work[State], between: Callable[[], None]) -> State:
    while True:
        between()
        try:
            next(work)
        except StopIteration as done:
            state: State = done.value
            return state
