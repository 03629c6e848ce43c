"""Equality indexes: from what a field has stored to the entities of a type that have it. A cache of this node.

An index is built by the second search that could have used it, in slices, while writes go on. It `covers` the ids up
to a mark: the state tells of each change to an entity below it, and what is above is left to the search.

It belongs to a complete schema as an object. One that was replaced comes back by a rollback alone, which also takes
back whatever happened meanwhile to entities that had another; so an index need not hear of schemas at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple

from qcore.model.schema import CompleteField, CompleteSchema
from qcore.model.values import Kind
from qcore.store.state.entity import CHILDREN, PARENT, Entity
from qcore.store.state.pins import Work
from qcore.store.state.view import View

__all__ = ["Equality", "Hits", "Index", "Indexes"]

_MOST = 16
"""Indexes at a time; the least recently used one goes."""
_REMEMBERED = 256
"""Fields of types that were asked for once."""
_SHARE = 8
"""An index pays where at most one entity of so many is a hit, ..."""
_CROWD = 20_000
"""... and where the hits are few enough to be sorted at once."""
_SLICE = 500
_SHARDS = 64
"""Parts of an index: a dict copies itself whole when it grows, and nothing may take long."""

_TREE = (PARENT, CHILDREN)
_FEW_VALUES = (Kind.Bool, Kind.Choice)
"""Kinds of which an index is the last to pay."""

_Key = tuple[CompleteSchema, int]
"""A complete schema and a slot."""


class Equality(NamedTuple):
    """What is searched for: the stored form `value` in a field, or in its list. No `field`: the type has no match."""

    name: str
    field: CompleteField | None
    value: Any


class Hits(NamedTuple):
    """All entities of a type up to the id `covered` that may match, ascending; of those above nothing is said."""

    ids: Sequence[int]
    covered: int


class Index:
    """One field of one complete schema; of an EntityList the elements. A value's only id stands without a set."""

    __slots__ = ("_default", "_many", "_shards", "_slot", "covered", "schema")

    def __init__(self, schema: CompleteSchema, field: CompleteField) -> None:
        self.schema = schema
        self.covered = 0
        self._shards: list[dict[Any, int | set[int]]] = [{} for _ in range(_SHARDS)]
        self._slot = field.slot
        self._default: Any = field.default
        self._many = field.kind is Kind.EntityList

    def insert(self, entity: Entity) -> int:
        """Note an entity under what it has; returns how many values that are."""
        values = self._values(entity.values[self._slot])
        for value in values:
            self._insert(value, entity.id)
        return len(values)

    def drop(self, entity: Entity) -> None:
        """Forget an entity, which still has its values."""
        for value in self._values(entity.values[self._slot]):
            self._drop(value, entity.id)

    def move(self, id: int, old: Any, new: Any) -> None:
        """Note that a field has another value; None is unset."""
        before, after = self._values(old), self._values(new)
        if before == after:
            return
        kept = set(before).intersection(after) if self._many else ()
        for value in before:
            if value not in kept:
                self._drop(value, id)
        for value in after:
            if value not in kept:
                self._insert(value, id)

    def count(self, value: Any) -> int:
        """How many entities have a value."""
        found = self._shard(value).get(value)
        return 0 if found is None else len(found) if isinstance(found, set) else 1

    def sorted(self, value: Any) -> list[int]:
        """Who they are, ascending."""
        found = self._shard(value).get(value)
        if found is None:
            return []
        return sorted(found) if isinstance(found, set) else [found]

    def take_apart(self) -> Work:
        """Free everything in pieces."""
        for shard in self._shards:
            shard.clear()
            yield

    def _values(self, stored: Any) -> tuple[Any, ...]:
        if stored is None:
            stored = self._default
        return stored if self._many else (stored,)

    def _shard(self, value: Any) -> dict[Any, int | set[int]]:
        return self._shards[hash(value) % _SHARDS]

    def _insert(self, value: Any, id: int) -> None:
        shard = self._shard(value)
        found = shard.get(value)
        if found is None:
            shard[value] = id
        elif isinstance(found, set):
            found.add(id)
        elif found != id:
            shard[value] = {found, id}

    def _drop(self, value: Any, id: int) -> None:
        shard = self._shard(value)
        found = shard.get(value)
        if isinstance(found, set):
            found.discard(id)
            if len(found) == 1:
                shard[value] = found.pop()
        elif found == id:
            del shard[value]


class Indexes:
    """The indexes of a state, which is seen as it is now."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.open: OrderedDict[_Key, Index] = OrderedDict()
        """By complete schema and slot, the least recently used first; mostly there are none."""
        self._asked: OrderedDict[tuple[CompleteSchema, str], None] = OrderedDict()

    # -- what the state tells, before a value goes; that it comes or goes by an undo makes no difference -----

    def changed(self, entity: Entity, slot: int, old: Any, new: Any) -> None:
        """A field but Parent and Children has another value."""
        index = self.open.get((entity.schema, slot))
        if index is not None and entity.id <= index.covered:
            index.move(entity.id, old, new)

    def gone(self, entity: Entity) -> None:
        """An entity exists no more."""
        for index in self._covering(entity):
            index.drop(entity)

    def back(self, entity: Entity) -> None:
        """An entity exists again."""
        for index in self._covering(entity):
            index.insert(entity)

    def unmade(self, entity: Entity) -> None:
        """An entity never existed; its id will be given to another, of whatever type."""
        for index in self._covering(entity):
            index.drop(entity)
        for index in self.open.values():
            index.covered = min(index.covered, entity.id - 1)

    def put_away(self, outdated: Callable[[_Key], bool]) -> list[dict[Any, int | set[int]]]:
        """Have the outdated indexes built anew; returns what there is to free."""
        going = [key for key in self.open if outdated(key)]
        return [part for key in going for part in self.open.pop(key)._shards]

    def _covering(self, entity: Entity) -> list[Index]:
        schema = entity.schema
        return [index for index in self.open.values() if index.schema is schema and entity.id <= index.covered]

    def take_apart(self) -> Work:
        """Free everything in pieces; nobody searches any more."""
        for index in self.open.values():
            yield from index.take_apart()
        self.open.clear()

    # -- searches --------------------------------------------------------------------------------------------

    def find(self, schema: CompleteSchema, terms: Iterable[Equality]) -> Generator[None, None, Hits | None]:
        """Who of exactly this type may fulfil all the terms; None where looking at every entity is the better way.

        Pauses while an index is built.
        """
        again: list[_Key] = []
        wanted: dict[_Key, tuple[CompleteField, Any]] = {}
        for name, field, value in terms:
            asked = self._asked_again(schema, name)
            if field is not None:
                wanted[schema, field.slot] = field, value
                if asked:
                    again.append((schema, field.slot))
            elif asked:
                return Hits((), self._view.next_id - 1)
        hits = self._in_tree(schema, wanted.values())
        if hits is None:
            hits = yield from self._fewest({key: value for key, (_, value) in wanted.items() if key in self.open})
        if hits is None:
            new = [key for key in again if key not in self.open and key[1] not in _TREE]
            if new:
                key = min(new, key=lambda key: wanted[key][0].kind in _FEW_VALUES)
                self._begin(key, wanted[key][0])
                hits = yield from self._fewest({key: wanted[key][1]})
        return hits

    def _asked_again(self, schema: CompleteSchema, name: str) -> bool:
        key = (schema, name)
        again = key in self._asked
        self._asked[key] = None
        self._asked.move_to_end(key)
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return again

    def _in_tree(self, schema: CompleteSchema, wanted: Iterable[tuple[CompleteField, Any]]) -> Hits | None:
        """Whose Parent is known has siblings, and who is among Children has a parent: the tree is an index."""
        view = self._view
        for field, value in wanted:
            if field.slot not in _TREE:
                continue
            there = view.entities.get(value)
            if there is None:
                ids: Sequence[int] = ()
            elif field.slot == PARENT:
                ids = view.children(value)
            else:
                ids = [there.parent] if there.parent else []
            if self._pays(schema, len(ids)):
                found = sorted(id for id in ids if view.entities[id].schema is schema)
                return Hits(found, view.next_id - 1)
        return None

    def _fewest(self, wanted: dict[_Key, Any]) -> Generator[None, None, Hits | None]:
        """The hits of the index that has the fewest, all of them brought up to date first."""
        for key in wanted:
            yield from self._grow(key)
        # in a pause another search may have put an index away: it has missed what came then
        best: tuple[int, _Key] | None = None
        for key, value in wanted.items():
            index = self.open.get(key)
            if index is not None and (best is None or index.count(value) < best[0]):
                best = index.count(value), key
        if best is None or not self._pays(best[1][0], best[0]):
            return None
        self.open.move_to_end(best[1])
        index = self.open[best[1]]
        return Hits(index.sorted(wanted[best[1]]), index.covered)

    def _pays(self, schema: CompleteSchema, hits: int) -> bool:
        return hits <= _CROWD and hits * _SHARE <= self._view.counts.get(schema.type, 0)

    def _begin(self, key: _Key, field: CompleteField) -> None:
        schema = key[0]
        for other, slot in list(self.open):
            if other.type == schema.type and other is not schema:
                del self.open[other, slot]
        self.open[key] = Index(schema, field)
        if len(self.open) > _MOST:
            (other, slot), _ = self.open.popitem(last=False)
            self._asked.pop((other, other.slots[slot].name), None)

    def _grow(self, key: _Key) -> Generator[None, None, None]:
        """Bring an index up to what is there, whoever began it."""
        while (index := self.open.get(key)) is not None:
            ids = self._view.ids(index.schema.type)
            place = bisect_right(ids, index.covered)
            work = 0
            for id in ids[place : place + _SLICE]:
                entity = self._view.entities.get(id)
                if entity is not None:
                    if entity.schema is not index.schema:
                        del self.open[key]
                        return
                    work += index.insert(entity)
                index.covered = id
                work += 1
                if work >= _SLICE:
                    break
            if not work:
                return
            if work >= _SLICE:
                yield
