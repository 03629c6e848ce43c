"""The state machine: one log entry in, one outcome for each of its commands out.

Apply is deterministic: it reads the entry and the state, never a clock, a random source or a setting. A
`RequestError` is a command's answer and leaves no trace; any other exception is a defect and stops the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from qcore.model.entry import FEATURE_LEVEL, Entry, Logged
from qcore.model.errors import BadParams, BadSchema, Conflict, Forbidden, Newer, RequestError, TooLarge
from qcore.model.ids import MAX_GIVEN_ID, ROOT_ID, check_entity_name, is_epoch
from qcore.model.leader_commands import CheckDigest, OpenEpoch, RaiseLevel, RunStaged, StagePart
from qcore.model.requests.commands import (
    Bootstrap,
    Command,
    Create,
    Delete,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SessionOpen,
    SetFields,
    TreeNode,
)
from qcore.model.requests.compound import COMPOUND, Pipeline, Transaction
from qcore.model.requests.restore import Restore
from qcore.model.requests.results import Booted, Created, Deleted, SessionOpened, StepDone, StepFailed
from qcore.model.schema import MAINTAINED
from qcore.model.values import INT_MAX
from qcore.model.wire import encode_json
from qcore.store.budget import units_of
from qcore.store.compound import Unbegun, filled, run_transaction, step_read, without_reads
from qcore.store.context import Context, Read
from qcore.store.documents.restore import restore
from qcore.store.resolve import entity_at
from qcore.store.schemas import change_types, delete_schema, set_field_schema, set_schemas
from qcore.store.sessions.sessions import Answer
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.epochs import EPOCHS_LEVEL
from qcore.store.state.journal import Change
from qcore.store.state.state import State
from qcore.store.write import check_depth, parse_whole, set_fields, stamp

__all__ = ["Outcome", "apply_entry"]


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


_COMMAND_TIME_LEVEL = 2
"""Feature level from which on no other entries than those of commands move the state's time."""

_CARRIED_AGAIN = 4
"""Units of an element of a value that an error carries: it takes more memory there."""

_decode_staged = msgspec.json.Decoder(Logged).decode


def apply_entry(state: State, entry: Entry, read: Read | None = None) -> Iterator[Outcome]:
    """Apply an entry command by command, so that the caller may pause between two of them.

    The entry counts as applied when the iterator is exhausted. `read` carries out the reads inside pipelines and
    transactions; given only where their answers are owed.

    Raises:
        Diverged: the leader's digest was another one.
        Newer: the entry puts rules in force that this version does not know.
    """
    context = Context(_time(state, entry), read)
    for command in entry.body.commands:
        context.budget.reset()
        yield _outcome(state, command, context)
    state.entry_applied(entry.id.index, context.time)


def _time(state: State, entry: Entry) -> int:
    """The state's time when an entry is applied, which never goes back."""
    if entry.body.kind != "commands" and state.level >= _COMMAND_TIME_LEVEL:
        return state.time
    return max(entry.body.time, state.time)


def _outcome(state: State, command: Command, context: Context) -> Outcome:
    if isinstance(command, RunStaged):
        try:
            command = _decode_staged(state.staged.take(command, context.time))
        except RequestError as exc:
            return Outcome(error=exc)
    return _numbered(state, command, context) if command.session else _apply(state, command, context)


def _numbered(state: State, command: Command, context: Context) -> Outcome:
    try:
        if not 1 <= command.seq <= INT_MAX:
            raise BadParams(f"a numbered write has seq from 1 to {INT_MAX}, {command.seq} given")
        session = state.sessions.use(command.session, context.time)
        before = session.find(command.seq, command.acked, command.hash)
    except RequestError as exc:
        exc.data["applied"] = "unknown" if exc.kind == "session_expired" else "no"
        return Outcome(error=exc)
    if before is not None:
        if isinstance(command, COMPOUND) and not before.failed and context.read is not None:
            return Outcome(filled(command, before.raw, context.read))
        return Outcome(before=before)
    outcome = _apply(state, command, context)
    if outcome.error is not None:
        raw = encode_json(outcome.error.wire())
    else:
        raw = encode_json(without_reads(command, outcome.result) if isinstance(command, COMPOUND) else outcome.result)
    session.keep(command.seq, Answer(command.hash, outcome.error is not None, raw))
    return outcome


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


def _count(state: State, context: Context, error: RequestError | None = None) -> None:
    """Count what a step of a pipeline did, refused ones too."""
    if context.made is not None:
        context.budget.count(state.journal)
        if error is not None:
            context.budget.spend(_CARRIED_AGAIN * units_of(error.data.get("value")))


def _run(state: State, command: Command, context: Context) -> Any:
    return _COMMANDS[type(command)](state, command, context)


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


def _create(state: State, command: Create, context: Context) -> Created:
    parent = 0 if command.parent is None else entity_at(state, command.parent, context.made).id
    entity = _new(state, command, parent, context)
    for name, value in command.fields.items():
        _fill(state, entity, name, value, context, command.max_list)
    context.wrote = True
    return Created(entity.id, context.revision)


def _new(state: State, command: Create, parent: int, context: Context) -> Entity:
    schema = state.types.of(command.type)
    if "Root" in schema.ancestors:
        raise Forbidden("there is one Root and it exists already")
    check_depth(state, parent, 1, command.max_depth)
    if state.next_id > MAX_GIVEN_ID:
        raise TooLarge("the store has given out all of its ids")
    time, revision = context.time, context.revision
    entity = Entity(state.allocate_id(), schema)
    entity.values[NAME] = check_entity_name(command.name)
    state.add(entity, parent)
    state.put(entity, NAME, command.name, time, revision)
    if parent:
        state.put(entity, PARENT, parent, time, revision)
        stamp(state, state.entities[parent], CHILDREN, context)
    return entity


def _fill(state: State, entity: Entity, name: str, value: Any, context: Context, max_list: int) -> None:
    """Write a field of an entity that is being created."""
    field = entity.schema.field(name)
    if name in MAINTAINED:
        raise BadParams(f"field {name} of a new entity is not given among its fields")
    stored = parse_whole(state, field, value, max_list, context.made)
    state.put(entity, field.slot, stored, context.time, context.revision)


def _delete(state: State, command: Delete, context: Context) -> Deleted:
    top = entity_at(state, command.id, context.made)
    if top.id == ROOT_ID:
        raise Forbidden("the Root cannot be deleted")
    doomed = [top]
    for entity in doomed:
        doomed.extend(state.entities[child] for child in state.children(entity.id))
    state.unlink(top)
    if top.parent:
        stamp(state, state.entities[top.parent], CHILDREN, context)
    for entity in doomed:
        state.remove(entity)
    context.wrote = True
    return Deleted(len(doomed), context.revision)


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


def _stage(state: State, command: StagePart, context: Context) -> None:
    state.staged.add(command, context.time)


def _bootstrap(state: State, command: Bootstrap, context: Context) -> Booted:
    """Load the schema file: all types first, then the tree, then the fields, so that any may refer to any."""
    if state.mark:
        return Booted(False, state.revision)
    known = {name: schema for name, schema in state.types.own.items() if name not in ("Object", "Root")}
    clash = [s.entity_type for s in command.schemas if s.entity_type in known]
    if clash:
        raise Conflict(f"the store has the types {', '.join(clash)} already; a schema file is for a fresh store")
    if command.schemas:
        change_types(state, state.types.with_schemas(command.schemas), context, reset=False)
    planted: list[tuple[Entity, TreeNode]] = []
    for node in command.tree:
        _plant(state, node, planted, command, context)
    for entity, node in planted:
        for name, value in node.fields.items():
            _fill(state, entity, name, value, context, command.max_list)
    state.set_mark(command.file_hash)
    context.wrote = True
    return Booted(True, context.revision)


def _plant(
    state: State, top: TreeNode, planted: list[tuple[Entity, TreeNode]], command: Bootstrap, context: Context
) -> None:
    waiting: list[tuple[TreeNode, int]] = [(top, 0)]
    while waiting:
        node, parent = waiting.pop()
        if node.type == "Root":
            if parent:
                raise BadSchema(f"the tree has a Root {node.name!r} below another entity")
            entity = state.entities[ROOT_ID]
            state.put(entity, NAME, check_entity_name(node.name), context.time, context.revision)
        else:
            create = Create(node.type, node.name, max_depth=command.max_depth)
            entity = _new(state, create, parent, context)
        planted.append((entity, node))
        waiting.extend((child, entity.id) for child in reversed(node.children))


_COMMANDS: dict[type[Any], Any] = {
    Bootstrap: _bootstrap,
    CheckDigest: _check,
    FieldSet: set_field_schema,
    Create: _create,
    Delete: _delete,
    OpenEpoch: _open_epoch,
    RaiseLevel: _raise,
    Restore: restore,
    StagePart: _stage,
    SchemaDelete: delete_schema,
    SchemaSet: set_schemas,
    SessionOpen: _open_session,
    SetFields: set_fields,
}
