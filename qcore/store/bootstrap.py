"""Loading the schema file: the types and the tree that a store begins with."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.model.errors import BadSchema, Conflict
from qcore.model.ids import ROOT_ID, check_entity_name
from qcore.model.requests.commands import Bootstrap, Create, TreeNode
from qcore.model.requests.results import Booted
from qcore.model.work import Pace, Work
from qcore.store.context import LONG, Context
from qcore.store.create import fill, new_entity
from qcore.store.schemas import change_types, field_count
from qcore.store.state.entity import NAME, Entity
from qcore.store.state.state import State

__all__ = ["bootstrap"]


def bootstrap(state: State, command: Bootstrap, context: Context) -> Work[Booted]:
    """Load the schema file: all types first, then the tree, then the fields, so that any may refer to any.

    Raises:
        Conflict: the store has types already.
        RequestError: as `schema.set` and `create` do.
    """
    if state.mark:
        return Booted(False, state.revision)
    known = {name: schema for name, schema in state.types.own.items() if name not in ("Object", "Root")}
    clash = [s.entity_type for s in command.schemas if s.entity_type in known]
    if clash:
        raise Conflict(f"the store has the types {', '.join(clash)} already; a schema file is for a fresh store")
    types = (yield from state.types.setting(command.schemas)) if command.schemas else None
    state = context.workspace(state, _size(command))
    if types is not None:
        yield from change_types(state, types, context, reset=False)
    planted: list[tuple[Entity, TreeNode]] = []
    pace = Pace()
    for _ in _plant(state, planted, command, context):
        if pace.is_due(8):
            yield
    for entity, node in planted:
        for name, value in node.fields.items():
            fill(state, entity, name, value, context, command.max_list)
        if pace.is_due(1 + 2 * len(node.fields)):
            yield
    state.set_mark(command.file_hash)
    context.wrote = True
    return Booted(True, context.revision)


def _size(command: Bootstrap) -> int:
    """Entities and fields that a file brings, counted until it is known to be long."""
    size = field_count(command.schemas)
    nodes = list(command.tree)
    while nodes and size < LONG:
        size += 1
        nodes.extend(nodes.pop().children)
    return size


def _plant(
    state: State, planted: list[tuple[Entity, TreeNode]], command: Bootstrap, context: Context
) -> Iterator[None]:
    """Create the entities of the tree, parents first; a None behind each."""
    for top in command.tree:
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
                entity = new_entity(state, create, parent, context)
            planted.append((entity, node))
            waiting.extend((child, entity.id) for child in reversed(node.children))
            yield
