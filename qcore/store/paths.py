"""Paths of entities in the store: which twin of its name each is, remembered while many are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.model.path import escape_name
from qcore.store.state.entity import Entity
from qcore.store.state.view import View

__all__ = ["Paths"]

_MOST = 10_000
"""Paths of parents that are remembered."""
_SLICE = 1_000
"""Siblings that are counted between two pauses."""


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

    def ready(self, id: int) -> bool:
        """Whether `of` takes no time worth a pause; so too for an entity that does not exist."""
        entity = self._view.entities.get(id)
        return entity is None or entity.parent in self._counted

    def prepare(self, id: int) -> Iterator[None]:
        """Make it so: count the twins among the siblings of an entity and of all above it, with pauses."""
        while id:
            id = self._view.entities[id].parent
            if id in self._counted:  # then everything above is, too
                return
            yield from self._count(id)

    def _remember(self, id: int, path: str) -> None:
        if len(self._parents) >= _MOST:
            self._parents = {0: ""}
        self._parents[id] = path

    def _step(self, entity: Entity) -> str:
        if entity.parent not in self._counted:
            for _ in self._count(entity.parent):
                pass
        twin = self._twins.get(entity.id, 1)
        return f"/{escape_name(entity.name)}" + (f"#{twin}" if twin > 1 else "")

    def _count(self, parent: int) -> Iterator[None]:
        seen: dict[str, int] = {}
        for number, child in enumerate(self._view.children(parent), 1):
            name = self._view.entities[child].name
            seen[name] = twin = seen.get(name, 0) + 1
            if twin > 1:
                self._twins[child] = twin
            if number % _SLICE == 0:
                yield
        self._counted.add(parent)
