"""The state itself, and the only functions that change it.

Each primitive below keeps the digest, the indexes and the journal in step, so a command is a sequence of
primitives between `begin` and `finish` or `rollback`. The journal of a command is both its undo and the list
of its changes. Views that long reads have pinned are told of an entity before it changes, here and nowhere else.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qcore.model.ids import ROOT_ID
from qcore.model.schema import CompleteField, CompleteSchema, Types
from qcore.store.sessions.digest_checks import DigestChecks
from qcore.store.sessions.sessions import Sessions
from qcore.store.sessions.staged import Staged
from qcore.store.state.digest import MODULUS, counters_hash, entity_hash, field_hash, schema_hash
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.indexes import Indexes
from qcore.store.state.name_index import NameIndex
from qcore.store.state.pinned import Pinned

__all__ = ["ADDED", "LINKED", "PUT", "RELAID", "REMOVED", "Change", "State"]

PUT, ADDED, REMOVED, LINKED, UNLINKED, REORDERED, RELAID = range(7)
"""What a journal line says happened; see the primitive of that name for what follows."""

Change = tuple[Any, ...]

_PLACED = (PARENT, CHILDREN)
"""Slots whose values are the tree itself: in the digest they count with the entity's place."""

_COMPACT_SLACK = 64


class State:
    """Everything replicated. `applied` is a log index, `revision` counts applied write commands."""

    def __init__(self) -> None:
        self.applied = -1
        self.time = 0
        self.revision = 0
        self.next_id = ROOT_ID + 1
        self.level = 1
        """Rules of apply in force, raised by the leader when every node knows them."""
        self.mark = ""
        """Hash of the schema file that was loaded, empty before."""
        self.types = Types()
        self.entities: dict[int, Entity] = {}
        self.top: list[int] = []
        """Entities without a parent, by order."""
        self.counts: dict[str, int] = {}
        self.sessions = Sessions()
        self.staged = Staged()
        self.checks = DigestChecks()
        self.journal: list[Change] = []
        self.made: list[int | None] | None = None
        """While a pipeline or transaction runs: what each step so far created, for `$n`."""
        self.observer: Callable[[list[Change]], None] | None = None
        """Hears the changes of each command when it ends, the state being exactly behind it; must not change it."""
        self._ids: dict[str, array[int]] = {}
        self._sum = sum(schema_hash(schema) for schema in self.types.own.values())
        """Reduced modulo 2^128 only where it is read."""
        self.indexes = Indexes(self)
        """For searches of this node; told of what changes, but no part of what is replicated."""
        self._names = NameIndex(self.entities)
        self._pins: list[Pinned] = []
        self._below: dict[int, list[int]] = {}
        """While a snapshot is read: the children of each parent so far."""
        self._saved = self._save()
        root = Entity(ROOT_ID, self.types.complete["Root"])
        root.values[NAME] = "Root"
        self.add(root, 0)
        self.finish()

    # -- one command ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a command; nothing may be pending."""
        self._saved = self._save()

    def finish(self) -> list[Change]:
        """End a command; returns its changes and forgets how to undo them."""
        changes, self.journal = self.journal, []
        if self.observer is not None:
            self.observer(changes)
        return changes

    def rollback(self) -> None:
        """Take every change since `begin` back; the digest returns to the bit."""
        for line in reversed(self.journal):
            self._undo(line)
        self.journal.clear()
        self._sum, self.revision, self.next_id, self.mark, self.types = self._saved

    def _save(self) -> tuple[int, int, int, str, Types]:
        return self._sum, self.revision, self.next_id, self.mark, self.types

    # -- primitives ----------------------------------------------------------------------------------------

    def put(self, entity: Entity, slot: int, value: Any, time: int, revision: int) -> None:
        """Write one field; with revision 0 it is unset. Parent and Children, which `move` changes, are only stamped."""
        if self._pins:
            self._keep(entity.id)
        values, stamps = entity.values, entity.stamps
        old, old_time, old_revision = values[slot], stamps[2 * slot], stamps[2 * slot + 1]
        self.journal.append((PUT, entity, slot, old, old_time, old_revision))
        name = entity.schema.slots[slot].name
        placed = slot in _PLACED
        if revision:
            self._sum += field_hash(entity.id, name, () if placed else value, time, revision)
        if old_revision:
            self._sum -= field_hash(entity.id, name, () if placed else old, old_time, old_revision)
        if not placed:
            values[slot] = value
            if self.indexes.open:
                self.indexes.changed(entity, slot, old, value)
            if slot == NAME and value != old:
                self._names.renamed(entity, old)
        stamps[2 * slot], stamps[2 * slot + 1] = time, revision

    def add(self, entity: Entity, parent: int) -> None:
        """Let a new entity exist, as the last child of `parent` (0: on its own). Ids only ever ascend."""
        if self._pins:
            self._keep(entity.id)
        ids = self._ids.get(entity.type)
        if ids is None:
            ids = self._ids[entity.type] = array("Q")
        ids.append(entity.id)
        self.entities[entity.id] = entity
        self.counts[entity.type] = self.counts.get(entity.type, 0) + 1
        self.journal.append((ADDED, entity))
        self._link(entity, parent)

    def remove(self, entity: Entity) -> None:
        """Let an entity exist no more; the caller has unlinked the top of what it removes."""
        if self._pins:
            self._keep(entity.id)
        gone = entity_hash(entity.id, entity.type, entity.parent, entity.order) + self._fields_sum(entity)
        self._sum -= gone
        del self.entities[entity.id]
        self.counts[entity.type] -= 1
        self.indexes.gone(entity)
        self._names.forget(entity.id)
        self.journal.append((REMOVED, entity))

    def move(self, entity: Entity, parent: int) -> None:
        """Hang an entity behind the last child of `parent` (0: on its own)."""
        self.unlink(entity)
        self._sum -= entity_hash(entity.id, entity.type, entity.parent, entity.order)
        self._link(entity, parent)

    def unlink(self, entity: Entity) -> None:
        """Take an entity out of its siblings; it keeps Parent and order until it is linked or removed."""
        if self._pins:
            self._keep_siblings(entity.parent)
        siblings = self._siblings(entity.parent)
        place = self._place(siblings, entity.order)
        del siblings[place]
        self._names.removed(entity.parent, entity)
        self.journal.append((UNLINKED, entity, place))

    def reorder(self, parent: Entity, children: list[int]) -> None:
        """Give the children of an entity the order of the list, which holds the same ids."""
        if self._pins:
            self._keep(parent.id, *children)
        self.journal.append((REORDERED, parent, parent.values[CHILDREN], [self.entities[i].order for i in children]))
        hashed = self._sum
        for order, child in enumerate(children, 1):
            entity = self.entities[child]
            hashed -= entity_hash(child, entity.type, parent.id, entity.order)
            hashed += entity_hash(child, entity.type, parent.id, order)
            entity.order = order
        self._sum = hashed
        parent.values[CHILDREN] = children
        self._names.forget(parent.id)

    def relay(
        self,
        entity: Entity,
        schema: CompleteSchema,
        values: list[Any],
        stamps: array[int],
        dropped: Iterable[CompleteField],
    ) -> None:
        """Give an entity another complete schema of its type, with values and stamps by the new slots.

        `dropped` are the old fields whose values go; all others keep value, time and revision.
        """
        if self._pins:
            self._keep(entity.id)
            values[CHILDREN] = entity.values[CHILDREN]  # a view may have taken over the list that the caller saw
        self.journal.append((RELAID, entity, entity.schema, entity.values, entity.stamps))
        for field in dropped:
            self._sum -= self._written_hash(entity, field)
        entity.schema, entity.values, entity.stamps = schema, values, stamps

    def set_types(self, types: Types) -> None:
        """Replace the schemas; the caller relays the entities of every type that changed."""
        hashed = self._sum
        for name in self.types.own.keys() | types.own.keys():
            old, new = self.types.own.get(name), types.own.get(name)
            if old is not new:
                hashed -= schema_hash(old) if old is not None else 0
                hashed += schema_hash(new) if new is not None else 0
        self._sum = hashed
        self.types = types

    # -- questions -----------------------------------------------------------------------------------------

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""
        return self.top if parent == 0 else self.entities[parent].values[CHILDREN] or ()

    def child_named(self, parent: int, name: str, twin: int) -> int | None:
        """Id of the `twin`-th child of that name, None where there is none."""
        return self._names.find(parent, self.children(parent), name, twin)

    def ids(self, type_name: str) -> array[int]:
        """Ids that are or were of exactly this type, ascending; look each up, the dead stay a while."""
        return self._ids.get(type_name) or array("Q")

    def digest(self) -> str:
        """128 bits in hex over everything but the sessions and what is staged."""
        return f"{(self._sum + counters_hash(self.revision, self.next_id, self.mark)) % MODULUS:032x}"

    def compact(self) -> None:
        """Drop dead ids where they outnumber the living; changes nothing anyone can see."""
        if self._pins:  # for a view they may be alive
            return
        for name, ids in self._ids.items():
            if len(ids) > 2 * self.counts[name] + _COMPACT_SLACK:
                self._ids[name] = array("Q", (i for i in ids if i in self.entities))

    # -- from a snapshot -----------------------------------------------------------------------------------

    def begin_load(self, types: Types) -> None:
        """Forget everything, for what a snapshot holds."""
        self.types = types
        self.entities.clear()
        self.counts.clear()
        self._ids.clear()
        self.top.clear()
        self.indexes = Indexes(self)

    def load(self, entity: Entity, parent: int) -> None:
        """Take an entity as it was; those of one type come by ascending id."""
        ids = self._ids.get(entity.type)
        if ids is None:
            ids = self._ids[entity.type] = array("Q")
        ids.append(entity.id)
        self.entities[entity.id] = entity
        self.counts[entity.type] = self.counts.get(entity.type, 0) + 1
        self._below.setdefault(parent, []).append(entity.id)

    def end_load(self) -> None:
        """Everything is there: put siblings into their order."""
        for parent, children in self._below.items():
            children.sort(key=lambda child: self.entities[child].order)
            if parent:
                self.entities[parent].values[CHILDREN] = children
            else:
                self.top = children
        self._below.clear()

    def set_digest(self, digest: str) -> None:
        """Take the digest that the snapshot's writer had; revision, next id and mark are set already."""
        self._sum = int(digest, 16) - counters_hash(self.revision, self.next_id, self.mark)
        self.begin()

    # -- views ---------------------------------------------------------------------------------------------

    def pin(self) -> Pinned:
        """The state as it is now, for a read that lasts; no command may be under way."""
        pinned = Pinned(self)
        self._pins.append(pinned)
        return pinned

    def unpin(self, pinned: Pinned) -> None:
        """Keep nothing for a view any more; it may be released already."""
        if pinned in self._pins:
            self._pins.remove(pinned)

    def _keep(self, *ids: int) -> None:
        for pinned in self._pins:
            for id in ids:
                pinned.keep(id)

    def _keep_siblings(self, parent: int) -> None:
        for pinned in self._pins:
            if parent:
                pinned.keep(parent)
            else:
                pinned.keep_top()

    # -- inside --------------------------------------------------------------------------------------------

    def _link(self, entity: Entity, parent: int) -> None:
        if self._pins:
            self._keep(entity.id)
            self._keep_siblings(parent)
        siblings = self._siblings(parent)
        self.journal.append((LINKED, entity, entity.values[PARENT], entity.order))
        entity.order = self.entities[siblings[-1]].order + 1 if siblings else 1
        entity.values[PARENT] = parent
        siblings.append(entity.id)
        self._names.appended(parent, entity)
        self._sum += entity_hash(entity.id, entity.type, parent, entity.order)

    def _siblings(self, parent: int) -> list[int]:
        if parent == 0:
            return self.top
        values = self.entities[parent].values
        if values[CHILDREN] is None:
            values[CHILDREN] = []
        return values[CHILDREN]  # type: ignore[no-any-return]

    def _place(self, siblings: list[int], order: int) -> int:
        return bisect_left(siblings, order, key=lambda i: self.entities[i].order)

    def _written_hash(self, entity: Entity, field: CompleteField) -> int:
        """The hash of a field, 0 if it was never written."""
        slot = field.slot
        revision = entity.revision(slot)
        value = () if slot in _PLACED else entity.values[slot]
        return field_hash(entity.id, field.name, value, entity.time(slot), revision) if revision else 0

    def _fields_sum(self, entity: Entity) -> int:
        return sum(self._written_hash(entity, field) for field in entity.schema.slots)

    def _undo(self, line: Change) -> None:
        match line:
            case (0, entity, slot, value, time, revision):
                if slot not in _PLACED:
                    self.indexes.changed(entity, slot, entity.values[slot], value)
                    entity.values[slot] = value
                entity.stamps[2 * slot], entity.stamps[2 * slot + 1] = time, revision
                if slot == NAME:
                    self._names.forget(entity.parent)
            case (1, entity):
                del self.entities[entity.id]
                self._ids[entity.type].pop()
                self.counts[entity.type] -= 1
                self.indexes.unmade(entity)
            case (2, entity):
                self.entities[entity.id] = entity
                self.counts[entity.type] += 1
                self.indexes.back(entity)
            case (3, entity, parent, order):
                self._siblings(entity.parent).pop()
                self._names.forget(entity.parent)
                entity.values[PARENT], entity.order = parent, order
            case (4, entity, place):
                self._siblings(entity.parent).insert(place, entity.id)
                self._names.forget(entity.parent)
            case (5, parent, children, orders):
                for child, order in zip(parent.values[CHILDREN], orders, strict=True):
                    self.entities[child].order = order
                parent.values[CHILDREN] = children
                self._names.forget(parent.id)
            case (6, entity, schema, values, stamps):
                entity.schema, entity.values, entity.stamps = schema, values, stamps
