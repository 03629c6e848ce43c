"""Changing schemas on live data: nothing is lost but what was removed or changed its kind.

From level 3 on nothing of that is lost either unless the command says `reset`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from qcore.model.errors import BadParams, InUse
from qcore.model.requests.commands import FieldSet, SchemaDelete, SchemaSet
from qcore.model.requests.results import SchemaDone
from qcore.model.schema import EntitySchema, FieldSchema, Types
from qcore.model.work import Pace, Work, run_whole
from qcore.store.budget import BUDGET_LEVEL, types_units
from qcore.store.context import Context
from qcore.store.fitting import check_room, count_resets, misfit_count, misfits, refuse_resets, resets
from qcore.store.state.state import State
from qcore.store.state.view import View

__all__ = [
    "RESET_LEVEL",
    "change_types",
    "delete_schema",
    "field_count",
    "replace_types",
    "reset_labels",
    "set_field_schema",
    "set_schemas",
    "try_field_schema",
    "try_schemas",
]

RESET_LEVEL = 3
"""Feature level from which on values are reset only where the command says so."""


def set_schemas(state: State, command: SchemaSet, context: Context) -> Work[SchemaDone]:
    """Apply `schema.set`: all schemas or none.

    Raises:
        BadSchema, Cycle: a schema that cannot be.
        InUse: values would be reset, and the command does not say so.
        TooLarge: a type with too many fields, too much room for its entities.
        BadParams: a dry run, which reads and is no write.
    """
    if command.dry_run:
        raise BadParams("a dry run stands alone, not in a pipeline or a transaction")
    schemas = _given(command)
    context.budget.spend(types_units(state.types, schemas))
    types = yield from state.types.setting(schemas)
    state = context.workspace(state, misfit_count(state, types) + field_count(schemas))
    counts = yield from change_types(state, types, context, reset=command.reset)
    context.wrote = True
    return _done(schemas, context.revision, counts)


def try_schemas(state: State, command: SchemaSet) -> Work[SchemaDone]:
    """What `schema.set` would answer with `reset`; nothing is changed.

    Raises:
        RequestError: as `set_schemas` does, but for what `reset` allows.
    """
    schemas = _given(command)
    view = state.pin()
    try:
        types = yield from view.types.setting(schemas)
        if state.level >= BUDGET_LEVEL:
            check_room(view, view.types, types)
        if state.level < RESET_LEVEL:
            yield from _check_labels(view, types)
        counts = yield from count_resets(resets(view, types))
        return _done(schemas, view.revision + 1, counts)
    finally:
        view.release()


def _check_labels(view: View, types: Types) -> Work[None]:
    pace = Pace()
    for entity, _, fitting in misfits(view, view.types, types):
        fitting.check(entity)
        if pace.is_due():
            yield


def field_count(schemas: Iterable[EntitySchema]) -> int:
    """Own fields of all of them."""
    return sum(len(schema.fields) for schema in schemas)


def _given(command: SchemaSet) -> list[EntitySchema]:
    schemas = command.schemas if command.schema is None else [command.schema]
    if not schemas or (command.schema is not None and command.schemas is not None):
        raise BadParams("schema.set needs schema or schemas, and not both")
    return schemas


def _done(schemas: list[EntitySchema], revision: int, counts: dict[str, int]) -> SchemaDone:
    return SchemaDone(revision, sorted(schema.entity_type for schema in schemas), counts)


def set_field_schema(state: State, command: FieldSet, context: Context) -> Work[SchemaDone]:
    """Apply `field.set`: the type's own schema with one field added or changed.

    Raises:
        NotFound: no such type.
        BadSchema, InUse, TooLarge, BadParams: as `schema.set` does.
    """
    whole = _whole(state.types, command)
    context.budget.spend(len(whole.schema.fields) if whole.schema is not None else 0)
    return (yield from set_schemas(state, whole, context))


def try_field_schema(state: State, command: FieldSet) -> Work[SchemaDone]:
    """What `field.set` would answer with `reset`; raises as `try_schemas` does, and `NotFound`."""
    return try_schemas(state, _whole(state.types, command))


def _whole(types: Types, command: FieldSet) -> SchemaSet:
    """The `schema.set` that a `field.set` is."""
    own = types.get(command.type)
    fields = {field.name: field for field in own.fields}
    fields[command.field] = _changed(fields, command)
    schema = EntitySchema(own.entity_type, own.inherits_from, list(fields.values()))
    return SchemaSet(schema, dry_run=command.dry_run, reset=command.reset)


def _changed(fields: dict[str, FieldSchema], command: FieldSet) -> FieldSchema:
    change, old = command.schema, fields.get(command.field)
    kind = change.data_type or (old.data_type if old else None)
    if kind is None:
        raise BadParams(f"type {command.type} has no own field {command.field}: a new one needs a dataType")
    if old is None or kind is not old.data_type:
        rank = old.rank if old else max((field.rank or 0 for field in fields.values()), default=-1) + 1
        old = FieldSchema(command.field, kind, None, rank, [], old.storage_scope if old else "Configuration")
    return FieldSchema(
        command.field,
        kind,
        old.default if change.default is msgspec.UNSET else change.default,
        old.rank if change.rank is None else change.rank,
        old.choices if change.choices is None else change.choices,
        old.storage_scope if change.storage_scope is None else change.storage_scope,
    )


def delete_schema(state: State, command: SchemaDelete, context: Context) -> SchemaDone:
    """Apply `schema.delete`.

    Raises:
        NotFound: no such type.
        InUse: it is built in, inherited, or has entities.
    """
    context.budget.spend(types_units(state.types, ()))
    types = state.types.without(command.type)
    count = state.counts.get(command.type, 0)
    if count:
        raise InUse(f"type {command.type} has {count} entities")
    run_whole(replace_types(state, types))
    context.wrote = True
    return SchemaDone(context.revision, [command.type])


def change_types(state: State, types: Types, context: Context, *, reset: bool) -> Work[dict[str, int]]:
    """Set the schemas, and fit every entity; returns how many values went of each field, where that is counted.

    Raises:
        InUse, TooLarge: see `set_schemas`.
    """
    counts: dict[str, int] = {}
    if state.level >= RESET_LEVEL:
        counts = yield from count_resets(resets(state, types, context.budget.spend))
        if not reset:
            refuse_resets(counts)
        if counts:
            yield from reset_labels(state, types)
    yield from replace_types(state, types)
    return counts


def reset_labels(state: State, types: Types) -> Work[None]:
    """Let Choices whose label goes with other schemas be unset."""
    pace = Pace()
    for entity, _, fitting in misfits(state, state.types, types):
        for field in fitting.lost_labels(entity):
            state.put(entity, field.slot, None, 0, 0)
        if pace.is_due(1 + fitting.loses):
            yield


def replace_types(state: State, types: Types) -> Work[None]:
    """Set the schemas and fit every entity of the types that changed, descendants included.

    Raises:
        InUse: a label that an entity holds would go.
        TooLarge: see `check_room`.
    """
    before = state.types
    if state.level >= BUDGET_LEVEL:
        check_room(state, before, types)
    yield from state.set_types(types)
    pace = Pace()
    for entity, schema, fitting in misfits(state, before, types):
        fitting.check(entity)
        state.relay(entity, schema, *fitting.fit(entity), fitting.dropped)
        if pace.is_due(len(schema.slots)):
            yield
