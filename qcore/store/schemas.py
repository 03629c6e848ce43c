"""Changing schemas on live data: nothing is lost but what was removed or changed its kind."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import msgspec

from qcore.model.errors import BadParams, InUse
from qcore.model.requests.commands import FieldSet, SchemaDelete, SchemaSet
from qcore.model.requests.results import SchemaDone
from qcore.model.schema import CompleteSchema, EntitySchema, FieldSchema, Types
from qcore.model.values import Kind
from qcore.store.context import Context
from qcore.store.state.entity import Entity
from qcore.store.state.state import State

__all__ = ["delete_schema", "replace_types", "set_field_schema", "set_schemas", "try_schemas"]


def set_schemas(state: State, command: SchemaSet, context: Context) -> SchemaDone:
    """Apply `schema.set`: all schemas or none.

    Raises:
        BadSchema, Cycle: a schema that cannot be.
        InUse: a label that an entity holds would go.
        BadParams: a dry run, which reads and is no write.
    """
    if command.dry_run:
        raise BadParams("a dry run stands alone, not in a pipeline or a transaction")
    schemas = _given(command)
    replace_types(state, state.types.with_schemas(schemas))
    context.wrote = True
    return _done(schemas, context.revision)


def try_schemas(state: State, command: SchemaSet) -> SchemaDone:
    """What `schema.set` would answer; nothing is changed.

    Raises:
        RequestError: as `set_schemas` does.
    """
    schemas = _given(command)
    for _, entity, fitting in _misfits(state, state.types, state.types.with_schemas(schemas)):
        fitting.check(entity)
    return _done(schemas, state.revision + 1)


def _given(command: SchemaSet) -> list[EntitySchema]:
    schemas = command.schemas if command.schema is None else [command.schema]
    if not schemas or (command.schema is not None and command.schemas is not None):
        raise BadParams("schema.set needs schema or schemas, and not both")
    return schemas


def _done(schemas: list[EntitySchema], revision: int) -> SchemaDone:
    return SchemaDone(revision, sorted(schema.entity_type for schema in schemas))


def set_field_schema(state: State, command: FieldSet, context: Context) -> SchemaDone:
    """Apply `field.set`: the type's own schema with one field added or changed.

    Raises:
        NotFound: no such type.
        BadSchema, InUse: as `schema.set` does.
    """
    own = state.types.get(command.type)
    fields = {field.name: field for field in own.fields}
    fields[command.field] = _changed(fields, command)
    schema = EntitySchema(own.entity_type, own.inherits_from, list(fields.values()))
    return set_schemas(state, SchemaSet(schema), context)


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
    types = state.types.without(command.type)
    count = state.counts.get(command.type, 0)
    if count:
        raise InUse(f"type {command.type} has {count} entities")
    replace_types(state, types)
    context.wrote = True
    return SchemaDone(context.revision, [command.type])


def replace_types(state: State, types: Types) -> None:
    """Set the schemas and fit every entity of the types that changed, descendants included."""
    before = state.types
    state.set_types(types)
    for schema, entity, fitting in _misfits(state, before, types):
        state.relay(entity, schema, *fitting.fit(entity), fitting.dropped)


def _misfits(state: State, before: Types, types: Types) -> Iterator[tuple[CompleteSchema, Entity, _Fitting]]:
    """Each entity that needs other slots for other schemas, with its new one and how to come by what is in them."""
    for name, schema in types.complete.items():
        if state.counts.get(name) and schema is not before.complete[name]:
            fitting = _Fitting(before.complete[name], schema)  # all entities of a type have one schema
            for id in state.ids(name):
                entity = state.entities.get(id)
                if entity is not None:
                    yield schema, entity, fitting


_UNWRITTEN = array("q", (0, 0))


class _Fitting:
    """From the slots of one complete schema to those of another of the same type."""

    def __init__(self, old: CompleteSchema, new: CompleteSchema) -> None:
        kept = [old.by_name.get(field.name) for field in new.slots]
        self._type = new.type
        nothing = len(old.slots)  # a slot behind the others: of a field that is new or has another kind
        slots = [
            before.slot if before is not None and before.kind is field.kind else nothing
            for before, field in zip(kept, new.slots, strict=True)
        ]
        self._values = itemgetter(*slots)
        self._stamps = itemgetter(*(place for slot in slots for place in (2 * slot, 2 * slot + 1)))
        taken = set(slots)
        self.dropped = [field for field in old.slots if field.slot not in taken]
        self._labels = [
            (field, before.slot)
            for before, field in zip(kept, new.slots, strict=True)
            if before is not None
            and before.kind is field.kind is Kind.Choice
            and not set(before.labels) <= set(field.labels)
        ]
        """Choices that lose a label, and where they were."""

    def check(self, entity: Entity) -> None:
        """Raise `InUse` where a label that the entity holds would go."""
        for field, slot in self._labels:
            label = entity.values[slot]
            if label is not None and label not in field.labels:
                raise InUse(f"label {label!r} of {self._type}.{field.name} is in use by entity {entity.id}")

    def fit(self, entity: Entity) -> tuple[list[Any], array[int]]:
        """Values and stamps by the new slots.

        Raises:
            InUse: as `check` does.
        """
        self.check(entity)
        values = list(self._values([*entity.values, None]))
        return values, array("q", self._stamps(entity.stamps + _UNWRITTEN))
