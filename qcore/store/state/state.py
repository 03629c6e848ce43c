"""The state itself, and the only functions that change it: nobody else assigns what it counts.

Each primitive below keeps the digest, the tables and the journal in step, so a command is a sequence of
primitives between `begin` and `finish` or `rollback`. The journal of a command is both its undo and the list
of its changes. Views that long reads have pinned are told of an entity before it changes, here and nowhere else.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcore.model.ids import ROOT_ID
from qcore.model.schema import CompleteField, CompleteSchema, Types
from qcore.model.work import Work
from qcore.store.sessions.digest_checks import DigestChecks, Rest
from qcore.store.sessions.sessions import Sessions
from qcore.store.sessions.staged import Staged
from qcore.store.state.digest import MODULUS, counters_hash, entity_hash, field_hash, schema_hash
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.epochs import Epochs
from qcore.store.state.indexes import Indexes
from qcore.store.state.journal import (
    PLACED,
    Added,
    Change,
    Linked,
    Put,
    Relaid,
    Removed,
    Reordered,
    Unlinked,
    undo,
)
from qcore.store.state.pinned import Pinned
from qcore.store.state.pins import Retire
from qcore.store.state.removed_disks import RemovedDisks
from qcore.store.state.tables import Tables

if TYPE_CHECKING:
    from qcore.store.state.draft import Draft

__all__ = ["Observed", "State"]

Observed = Callable[[], Work[None]]
"""Tells the observer at the swap what it has made of a draft; returns the work of freeing what it lets go."""


class State:
    """Everything replicated. `applied` is a log index, `revision` counts applied write commands."""

    def __init__(self) -> None:
        self.applied = -1
        self.time = 0
        self.revision = 0
        self.level = 1
        """Rules of apply in force, raised by the leader when every node knows them."""
        self.mark = ""
        """Hash of the schema file that was loaded, empty before."""
        self.sessions = Sessions()
        self.staged = Staged()
        self.checks = DigestChecks()
        self.epochs = Epochs()
        self.removed = RemovedDisks()
        self.journal: list[Change] = []
        self.observer: Callable[[list[Change]], None] | None = None
        """Hears the changes of each command when it ends, the state being exactly behind it; must not change it."""
        self.observe_ahead: Callable[[Draft], Work[Observed]] | None = None
        """The same for a draft, before it is swapped in."""
        self._use(Tables(Types()))
        self._sum = sum(schema_hash(schema) for schema in self.types.own.values())
        """Reduced modulo 2^128 only where it is read."""
        self.begin()
        root = Entity(ROOT_ID, self.types.complete["Root"])
        root.values[NAME] = "Root"
        self.add(root, 0)
        self.finish(wrote=False)

    def _use(self, tables: Tables) -> None:
        """Have these tables; what is asked for most is at hand without them."""
        self._tables = tables
        self.entities = tables.entities
        self._pins: Sequence[object] = tables.pins.open
        """For whom things are kept as they are: `Tables.keep` is asked before they change."""
        self._names = tables.names
        self._indexes = tables.indexes

    # -- one command ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a command; nothing may be pending."""
        tables = self._tables
        self._saved = self._sum, self.revision, self.mark, tables.next_id, tables.types

    def finish(self, wrote: bool) -> list[Change]:
        """End a command, which goes on to the next revision if it `wrote`; returns its changes, not undone any more."""
        if wrote:
            self.revision += 1
        changes, self.journal = self.journal, []
        if self.observer is not None:
            self.observer(changes)
        return changes

    def rollback(self) -> None:
        """Take every change since `begin` back; the digest returns to the bit."""
        tables = self._tables
        for line in reversed(self.journal):
            undo(tables, line)
        self.journal.clear()
        self._sum, self.revision, self.mark, tables.next_id, tables.types = self._saved

    # -- counters ------------------------------------------------------------------------------------------

    def allocate_id(self) -> int:
        """Give an id out."""
        id = self._tables.next_id
        self._tables.next_id = id + 1
        return id

    def reserve_ids(self, next_id: int) -> None:
        """Let `next_id` be the first id that was never given out."""
        self._tables.next_id = next_id

    def set_mark(self, mark: str) -> None:
        """Note that a schema file was loaded, or that none will be."""
        self.mark = mark

    def raise_level(self, level: int) -> None:
        """Put the rules of a level in force; they are never taken back."""
        self.level = max(self.level, level)

    def open_epoch(self, epoch: str) -> None:
        """Let an epoch begin with the next revision; it is no write, and not in the digest."""
        self.epochs.open(epoch, self.revision + 1)

    def entry_applied(self, index: int, time: int) -> None:
        """Every command of the entry at a log index has ended; its time is from now on that of the state."""
        self.applied = index
        self.time = time
        self.checks.note(index, self.revision, self.digest(), self.rest())
        self._tables.compact()

    # -- primitives ----------------------------------------------------------------------------------------

    def put(self, entity: Entity, slot: int, value: Any, time: int, revision: int) -> None:
        """Write one field; with revision 0 it is unset. Parent and Children, which `move` changes, are only stamped."""
        if self._pins:
            entity = self._tables.keep(entity)
        values, stamps = entity.values, entity.stamps
        old, old_time, old_revision = values[slot], stamps[2 * slot], stamps[2 * slot + 1]
        self.journal.append(Put(entity, slot, old, old_time, old_revision))
        name = entity.schema.slots[slot].name
        placed = slot in PLACED
        if revision:
            self._sum += field_hash(entity.id, name, () if placed else value, time, revision)
        if old_revision:
            self._sum -= field_hash(entity.id, name, () if placed else old, old_time, old_revision)
        if not placed:
            values[slot] = value
            if self._indexes.open:
                self._indexes.changed(entity, slot, old, value)
            if slot == NAME and value != old:
                self._names.renamed(entity, old)
        stamps[2 * slot], stamps[2 * slot + 1] = time, revision

    def add(self, entity: Entity, parent: int) -> None:
        """Let a new entity exist, as the last child of `parent` (0: on its own). Ids only ever ascend."""
        if self._pins:
            entity = self._tables.keep(entity)
        self._tables.enter(entity)
        self.journal.append(Added(entity))
        self._link(entity, parent)

    def remove(self, entity: Entity) -> None:
        """Let an entity exist no more; the caller has unlinked the top of what it removes."""
        if self._pins:
            entity = self._tables.keep_last(entity)
        gone = entity_hash(entity.id, entity.type, entity.parent, entity.order) + self._fields_sum(entity)
        self._sum -= gone
        self._tables.leave(entity)
        self._indexes.gone(entity)
        self._names.forget(entity.id)
        self.journal.append(Removed(entity))

    def move(self, entity: Entity, parent: int) -> None:
        """Hang an entity behind the last child of `parent` (0: on its own)."""
        if self._pins:
            entity = self._tables.keep(entity)
        self.unlink(entity)
        self._sum -= entity_hash(entity.id, entity.type, entity.parent, entity.order)
        self._link(entity, parent)

    def unlink(self, entity: Entity) -> None:
        """Take an entity out of its siblings; it keeps Parent and order until it is linked or removed."""
        if self._pins:
            entity = self._tables.keep_last(entity)
            self._tables.keep_siblings(entity.parent)
        siblings = self._tables.siblings(entity.parent)
        place = self._tables.place(siblings, entity.order)
        del siblings[place]
        self._names.removed(entity.parent, entity)
        self.journal.append(Unlinked(entity, place))

    def reorder(self, parent: Entity, children: list[int]) -> None:
        """Give the children of an entity the order of the list, which holds the same ids."""
        if self._pins:
            parent = self._tables.keep(parent)
            for child in children:
                self._tables.keep(self.entities[child])
        before = parent.values[CHILDREN]
        self.journal.append(Reordered(parent, before, [self.entities[child].order for child in children]))
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
            entity = self._tables.keep(entity)
            values[CHILDREN] = entity.values[CHILDREN]  # a view may have taken over the list that the caller saw
        self.journal.append(Relaid(entity, entity.schema, entity.values, entity.stamps))
        for field in dropped:
            self._sum -= self._written_hash(entity, field)
        entity.schema, entity.values, entity.stamps = schema, values, stamps

    def set_types(self, types: Types) -> Work[None]:
        """Replace the schemas; the caller relays the entities of every type that changed."""
        hashed = self._sum
        for name in self.types.own.keys() | types.own.keys():
            old, new = self.types.own.get(name), types.own.get(name)
            if old is not new:
                hashed -= schema_hash(old) if old is not None else 0
                hashed += schema_hash(new) if new is not None else 0
                yield
        self._sum = hashed
        self._tables.types = types

    # -- questions -----------------------------------------------------------------------------------------

    @property
    def types(self) -> Types:
        return self._tables.types

    @property
    def next_id(self) -> int:
        """The first id that was never given out."""
        return self._tables.next_id

    @property
    def top(self) -> Sequence[int]:
        """Entities without a parent, by order."""
        return self._tables.top

    @property
    def counts(self) -> Mapping[str, int]:
        """How many entities there are of exactly a type."""
        return self._tables.counts

    @property
    def indexes(self) -> Indexes:
        """For searches of this node; no part of what is replicated."""
        return self._indexes

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""
        return self._tables.children(parent)

    def child_named(self, parent: int, name: str, twin: int) -> int | None:
        """Id of the `twin`-th child of that name, None where there is none."""
        return self._tables.child_named(parent, name, twin)

    def ids(self, type_name: str) -> Sequence[int]:
        """Ids that are or were of exactly this type, ascending; look each up, the dead stay a while."""
        return self._tables.ids(type_name)

    def digest(self) -> str:
        """128 bits in hex over everything but what `rest` has."""
        return f"{(self._sum + counters_hash(self.revision, self._tables.next_id, self.mark)) % MODULUS:032x}"

    def rest(self) -> Rest:
        """What is replicated beside the digest; no command may be under way."""
        return Rest(self.time, self.level, self.sessions.counted(), self.staged.sum, self.epochs.sum, self.removed.sum)

    def pin(self) -> Pinned:
        """The state as it is now, for a read that lasts; no command may be under way."""
        return self._tables.pin(self.revision)

    # -- from a snapshot -----------------------------------------------------------------------------------

    def load(
        self,
        tables: Tables,
        digest: str,
        *,
        applied: int,
        time: int,
        revision: int,
        next_id: int,
        level: int,
        mark: str,
    ) -> None:
        """Be what a snapshot holds, whose writer had that digest; what is not in the digest comes by its own ways."""
        tables.next_id = next_id
        self._use(tables)
        self.applied, self.time, self.revision = applied, time, revision
        self.level, self.mark = level, mark
        self._sum = int(digest, 16) - counters_hash(revision, next_id, mark)
        self.checks.note(applied, revision, digest, self.rest())
        self.begin()

    # -- another in its place ------------------------------------------------------------------------------

    def adopt(self, loaded: State, retire: Retire) -> None:
        """Go on as another state, which is not to be used any more; between two entries of the log.

        Views that are open stay readable. What was there is taken apart by works that `retire` is handed: now, or when
        the last view of it is released. Whoever watches has to begin anew: the revision may be any other.
        """
        assert not self.journal, "a command is under way"
        before = self._tables, self.sessions
        retire(self.staged.take_apart())
        self._use(loaded._tables)
        self.applied, self.time, self.revision = loaded.applied, loaded.time, loaded.revision
        self.level, self.mark = loaded.level, loaded.mark
        self.sessions, self.staged = loaded.sessions, loaded.staged
        self.checks, self.epochs, self.removed = loaded.checks, loaded.epochs, loaded.removed
        self._sum = loaded._sum
        self.begin()
        for each in before:
            each.retire(retire)

    def become(self, draft: Draft, *, wrote: bool, observed: Observed | None) -> Work[None]:
        """Be what a draft of this state is, at once, as `finish` does; returns the work of freeing what is let go.

        `observed` is what the observer has made of the draft.
        """
        draft.tables.hand_over()
        self._sum, self.mark = draft._sum, draft.mark
        if observed is None:
            self.finish(wrote)
            return (_ for _ in ())
        self.revision += wrote
        return observed()

    # -- inside --------------------------------------------------------------------------------------------

    def _link(self, entity: Entity, parent: int) -> None:
        tables = self._tables
        if self._pins:
            entity = tables.keep(entity)
            tables.keep_siblings(parent)
        siblings = tables.siblings(parent)
        self.journal.append(Linked(entity, entity.values[PARENT], entity.order))
        entity.order = self.entities[siblings[-1]].order + 1 if siblings else 1
        entity.values[PARENT] = parent
        siblings.append(entity.id)
        self._names.appended(parent, entity)
        self._sum += entity_hash(entity.id, entity.type, parent, entity.order)

    def _written_hash(self, entity: Entity, field: CompleteField) -> int:
        """The hash of a field, 0 if it was never written."""
        slot = field.slot
        revision = entity.revision(slot)
        value = () if slot in PLACED else entity.values[slot]
        return field_hash(entity.id, field.name, value, entity.time(slot), revision) if revision else 0

    def _fields_sum(self, entity: Entity) -> int:
        return sum(self._written_hash(entity, field) for field in entity.schema.slots)
