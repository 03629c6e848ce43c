"""What a command did, as records: entities with their fields before and after, and types. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from qcore.model.ids import parse_id
from qcore.model.requests.commands import Command, Create, Delete, FieldSet, IdForm, SchemaDelete, SchemaSet, SetFields
from qcore.model.requests.compound import Transaction
from qcore.model.schema import EntitySchema, Types
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.watch.events import CREATED, DELETED, Event
from qcore_tools.wal.values import Names, Shown

__all__ = ["Change", "FieldChange", "TypeChange", "as_asked", "changed_types", "changes_of"]

Action = Literal["create", "set", "reorder", "delete"]


class FieldChange(msgspec.Struct):
    """A field, its values as they are shown; `old` is UNSET where that is not known.

    `mode` is that of a write whose result is not known: ``add`` or ``subtract``.
    """

    name: str
    old: Any
    new: Any
    mode: str = "set"


class Change(msgspec.Struct):
    """An entity; where it is not known, `id` is None and `path` is what the command says. `below` counts what went with
    one that was deleted."""

    action: Action
    id: int | None
    type: str
    path: str
    fields: list[FieldChange] = []
    below: int = 0


class TypeChange(msgspec.Struct):
    """A type; None: there is none before, or afterwards, or it is not known what was before."""

    type: str
    old: EntitySchema | None
    new: EntitySchema | None


def changed_types(before: Types, after: Types) -> Iterator[TypeChange]:
    """The types that differ, by name."""
    if before is after:
        return
    for name in sorted(before.own.keys() | after.own.keys()):
        old, new = before.own.get(name), after.own.get(name)
        if old != new:
            yield TypeChange(name, old, new)


def changes_of(events: Sequence[Event], names: Names, shown: Shown, gone: Mapping[int, Entity]) -> list[Change]:
    """What was done to entities, in the order in which they were touched, then deletions from their tops.

    `gone` are all that the command has deleted, as they were before.
    """
    entities: dict[int, Change] = {}
    reordered: list[Change] = []
    deleted: dict[int, Entity] = {}
    for event in events:
        if event.kind == DELETED:
            deleted[event.id] = event.value
            continue
        if event.field is not None and event.field.slot == CHILDREN:
            reordered.append(_about(event, "reorder", names))
            continue
        change = entities.get(event.id)
        if change is None:
            change = entities[event.id] = _about(event, "create" if event.kind == CREATED else "set", names)
        change.fields += _field(event, shown)
    found = [*entities.values(), *_deletions(deleted, names, gone)]
    return found or reordered  # other changes bring their own order of children


def _about(event: Event, action: Action, names: Names) -> Change:
    return Change(action, event.id, "" if event.schema is None else event.schema.type, names.path(event.id))


def _field(event: Event, shown: Shown) -> Iterator[FieldChange]:
    """The field that an event tells of; of a new entity not those that its path tells."""
    found, now, before = event.field, event.current, event.previous
    if found is None or now is None or (event.fresh and found.slot in (NAME, PARENT)):
        return
    old = UNSET if before is None else shown.stored(found.kind, before.value)
    yield FieldChange(found.name, old, shown.stored(found.kind, now.value))


def _deletions(deleted: Mapping[int, Entity], names: Names, gone: Mapping[int, Entity]) -> Iterator[Change]:
    below: dict[int, int] = {}
    for id, entity in deleted.items():
        top = entity
        while top.parent in deleted:
            top = deleted[top.parent]
        below[top.id] = below.get(top.id, 0) + (top.id != id)
    for id, count in below.items():
        entity = deleted[id]
        yield Change("delete", id, entity.type, names.path_of(entity, gone), below=count)


def as_asked(command: Command, shown: Shown) -> list[Change | TypeChange]:
    """What a command asks for, where it did nothing, or nobody knows what."""
    names = shown.names
    match command:
        case Create():
            parent = "" if command.parent is None else _target(command.parent, names)[1]
            return [Change("create", None, command.type, f"{parent}/{command.name}", _given(command.fields, shown))]
        case Delete():
            return [Change("delete", *_of(command.id, names))]
        case SetFields():
            given = command.fields or ({} if command.field is None else {command.field: command.value})
            return [Change("set", *_of(command.id, names), _given(given, shown, command.mode))]
        case SchemaSet():
            asked = [*(command.schemas or ()), *([] if command.schema is None else [command.schema])]
            return [TypeChange(schema.entity_type, None, schema) for schema in asked]
        case FieldSet() | SchemaDelete():
            return [TypeChange(command.type, None, None)]
        case Transaction():
            return [
                change for step in command.commands if isinstance(step, Command) for change in as_asked(step, shown)
            ]
    return []


def _given(values: dict[str, Any], shown: Shown, mode: str = "set") -> list[FieldChange]:
    return [FieldChange(name, UNSET, shown.given(value), mode) for name, value in values.items()]


def _of(form: IdForm, names: Names | None) -> tuple[int | None, str, str]:
    """Id, type and path of an entity that a command names."""
    id, path = _target(form, names)
    return id, "" if names is None or id is None else names.type(id), path


def _target(form: IdForm, names: Names | None) -> tuple[int | None, str]:
    id = parse_id(str(form))
    if id is None:
        return None, str(form)
    return id, f"@{id}" if names is None or not names.has(id) else names.path(id)
