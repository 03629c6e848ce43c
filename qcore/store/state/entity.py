"""One entity in memory: compact, because there are many.

Values stand by field slot of the complete schema (slots 0, 1, 2 are Name, Parent, Children), None = unset.
Times and revisions are packed in one array of signed 64-bit numbers, two per slot; revision 0 = never written.
"""

from __future__ import annotations

from array import array
from typing import Any

from qcore.model.schema import CompleteSchema

__all__ = ["CHILDREN", "NAME", "PARENT", "Entity"]

NAME, PARENT, CHILDREN = 0, 1, 2


class Entity:
    """`order` is the place among siblings: they stand by ascending order. Children is a list of ids or None."""

    __slots__ = ("id", "order", "schema", "stamps", "values")

    def __init__(self, id: int, schema: CompleteSchema) -> None:
        self.id = id
        self.schema = schema
        self.order = 0
        self.values: list[Any] = [None] * len(schema.slots)
        self.stamps = array("q", bytes(16 * len(schema.slots)))

    def fork(self) -> Entity:
        """A twin that stays as this entity is now: it takes over the lists that readers hold, this one copies them."""
        twin = Entity.__new__(Entity)
        twin.id, twin.order, twin.schema = self.id, self.order, self.schema
        twin.values, twin.stamps = self.values, self.stamps
        self.values, self.stamps = list(self.values), self.stamps[:]
        if self.values[CHILDREN] is not None:
            self.values[CHILDREN] = list(self.values[CHILDREN])
        return twin

    def copy(self) -> Entity:
        """Another entity that is as this one, and shares nothing with it that changes."""
        copy = self.twin()
        if copy.values[CHILDREN] is not None:
            copy.values[CHILDREN] = list(copy.values[CHILDREN])
        return copy

    def twin(self) -> Entity:
        """A copy; both share the list of children, which follows what happens to others."""
        twin = Entity.__new__(Entity)
        twin.id, twin.order, twin.schema = self.id, self.order, self.schema
        twin.values, twin.stamps = list(self.values), self.stamps[:]
        return twin

    def rewind(self, slot: int, value: Any, time: int, revision: int) -> None:
        """Give a slot back what it held; of a twin, never of an entity of the state. Children keeps its list."""
        if slot != CHILDREN:
            self.values[slot] = value
        self.stamps[2 * slot], self.stamps[2 * slot + 1] = time, revision

    @property
    def type(self) -> str:
        return self.schema.type

    @property
    def name(self) -> str:
        return self.values[NAME]  # type: ignore[no-any-return]

    @property
    def parent(self) -> int:
        """Id of the parent, 0 without one."""
        return self.values[PARENT] or 0

    def read(self, slot: int) -> Any:
        """The stored form in a slot, the field's default where it is unset."""
        value = self.values[slot]
        return self.schema.slots[slot].default if value is None else value

    def time(self, slot: int) -> int:
        """Write time in ns; means nothing where `revision` is 0."""
        return self.stamps[2 * slot]

    def revision(self, slot: int) -> int:
        """The revision that wrote the slot, 0 = never written."""
        return self.stamps[2 * slot + 1]
