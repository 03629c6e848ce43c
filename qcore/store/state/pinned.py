"""The state as it was at one revision, for long reads, while the state itself moves on.

Nothing is copied when a view is pinned. Before the state changes an entity it calls `keep`, which forks it once, and
whoever reads the view finds the twin. Between two pauses a reader may hold lists it was given, `values` among them,
but no entity. A view costs memory for what changes while it is open, so it has to be released.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qcore.store.state.entity import CHILDREN, Entity

if TYPE_CHECKING:
    from qcore.store.state.state import State

__all__ = ["Pinned"]


class _Entities(Mapping[int, Entity]):
    """Entities by id: the copies, and where there is none what the state holds."""

    def __init__(self, kept: dict[int, Entity | None], live: dict[int, Entity]) -> None:
        self._kept = kept
        self._live = live

    def __getitem__(self, id: int) -> Entity:
        entity = self.get(id)
        if entity is None:
            raise KeyError(id)
        return entity

    def get(self, id: int, default: object = None) -> Entity | None:  # type: ignore[override]
        """The entity as it was, None if there was none."""
        return self._kept[id] if id in self._kept else self._live.get(id)

    def __contains__(self, id: object) -> bool:
        return self._kept[id] is not None if id in self._kept else id in self._live

    def __iter__(self) -> Iterator[int]:
        return iter([id for id in {**self._live, **self._kept} if id in self])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Pinned:
    """A `View` that stays as it is until `release`; made between two commands by `State.pin`."""

    def __init__(self, state: State) -> None:
        self.types = state.types
        self.revision = state.revision
        self.next_id = state.next_id
        self.mark = state.mark
        self._state = state
        self._kept: dict[int, Entity | None] = {}
        self._top: list[int] | None = None
        self.entities: Mapping[int, Entity] = _Entities(self._kept, state.entities)

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""
        if parent:
            return self.entities[parent].values[CHILDREN] or ()
        return self._state.top if self._top is None else self._top

    def ids(self, type_name: str) -> array[int]:
        """Ids that are or were of exactly this type, ascending; look each up, not all are of this view."""
        return self._state.ids(type_name)

    def release(self) -> None:
        """Cost nothing any more; the view must not be read again."""
        self._state.unpin(self)

    # -- for the state -------------------------------------------------------------------------------------

    def keep(self, id: int) -> None:
        """Remember an entity as it is now, or that there is none, if this is the first that happens to it."""
        if id not in self._kept:
            entity = self._state.entities.get(id)
            self._kept[id] = None if entity is None else entity.fork()

    def keep_top(self) -> None:
        """Remember who has no parent now."""
        if self._top is None:
            self._top = self._state.top
            self._state.top = list(self._top)
