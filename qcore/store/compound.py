"""Pipelines and transactions: steps in order, `$n` for what an earlier step created, conditions.

Reads among the steps are evaluated only where the answer is owed (`read` is given), are not kept in a session's
answer, and never influence what is written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import msgspec

from qcore.model.errors import BadParams, Conflict, NotFound, RequestError, TooLarge, WrongKind
from qcore.model.quoting import quoted
from qcore.model.requests.commands import Command, Create
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Exists, Get
from qcore.model.requests.results import Created, StepDone, StepFailed, TransactionDone
from qcore.model.values import Kind
from qcore.model.wire import decode_json
from qcore.store.context import Context, Made, Read
from qcore.store.resolve import entity_at, made_at, walk
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.state import State
from qcore.store.write import OF_ANOTHER, is_foreign, parse_field, present

__all__ = ["Unbegun", "check_conditions", "filled", "run_transaction", "step_read", "without_reads"]


class Unbegun(StepFailed):
    """A step of a pipeline that was not begun, as the steps before it had taken all there is: kept for reads, too."""


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = frozenset({Kind.Int, Kind.Float, Kind.String, Kind.Timestamp})


def step_read(step: Any, read: Read | None, made: Made) -> StepDone | StepFailed:
    """Answer a read among the steps; null where the answer is owed elsewhere."""
    if read is None:
        return StepDone(None)
    try:
        return StepDone(read(_named(step, made)))
    except RequestError as exc:
        return StepFailed(exc.wire())


def _named(step: Any, made: Made) -> Any:
    """A read with the id that `$n` stands for; what was not created does not exist."""
    if not (isinstance(step, Get | Exists) and type(step.id) is str and step.id.startswith("$")):
        return step
    try:
        return msgspec.structs.replace(step, id=made_at(made, step.id))
    except NotFound:
        if isinstance(step, Exists):
            return msgspec.structs.replace(step, id=0)
        raise


def without_reads(command: Pipeline | Transaction, result: Any) -> Any:
    """The answer as a session keeps it: what was read is not part of it."""
    results = result.results if isinstance(result, TransactionDone) else result
    kept = [
        one if isinstance(step, Command) or isinstance(one, Unbegun) else StepDone(None)
        for step, one in zip(command.commands, results, strict=True)
    ]
    return TransactionDone(result.revision, kept) if isinstance(result, TransactionDone) else kept


def filled(command: Pipeline | Transaction, raw: bytes, read: Read) -> Any:
    """The kept answer of a retried command, its reads carried out now."""
    answer = decode_json(raw)
    results = answer["results"] if isinstance(answer, dict) else answer
    made = [_made_of(step, result) for step, result in zip(command.commands, results, strict=True)]
    for place, step in enumerate(command.commands):
        if not isinstance(step, Command) and "error" not in results[place]:
            results[place] = step_read(step, read, made[:place])
    return answer


def _made_of(step: Any, kept: Any) -> int | None:
    """What a step created, by its kept result."""
    result = kept.get("result")
    return result["id"] if isinstance(step, Create) and result is not None else None


def run_transaction(
    state: State, command: Transaction, context: Context, run: Callable[[State, Command, Context], Any]
) -> TransactionDone:
    """Run a transaction's steps under one revision; the caller rolls back when this raises.

    Raises:
        Conflict: a condition does not hold; says which.
        TooLarge: the steps before one have taken all there is.
        RequestError: what a step raises, with the step's number before it.
    """
    check_conditions(state, command.conditions)
    made: list[int | None] = []
    steps = context.for_steps(made)
    results: list[StepDone | StepFailed] = []
    for number, step in enumerate(command.commands, 1):
        _check_budget(state, steps, number)
        if isinstance(step, Command):
            result = _run_step(state, step, steps, run, number)
            made.append(result.id if isinstance(result, Created) else None)
            results.append(StepDone(result))
            steps.budget.count(state.journal)
        else:
            results.append(step_read(step, context.read, made))
            made.append(None)
    context.wrote = steps.wrote
    return TransactionDone(context.revision if context.wrote else state.revision, results)


def _check_budget(state: State, steps: Context, number: int) -> None:
    try:
        steps.budget.check(state.level)
    except TooLarge as exc:
        raise TooLarge(f"command {number}: {exc.message}", command=number) from None


def _run_step(
    state: State, step: Command, context: Context, run: Callable[[State, Command, Context], Any], number: int
) -> Any:
    try:
        return run(state, step, context)
    except RequestError as exc:
        raise type(exc)(f"command {number}: {exc.message}", **{**exc.data, "command": number}) from None


def check_conditions(state: State, conditions: list[Condition]) -> None:
    """Check every condition.

    Raises:
        Conflict: one does not hold; carries its number and what was found.
        BadParams: one is in none of the three forms.
    """
    for number, condition in enumerate(conditions, 1):
        if condition.exists is not None:
            _check_exists(state, condition, number)
        elif condition.field is not None:
            _check_field(state, condition, condition.field, number)
        else:
            raise BadParams(
                f"condition {number} is {{id, exists}}, {{id, field, op, value}} or {{id, field, revision, epoch?}}"
            )


def _check_exists(state: State, condition: Condition, number: int) -> None:
    if (condition.field, condition.op, condition.revision, condition.epoch) != (None,) * 4:
        raise BadParams(f"condition {number}: exists stands alone beside id")
    try:
        entity_at(state, condition.id)
        exists = True
    except NotFound:
        exists = False
    if exists is not condition.exists:
        word = "exists" if exists else "does not exist"
        raise Conflict(f"condition {number}: entity {condition.id} {word}", condition=number)


def _check_field(state: State, condition: Condition, path: str, number: int) -> None:
    entity, field, item = walk(state, entity_at(state, condition.id), path)
    if item is not None:
        raise WrongKind(f"condition {number}: path {quoted(path)} ends in an element of a list")
    if (condition.revision is None) == (condition.op is None):
        raise BadParams(f"condition {number} needs either op and value or revision")
    if condition.revision is not None:
        if is_foreign(state, condition.revision, condition.epoch):
            raise _unmet(state, entity, field.slot, number, f"revision {condition.revision}{OF_ANOTHER}")
        if entity.revision(field.slot) != condition.revision:
            raise _unmet(state, entity, field.slot, number, f"revision {condition.revision}")
        return
    if condition.epoch is not None:
        raise BadParams(f"condition {number}: an epoch goes with a revision, not with op and value")
    assert condition.op is not None
    if condition.value is msgspec.UNSET:
        raise BadParams(f"condition {number} has an op without a value")
    if condition.op not in ("==", "!=") and field.kind not in _ORDERED:
        raise WrongKind(
            f"condition {number}: field {field.name} is a {field.kind}: it is only == or !=, not {condition.op}"
        )
    found, wanted = entity.read(field.slot), parse_field(state, field, condition.value)
    if field.slot == CHILDREN:
        found = tuple(found) if len(found) == len(wanted) else None  # no more is looked at than was given
    if not _COMPARE[condition.op](found, wanted):
        raise _unmet(state, entity, field.slot, number, f"{condition.op} {quoted(condition.value)}")


def _unmet(state: State, entity: Entity, slot: int, number: int, wanted: str) -> Conflict:
    field = entity.schema.slots[slot]
    found, current = present(state, entity, field)
    return Conflict(
        f"condition {number}: field {field.name} of entity {entity.id}: expected {wanted}, found {found}",
        condition=number,
        **current,
    )
