"""Paths of entities in the store: which twin of its name each is, remembered while many are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qcore.model.path import escape_name
from qcore.model.schema import Types
from qcore.store.entity import Entity

__all__ = ["Paths", "View"]

_MOST = 10_000
"""Paths of parents that are remembered."""


class View(Protocol):
    """What a long read needs of the state, or of a view that stays as it is while the state moves on."""

    @property
    def types(self) -> Types: ...

    @property
    def entities(self) -> Mapping[int, Entity]: ...

    @property
    def next_id(self) -> int: ...

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""


class Paths:
    """Paths in one view, which must not change meanwhile."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._twins: dict[int, int] = {}
        self._counted: set[int] = set()
        self._parents: dict[int, str] = {0: ""}

    def of(self, id: int) -> str:
        """The path of an entity that exists."""
        waiting: list[Entity] = []
        above = id
        while above not in self._parents:
            entity = self._view.entities[above]
            waiting.append(entity)
            above = entity.parent
        path = self._parents[above]
        for entity in reversed(waiting):
            path += self._step(entity)
            if entity.id != id:
                self._remember(entity.id, path)
        return path

    def _remember(self, id: int, path: str) -> None:
        if len(self._parents) >= _MOST:
            self._parents = {0: ""}
        self._parents[id] = path

    def _step(self, entity: Entity) -> str:
        if entity.parent not in self._counted:
            self._count(entity.parent)
        twin = self._twins.get(entity.id, 1)
        return f"/{escape_name(entity.name)}" + (f"#{twin}" if twin > 1 else "")

    def _count(self, parent: int) -> None:
        seen: dict[str, int] = {}
        for child in self._view.children(parent):
            name = self._view.entities[child].name
            seen[name] = twin = seen.get(name, 0) + 1
            if twin > 1:
                self._twins[child] = twin
        self._counted.add(parent)
