"""A state beside the state: a long command writes here, in slices, and then all of it becomes the state at once.

What the command does not touch is read from the state, which stays as it is meanwhile: entities are copied before they
change, and what others may hold of them is not. A draft that is dropped leaves no trace.

The swap does nothing entity by entity that is not one call of the interpreter's own for all of them. What it replaces
goes in slices afterwards.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, MutableMapping
from typing import Any

from qcore.model.schema import CompleteSchema
from qcore.model.work import Work, emptying
from qcore.store.state.entity import Entity
from qcore.store.state.indexes import Index, Indexes
from qcore.store.state.name_index import NameIndex
from qcore.store.state.state import State
from qcore.store.state.tables import Tables

__all__ = ["Draft"]

_FEW = 2_000
"""Changes that are told to an index one by one; one that misses more is put away, and built again when asked for."""


class _Entities(MutableMapping[int, Entity]):
    """Entities by id as the draft has them.

    Attributes:
        own: those that are new or changed, by id.
        gone: ids of those that the state has, and the draft has not.
        before: all of both as the state has them, None where it has none.
    """

    def __init__(self, base: MutableMapping[int, Entity]) -> None:
        self.base = base
        self.own: dict[int, Entity] = {}
        self.gone: dict[int, None] = {}
        self.before: dict[int, Entity | None] = {}

    def get(self, id: int, default: Any = None) -> Any:
        """The entity of an id, `default` where there is none."""
        entity = self.own.get(id)
        if entity is not None:
            return entity
        return default if id in self.gone else self.base.get(id, default)

    def __getitem__(self, id: int) -> Entity:
        entity: Entity | None = self.get(id)
        if entity is None:
            raise KeyError(id)
        return entity

    def __setitem__(self, id: int, entity: Entity) -> None:
        self.own[id] = entity
        self.gone.pop(id, None)
        self.before.setdefault(id, self.base.get(id))

    def __delitem__(self, id: int) -> None:
        self.own.pop(id, None)
        before = self.before.setdefault(id, self.base.get(id))
        if before is not None:
            self.gone[id] = None

    def __contains__(self, id: object) -> bool:
        return id in self.own or (id not in self.gone and id in self.base)

    def __iter__(self) -> Iterator[int]:
        return iter([id for id in {**dict.fromkeys(self.base), **self.own} if id not in self.gone])

    def __len__(self) -> int:
        return len(self.base) - len(self.gone) + sum(1 for id in self.own if id not in self.base)


class _Names(NameIndex):
    """Those of the draft, and what the state's have to hear: only what was taken out, or that all is another."""

    def __init__(self, entities: MutableMapping[int, Entity]) -> None:
        super().__init__(entities)
        self.taken: dict[int, list[Entity]] = {}
        self.touched: set[int] = set()

    def appended(self, parent: int, entity: Entity) -> None:
        """See `NameIndex`."""
        self.touched.add(parent)
        super().appended(parent, entity)

    def removed(self, parent: int, entity: Entity) -> None:
        """See `NameIndex`."""
        self.taken.setdefault(parent, []).append(entity)
        super().removed(parent, entity)

    def renamed(self, entity: Entity, old: str) -> None:
        """See `NameIndex`."""
        self.touched.add(entity.parent)
        super().renamed(entity, old)

    def forget(self, parent: int) -> None:
        """See `NameIndex`."""
        self.touched.add(parent)
        super().forget(parent)


class _NeverEmpty(OrderedDict[Any, Index]):
    def __bool__(self) -> bool:
        return True


class _Indexes(Indexes):
    """None, as nobody searches a draft; notes which of the state's will not be true any more."""

    def __init__(self, view: Tables) -> None:
        super().__init__(view)
        self.open = _NeverEmpty()  # for the state to tell what changes
        self.touched: set[tuple[CompleteSchema, int]] = set()
        self.thinned: set[CompleteSchema] = set()

    def changed(self, entity: Entity, slot: int, old: Any, new: Any) -> None:
        """See `Indexes`."""
        self.touched.add((entity.schema, slot))

    def gone(self, entity: Entity) -> None:
        """See `Indexes`."""
        self.thinned.add(entity.schema)


class _DraftTables(Tables):
    """The tables of a draft; `entities` copies on demand, and each primitive asks for the copy it may change."""

    entities: _Entities

    def __init__(self, base: Tables) -> None:
        super().__init__(base.types)
        self.next_id = base.next_id
        self.entities = _Entities(base.entities)
        self.counts = dict(base.counts)
        self.names = self.draft_names = _Names(self.entities)
        self.indexes = self.draft_indexes = _Indexes(self)
        self.top = base.top
        self.has_top = False
        """Whether `top` is its own list."""
        self.garbage: list[Any] = []
        """What the swap has put away."""
        self._base = base
        self._fresh: dict[str, array[int]] = {}
        """Ids of new entities by type."""

    def ids(self, type_name: str) -> array[int]:
        """See `Tables.ids`."""
        ids, fresh = self._base.ids(type_name), self._fresh.get(type_name)
        return ids if fresh is None else ids + fresh

    def enter(self, entity: Entity) -> None:
        """See `Tables.enter`."""
        self._fresh.setdefault(entity.type, array("Q")).append(entity.id)
        self.entities[entity.id] = entity
        self.counts[entity.type] = self.counts.get(entity.type, 0) + 1

    def keep(self, entity: Entity) -> Entity:
        """The draft's own copy of an entity, to be changed; one that is new is its own."""
        entities = self.entities
        own = entities.own.get(entity.id)
        if own is None and entity.id in entities.base:
            own = entities[entity.id] = entity.copy()
        return entity if own is None else own

    def keep_last(self, entity: Entity) -> Entity:
        """The draft's own copy of an entity, if there is one: it is to be removed, and not to be changed."""
        return self.entities.own.get(entity.id, entity)

    def keep_siblings(self, parent: int) -> None:
        """Have a list of its own of the children of an entity, or of who has no parent for 0."""
        if parent:
            self.keep(self.entities[parent])
        elif not self.has_top:
            self.top, self.has_top = list(self.top), True

    def hand_over(self) -> None:
        """Give all to the tables this is a draft of, at once."""
        base, entities, live = self._base, self.entities, self._base.entities
        self.garbage = [*self._tell_names(), *self._tell_indexes()]
        for pinned in base.pins.open:
            pinned.keep_all(entities.before)
            if self.has_top:
                pinned.keep_top(base.top)
        live.update(entities.own)
        deque(map(live.__delitem__, entities.gone), maxlen=0)
        for name, ids in self._fresh.items():
            base.extend_ids(name, ids)
        base.counts.update(self.counts)
        base.thinned |= self.thinned
        base.top, base.types, base.next_id = self.top, self.types, self.next_id

    def _tell_names(self) -> list[Any]:
        """Before the state's entities are others: bring its names up to date, or put them away; returns these."""
        names, base = self.draft_names, self._base.names
        for parent, taken in names.taken.items():
            if len(taken) > _FEW:
                names.touched.add(parent)
            elif parent not in names.touched:
                for entity in taken:
                    base.removed(parent, entity)
        return [*base.put_away(names.touched)]

    def _tell_indexes(self) -> list[Any]:
        """The same for the equality indexes."""
        entities, drafts, indexes = self.entities, self.draft_indexes, self._base.indexes
        if not indexes.open:
            return []
        if len(entities.gone) <= _FEW:
            drafts.thinned.clear()
            for entity in map(entities.before.__getitem__, entities.gone):
                assert entity is not None
                indexes.gone(entity)
        return [*indexes.put_away(lambda key: key in drafts.touched or key[0] in drafts.thinned)]


class Draft(State):
    """What a state will be; begins as the state is, which must not change until the draft is adopted or dropped."""

    def __init__(self, state: State) -> None:
        self.applied, self.time, self.revision = state.applied, state.time, state.revision
        self.level, self.mark = state.level, state.mark
        self.sessions, self.staged = state.sessions, state.staged
        self.checks, self.epochs = state.checks, state.epochs
        self.journal = []
        self.observer = self.observe_ahead = None
        self.tables = _DraftTables(state._tables)
        self._use(self.tables)
        self._pins = (self,)
        self._sum = state._sum

    def free(self) -> Work[None]:
        """Let go of all that the draft holds, in pieces; it was adopted, or is dropped."""
        entities = self.tables.entities
        return emptying(self.journal, entities.own, entities.gone, entities.before, *self.tables.garbage)
