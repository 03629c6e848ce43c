"""The state machine: one log entry in, one outcome for each of its commands out.

Apply is deterministic: it reads the entry and the state, never a clock, a random source or a setting. A
`RequestError` is a command's answer and leaves no trace; any other exception is a defect and stops the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qcore.model.entry import FEATURE_LEVEL, Entry
from qcore.model.errors import BadParams, Newer, RequestError, TooLarge
from qcore.model.ids import is_epoch
from qcore.model.leader_commands import (
    CheckDigest,
    OpenEpoch,
    RaiseLevel,
    ReadmitDisk,
    RemoveDisk,
    RunStaged,
    StagePart,
)
from qcore.model.requests.commands import Command, Create, SchemaDelete, SessionOpen, SetFields
from qcore.model.requests.compound import COMPOUND, Pipeline, Transaction
from qcore.model.requests.results import Created, SessionOpened, StepDone, StepFailed
from qcore.model.values import INT_MAX
from qcore.model.wire import encode_json
from qcore.model.work import Work, run_whole
from qcore.store.budget import units_of
from qcore.store.compound import Unbegun, filled, run_transaction, step_read, without_reads
from qcore.store.context import Context, Read
from qcore.store.create import create
from qcore.store.garbage import Garbage
from qcore.store.long_commands import LONG_COMMANDS, MAYBE_LONG, may_be_long, taking_apart
from qcore.store.schemas import delete_schema
from qcore.store.sessions.sessions import Answer
from qcore.store.staged_commands import decode_staged
from qcore.store.state.epochs import EPOCHS_LEVEL
from qcore.store.state.journal import Change
from qcore.store.state.removed_disks import REMOVED_LEVEL
from qcore.store.state.state import State
from qcore.store.write import set_fields

__all__ = ["COMMAND_TIME_LEVEL", "Outcome", "apply_entry", "applying_entry"]


class Outcome:
    """What became of a command: `result`, `error`, or the answer its number was given `before`."""

    __slots__ = ("before", "changes", "error", "result")

    def __init__(
        self,
        result: Any = None,
        error: RequestError | None = None,
        before: Answer | None = None,
        changes: list[Change] | None = None,
    ) -> None:
        self.result = result
        self.error = error
        if error is not None:  # through its frames it would refer to itself, and hold the whole command
            error.__traceback__ = error.__context__ = None
        self.before = before
        self.changes = changes


COMMAND_TIME_LEVEL = 2
"""Feature level from which on no other entries than those of commands move the state's time."""

_CARRIED_AGAIN = 4
"""Units of an element of a value that an error carries: it takes more memory there."""


def apply_entry(state: State, entry: Entry, read: Read | None = None) -> Iterator[Outcome]:
    """Apply an entry command by command, so that the caller may pause between two of them.

    The entry counts as applied when the iterator is exhausted. `read` carries out the reads inside pipelines and
    transactions; given only where their answers are owed.

    Raises:
        Diverged: the leader's digest was another one.
        Newer: the entry puts rules in force that this version does not know.
    """
    return (outcome for outcome in applying_entry(state, entry, read) if outcome is not None)


def applying_entry(state: State, entry: Entry, read: Read | None = None) -> Iterator[Outcome | None]:
    """The same with more pauses, each a None: in a long command, of which nothing is to be seen yet, or behind one.

    If it is not exhausted, a command in whose middle that was has left no trace.
    """
    context = Context(_time(state, entry), read)
    for command in entry.body.commands:
        context.budget.reset()
        if type(command) in MAYBE_LONG and may_be_long(state, command):
            garbage = Garbage()
            yield (yield from _long_outcome(state, command, context, garbage))
            yield from garbage.free()
        else:
            yield _outcome(state, command, context)
    state.entry_applied(entry.id.index, context.time)


def _time(state: State, entry: Entry) -> int:
    """The state's time when an entry is applied, which never goes back."""
    if entry.body.kind != "commands" and state.level >= COMMAND_TIME_LEVEL:
        return state.time
    return max(entry.body.time, state.time)


def _outcome(state: State, command: Command, context: Context) -> Outcome:
    if not command.session:
        return _apply(state, command, context)
    number = _Number(state, command, context)
    return number.known or number.keep(_apply(state, command, context))


def _long_outcome(state: State, command: Command, context: Context, garbage: Garbage) -> Work[Outcome]:
    """The same for a command that may be long, or is in parts."""
    if isinstance(command, RunStaged):
        try:
            text = state.staged.text(command, context.time)
        except RequestError as exc:
            return Outcome(error=exc)
        stage, command = command.stage, (yield from decode_staged(text))
        del text
        garbage.add(taking_apart(command))
        if type(command) in LONG_COMMANDS:
            outcome = yield from _long_numbered(state, command, context, garbage)
        else:
            outcome = _outcome(state, command, context)
        state.staged.drop(stage)
        return outcome
    return (yield from _long_numbered(state, command, context, garbage))


class _Number:
    """The place of a numbered write in its session; `known` is its answer where that needs no apply."""

    def __init__(self, state: State, command: Command, context: Context) -> None:
        self._command = command
        self.known: Outcome | None = None
        try:
            if not 1 <= command.seq <= INT_MAX:
                raise BadParams(f"a numbered write has seq from 1 to {INT_MAX}, {command.seq} given")
            self._session = state.sessions.use(command.session, context.time)
            before = self._session.find(command.seq, command.acked, command.hash)
        except RequestError as exc:
            exc.data["applied"] = "unknown" if exc.kind == "session_expired" else "no"
            self.known = Outcome(error=exc)
            return
        if before is not None:
            if isinstance(command, COMPOUND) and not before.failed and context.read is not None:
                self.known = Outcome(filled(command, before.raw, context.read))
            else:
                self.known = Outcome(before=before)

    def keep(self, outcome: Outcome) -> Outcome:
        """Keep what became of it."""
        command, result = self._command, outcome.result
        if outcome.error is not None:
            raw = encode_json(outcome.error.wire())
        else:
            raw = encode_json(without_reads(command, result) if isinstance(command, COMPOUND) else result)
        self._session.keep(command.seq, Answer(command.hash, outcome.error is not None, raw))
        return outcome


def _long_numbered(state: State, command: Command, context: Context, garbage: Garbage) -> Work[Outcome]:
    if not command.session:
        return (yield from _apply_long(state, command, context, garbage))
    number = _Number(state, command, context)
    return number.known or number.keep((yield from _apply_long(state, command, context, garbage)))


def _apply(state: State, command: Command, context: Context) -> Outcome:
    if isinstance(command, Pipeline):
        return _pipeline(state, command, context)
    state.begin()
    context.budget.begin_journal()
    context.revision, context.wrote = state.revision + 1, False
    try:
        if isinstance(command, Transaction):
            result = run_transaction(state, command, context, _run)
        else:
            result = _run(state, command, context)
    except RequestError as exc:
        _count(state, context, exc)
        state.rollback()
        exc.data["applied"] = "no"
        return Outcome(error=exc)
    except BaseException:
        state.rollback()
        raise
    _count(state, context)
    return Outcome(result, changes=state.finish(context.wrote))


def _apply_long(state: State, command: Command, context: Context, garbage: Garbage) -> Work[Outcome]:
    """Apply a command that may be long: what it does to a draft becomes the state at once, events and all."""
    state.begin()
    context.revision, context.wrote = state.revision + 1, False
    context.begin_long(garbage)
    work = LONG_COMMANDS[type(command)](state, command, context)
    try:
        result = yield from _paused(work, context)
        draft = context.draft
        if draft is None:
            return Outcome(result, changes=state.finish(context.wrote))
        observed = (yield from state.observe_ahead(draft)) if state.observe_ahead is not None else None
        garbage.add(state.become(draft, wrote=context.wrote, observed=observed))
    except RequestError as exc:
        state.rollback()
        exc.data["applied"] = "no"
        return Outcome(error=exc)
    except BaseException:
        state.rollback()
        raise
    finally:
        if context.draft is not None:
            garbage.add(context.draft.free())
        context.end_long()
    return Outcome(result)


def _paused(work: Work[Any], context: Context) -> Work[Any]:
    """Run a work, with its pauses as long as nothing of it is in the state."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value
        if not context.at_once:
            yield


def _count(state: State, context: Context, error: RequestError | None = None) -> None:
    """Count what a step of a pipeline did, refused ones too."""
    if context.made is not None:
        context.budget.count(state.journal)
        if error is not None:
            context.budget.spend(_CARRIED_AGAIN * units_of(error.data.get("value")))


def _run(state: State, command: Command, context: Context) -> Any:
    return _COMMANDS[type(command)](state, command, context)


def _at_once(work: Callable[..., Work[Any]]) -> Callable[..., Any]:
    return lambda *given: run_whole(work(*given))


def _pipeline(state: State, command: Pipeline, context: Context) -> Outcome:
    """Every step on its own: a failed one leaves no trace and the next one runs."""
    results: list[StepDone | StepFailed] = []
    changes: list[Change] = []
    made: list[int | None] = []
    steps = context.for_steps(made)
    for step in command.commands:
        refusal = _refusal(state, steps)
        if refusal is not None:
            results += [refusal] * (len(command.commands) - len(results))
            break
        if isinstance(step, Command):
            outcome = _apply(state, step, steps)
            results.append(StepDone(outcome.result) if outcome.error is None else StepFailed(outcome.error.wire()))
            changes.extend(outcome.changes or ())
            made.append(outcome.result.id if isinstance(outcome.result, Created) else None)
        else:
            results.append(step_read(step, context.read, made))
            made.append(None)
    return Outcome(results, changes=changes)


def _refusal(state: State, steps: Context) -> Unbegun | None:
    """The answer of every step from here on, None where the next one may begin."""
    try:
        steps.budget.check(state.level)
    except TooLarge as exc:
        exc.data["applied"] = "no"
        return Unbegun(exc.wire())
    return None


def _open_session(state: State, _command: SessionOpen, context: Context) -> SessionOpened:
    epoch = (state.epochs.current or "") if state.level >= EPOCHS_LEVEL else None
    return SessionOpened(state.sessions.open(context.time, epoch))


def _check(state: State, command: CheckDigest, _context: Context) -> None:
    state.checks.compare(command)


def _raise(state: State, command: RaiseLevel, _context: Context) -> None:
    if command.level > FEATURE_LEVEL:
        raise Newer(
            f"the log was written by a newer qcore: it puts feature level {command.level} in force, this version knows "
            f"up to {FEATURE_LEVEL}. Start the version that wrote it, or a later one."
        )
    state.raise_level(command.level)


def _open_epoch(state: State, command: OpenEpoch, _context: Context) -> None:
    if state.level < EPOCHS_LEVEL:
        raise BadParams(f"epochs begin with feature level {EPOCHS_LEVEL}, {state.level} is in force")
    if not is_epoch(command.epoch):
        raise BadParams(f"an epoch is 16 lower hex digits, given {command.epoch[:80]!r}")
    state.open_epoch(command.epoch)


def _check_removed_level(state: State) -> None:
    if state.level < REMOVED_LEVEL:
        raise BadParams(f"disks are removed from feature level {REMOVED_LEVEL} on, {state.level} is in force")


def _remove_disk(state: State, command: RemoveDisk, _context: Context) -> None:
    _check_removed_level(state)
    state.removed.add(command.incarnation, command.node)


def _readmit_disk(state: State, command: ReadmitDisk, _context: Context) -> None:
    _check_removed_level(state)
    state.removed.readmit(command.incarnation)


def _stage(state: State, command: StagePart, context: Context) -> None:
    state.staged.add(command, context.time)


_COMMANDS: dict[type[Any], Any] = {
    **{each: _at_once(work) for each, work in LONG_COMMANDS.items()},
    CheckDigest: _check,
    Create: create,
    OpenEpoch: _open_epoch,
    RaiseLevel: _raise,
    ReadmitDisk: _readmit_disk,
    RemoveDisk: _remove_disk,
    StagePart: _stage,
    SchemaDelete: delete_schema,
    SessionOpen: _open_session,
    SetFields: set_fields,
}
