"""Children by name, for paths: built when a path first passes a crowded entity, a cache and nothing more."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import MutableMapping, Sequence, Set

from qcore.store.state.entity import Entity
from qcore.store.state.pins import Work

__all__ = ["NameIndex"]

_CROWDED = 64

_SLICE = 1_000
"""Names that are freed between two pauses."""


class NameIndex:
    """Per crowded parent: name -> ids of the twins, in the order of the children."""

    def __init__(self, entities: MutableMapping[int, Entity]) -> None:
        self._entities = entities
        self._by_parent: dict[int, dict[str, list[int]]] = {}

    def find(self, parent: int, children: Sequence[int], name: str, twin: int) -> int | None:
        """Id of the `twin`-th (from 1) of `children` with that name."""
        if len(children) < _CROWDED:
            twins = [child for child in children if self._entities[child].name == name]
        else:
            twins = self._index(parent, children).get(name, [])
        return twins[twin - 1] if twin <= len(twins) else None

    def appended(self, parent: int, entity: Entity) -> None:
        """Note a new last child."""
        index = self._by_parent.get(parent)
        if index is not None:
            index.setdefault(entity.name, []).append(entity.id)

    def removed(self, parent: int, entity: Entity) -> None:
        """Note that a child goes; it still has its name and its order."""
        index = self._by_parent.get(parent)
        if index is not None:
            self._take_out(index, entity.name, entity)

    def came_back(self, parent: int, entity: Entity) -> None:
        """Note that a child is again where it was; it has its name and its order again."""
        index = self._by_parent.get(parent)
        if index is not None:
            insort(index.setdefault(entity.name, []), entity.id, key=self._order)

    def renamed(self, entity: Entity, old: str) -> None:
        """Note that a child has another name than before."""
        index = self._by_parent.get(entity.parent)
        if index is not None:
            self._take_out(index, old, entity)
            insort(index.setdefault(entity.name, []), entity.id, key=self._order)

    def forget(self, parent: int) -> None:
        """Something else changed among these children."""
        if self._by_parent:
            self._by_parent.pop(parent, None)

    def put_away(self, parents: Set[int]) -> list[dict[str, list[int]]]:
        """Have the names of these parents' children built anew; returns what there is to free."""
        return [self._by_parent.pop(parent) for parent in list(self._by_parent) if parent in parents]

    def take_apart(self) -> Work:
        """Free everything in pieces; nobody asks any more."""
        for index in self._by_parent.values():
            while index:
                for _ in range(min(_SLICE, len(index))):
                    index.popitem()
                yield
        self._by_parent.clear()

    def _take_out(self, index: dict[str, list[int]], name: str, entity: Entity) -> None:
        twins = index[name]
        del twins[bisect_left(twins, entity.order, key=self._order)]
        if not twins:
            del index[name]

    def _order(self, id: int) -> int:
        return self._entities[id].order

    def _index(self, parent: int, children: Sequence[int]) -> dict[str, list[int]]:
        index = self._by_parent.get(parent)
        if index is None:
            index = {}
            for child in children:
                index.setdefault(self._entities[child].name, []).append(child)
            self._by_parent[parent] = index
        return index
