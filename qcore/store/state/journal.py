"""The journal of a command: what it did to the state, line by line, and how each line is taken back.

A line has the name of the primitive of `State` that wrote it. It holds what was there before.
"""

from __future__ import annotations

from array import array
from typing import Any

import msgspec

from qcore.model.schema import CompleteSchema
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.tables import Tables

__all__ = ["PLACED", "Added", "Change", "Linked", "Put", "Relaid", "Removed", "Reordered", "Unlinked", "undo"]

PLACED = (PARENT, CHILDREN)
"""Slots whose values are the tree itself: no `Put` changes them."""


class Put(msgspec.Struct, gc=False):
    """A field was written, or unset: its value, time and revision before."""

    entity: Entity
    slot: int
    value: Any
    time: int
    revision: int


class Added(msgspec.Struct, gc=False):
    """A new entity exists."""

    entity: Entity


class Removed(msgspec.Struct, gc=False):
    """An entity exists no more; it is as it was."""

    entity: Entity


class Linked(msgspec.Struct, gc=False):
    """An entity was hung behind the last child of a parent: what it had in Parent, and its order, before."""

    entity: Entity
    parent: Any
    order: int


class Unlinked(msgspec.Struct, gc=False):
    """An entity was taken out of its siblings, among which it had this place."""

    entity: Entity
    place: int


class Reordered(msgspec.Struct, gc=False):
    """The children of an entity got another order: their list and their orders before."""

    entity: Entity
    children: list[int]
    orders: list[int]


class Relaid(msgspec.Struct, gc=False):
    """An entity got another complete schema: the schema, values and stamps before."""

    entity: Entity
    schema: CompleteSchema
    values: list[Any]
    stamps: array[int]


Change = Put | Added | Removed | Linked | Unlinked | Reordered | Relaid
"""One line."""


def undo(tables: Tables, line: Change) -> None:
    """Take one line back, all later ones being taken back already; the digest is not of the tables."""
    entity = line.entity
    match line:
        case Put(slot=slot):
            if slot not in PLACED:
                new = entity.values[slot]
                tables.indexes.changed(entity, slot, new, line.value)
                entity.values[slot] = line.value
                if slot == NAME and new != line.value:
                    tables.names.renamed(entity, new)
            entity.stamps[2 * slot], entity.stamps[2 * slot + 1] = line.time, line.revision
        case Added():
            tables.forget(entity)
            tables.indexes.unmade(entity)
        case Removed():
            tables.entities[entity.id] = entity
            tables.counts[entity.type] += 1
            tables.indexes.back(entity)
        case Linked():
            tables.names.removed(entity.parent, entity)
            tables.siblings(entity.parent).pop()
            entity.values[PARENT], entity.order = line.parent, line.order
        case Unlinked():
            tables.siblings(entity.parent).insert(line.place, entity.id)
            tables.names.came_back(entity.parent, entity)
        case Reordered():
            for child, order in zip(entity.values[CHILDREN], line.orders, strict=True):
                tables.entities[child].order = order
            entity.values[CHILDREN] = line.children
            tables.names.forget(entity.id)
        case Relaid():
            entity.schema, entity.values, entity.stamps = line.schema, line.values, line.stamps
