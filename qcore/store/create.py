"""Creating one entity, by itself or as part of a tree."""

from __future__ import annotations

from typing import Any

from qcore.model.errors import BadParams, Forbidden, TooLarge
from qcore.model.ids import MAX_GIVEN_ID, check_entity_name
from qcore.model.requests.commands import Create
from qcore.model.requests.results import Created
from qcore.model.schema import MAINTAINED
from qcore.store.context import Context
from qcore.store.resolve import entity_at
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.state import State
from qcore.store.write import check_depth, parse_whole, stamp

__all__ = ["create", "fill", "new_entity"]


def create(state: State, command: Create, context: Context) -> Created:
    """Apply `create`; the caller rolls back when this raises.

    Raises:
        NotFound: no such type, parent or field.
        Forbidden, BadParams, BadValue, TooLarge: what the store cannot take.
    """
    parent = 0 if command.parent is None else entity_at(state, command.parent, context.made).id
    entity = new_entity(state, command, parent, context)
    for name, value in command.fields.items():
        fill(state, entity, name, value, context, command.max_list)
    context.wrote = True
    return Created(entity.id, context.revision)


def new_entity(state: State, command: Create, parent: int, context: Context) -> Entity:
    """Create an entity below `parent` (0: on its own), without the command's fields; raises as `create` does."""
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


def fill(state: State, entity: Entity, name: str, value: Any, context: Context, max_list: int) -> None:
    """Write a field of an entity that is being created; raises as `create` does."""
    field = entity.schema.field(name)
    if name in MAINTAINED:
        raise BadParams(f"field {name} of a new entity is not given among its fields")
    stored = parse_whole(state, field, value, max_list, context.made)
    state.put(entity, field.slot, stored, context.time, context.revision)
