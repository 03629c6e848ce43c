"""Deleting an entity and everything below it."""

from __future__ import annotations

from qcore.model.errors import Forbidden
from qcore.model.ids import ROOT_ID
from qcore.model.requests.commands import Delete
from qcore.model.requests.results import Deleted
from qcore.model.work import Pace, Work
from qcore.store.context import Context
from qcore.store.resolve import entity_at
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.state import State
from qcore.store.write import stamp

__all__ = ["delete", "subtree"]


def delete(state: State, command: Delete, context: Context) -> Work[Deleted]:
    """Apply `delete`.

    Raises:
        NotFound, BadParams: no such entity.
        Forbidden: it is the Root.
    """
    top = entity_at(state, command.id, context.made)
    if top.id == ROOT_ID:
        raise Forbidden("the Root cannot be deleted")
    doomed = (yield from subtree(state, top)) if state.children(top.id) else [top]
    state = context.workspace(state, len(doomed))
    state.unlink(top)
    if top.parent:
        stamp(state, state.entities[top.parent], CHILDREN, context)
    pace = Pace()
    for entity in doomed:
        state.remove(entity)
        if pace.is_due(len(entity.values)):
            yield
    context.wrote = True
    return Deleted(len(doomed), context.revision)


def subtree(state: State, top: Entity) -> Work[list[Entity]]:
    """An entity and everything below it, parents first."""
    found, pace = [top], Pace()
    for entity in found:
        children = state.children(entity.id)
        found.extend(map(state.entities.__getitem__, children))
        if pace.is_due(1 + len(children) // 8):
            yield
    return found
