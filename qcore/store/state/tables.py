"""Types and entities, and all that finds them: what the state is made of, and what is swapped when it is replaced.

Views hold the tables and no state, so that one that is open stays readable when the state has gone on to others.
Digest, journal and counters are not kept here: `qcore.store.state.state` alone changes tables.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, MutableMapping, Sequence

from qcore.model.ids import ROOT_ID
from qcore.model.schema import Types
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.indexes import Indexes
from qcore.store.state.name_index import NameIndex
from qcore.store.state.pinned import Pinned
from qcore.store.state.pins import Pins, Retire, Work

__all__ = ["Tables"]

_COMPACT_SLACK = 64

_SLICE = 500
"""Entities that are freed between two pauses."""


class Tables:
    """A `View` of what is there now."""

    __slots__ = ("_ids", "counts", "entities", "indexes", "names", "next_id", "pins", "thinned", "top", "types")

    def __init__(self, types: Types) -> None:
        self.types = types
        self.next_id = ROOT_ID + 1
        self.entities: MutableMapping[int, Entity] = {}
        self.top: list[int] = []
        """Entities without a parent, by order."""
        self.counts: dict[str, int] = {}
        """How many there are of exactly a type."""
        self._ids: dict[str, array[int]] = {}
        self.thinned: set[str] = set()
        """Types of which something went, whose ids may be worth compacting."""
        self.names = NameIndex(self.entities)
        self.indexes = Indexes(self)
        """For searches of this node; told of what changes, but no part of what is replicated."""
        self.pins: Pins[Pinned] = Pins()

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""
        return self.top if parent == 0 else self.entities[parent].values[CHILDREN] or ()

    def child_named(self, parent: int, name: str, twin: int) -> int | None:
        """Id of the `twin`-th child of that name, None where there is none."""
        return self.names.find(parent, self.children(parent), name, twin)

    def ids(self, type_name: str) -> array[int]:
        """Ids that are or were of exactly this type, ascending; look each up, the dead stay a while."""
        return self._ids.get(type_name) or array("Q")

    def siblings(self, parent: int) -> list[int]:
        """The list itself of a parent's children, or of those without a parent for 0."""
        if parent == 0:
            return self.top
        values = self.entities[parent].values
        if values[CHILDREN] is None:
            values[CHILDREN] = []
        return values[CHILDREN]  # type: ignore[no-any-return]

    def place(self, siblings: list[int], order: int) -> int:
        """Where among siblings the one with that order stands."""
        return bisect_left(siblings, order, key=lambda i: self.entities[i].order)

    # -- entities come and go ------------------------------------------------------------------------------

    def enter(self, entity: Entity) -> None:
        """Take in a new entity, which hangs nowhere yet. Ids of one type only ever ascend."""
        ids = self._ids.get(entity.type)
        if ids is None:
            ids = self._ids[entity.type] = array("Q")
        ids.append(entity.id)
        self.entities[entity.id] = entity
        self.counts[entity.type] = self.counts.get(entity.type, 0) + 1

    def leave(self, entity: Entity) -> None:
        """Let an entity go; its id stays among those of its type for a while."""
        del self.entities[entity.id]
        self.counts[entity.type] -= 1
        self.thinned.add(entity.type)

    def forget(self, entity: Entity) -> None:
        """Let the newest entity never have been."""
        del self.entities[entity.id]
        self._ids[entity.type].pop()
        self.counts[entity.type] -= 1

    def extend_ids(self, type_name: str, ids: Iterable[int]) -> None:
        """Take in the ids of new entities of exactly this type, ascending and above all before."""
        self._ids.setdefault(type_name, array("Q")).extend(ids)

    def arrange(self, below: dict[int, list[int]]) -> None:
        """Hang what was taken in below its parents (0: on its own), each with its siblings by order."""
        for parent, children in below.items():
            children.sort(key=lambda child: self.entities[child].order)
            if parent:
                self.entities[parent].values[CHILDREN] = children
            else:
                self.top = children

    def compact(self) -> None:
        """Drop dead ids where they outnumber the living; changes nothing anyone can see."""
        if not self.thinned or self.pins.open:  # for a view they may be alive
            return
        for name in self.thinned:
            ids = self._ids[name]
            if len(ids) > 2 * self.counts[name] + _COMPACT_SLACK:
                self._ids[name] = array("Q", filter(self.entities.__contains__, ids))
        self.thinned.clear()

    # -- views ---------------------------------------------------------------------------------------------

    def pin(self, revision: int) -> Pinned:
        """Open a view of all as it is now."""
        pinned = Pinned(self, revision, self.pins.leave)
        self.pins.enter(pinned)
        return pinned

    def keep(self, entity: Entity) -> Entity:
        """Let every view remember an entity, or that there is none, as it is now; returns the one to change."""
        for pinned in self.pins.open:
            pinned.keep(entity.id)
        return entity

    def keep_last(self, entity: Entity) -> Entity:
        """The same for an entity that is taken out: nothing of it but its place changes."""
        return self.keep(entity)

    def keep_siblings(self, parent: int) -> None:
        """Let every view remember the children of an entity, or who has no parent for 0."""
        if parent:
            self.keep(self.entities[parent])
            return
        taken = [pinned.keep_top(self.top) for pinned in self.pins.open]
        if any(taken):
            self.top = list(self.top)

    # -- the end -------------------------------------------------------------------------------------------

    def retire(self, retire: Retire) -> None:
        """Be of no state any more: have everything taken apart, as soon as no view is open."""
        self.pins.retire(self._take_apart, retire)

    def _take_apart(self) -> Work:
        """Free everything in pieces, as freeing a million entities at once takes long."""
        yield from self.names.take_apart()
        yield from self.indexes.take_apart()
        entities = self.entities
        while entities:
            for _ in range(min(_SLICE, len(entities))):
                entities.popitem()
            yield
