"""The state as it was at one revision, for long reads, while the state itself moves on.

Nothing is copied when a view is pinned. Before an entity changes, its tables call `keep`, which forks it once, and
whoever reads the view finds the twin. Between two pauses a reader may hold lists it was given, `values` among them,
but no entity. A view costs memory for what changes while it is open, so it has to be released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.view import View

__all__ = ["Pinned"]


class _Entities(Mapping[int, Entity]):
    """Entities by id: the copies, and where there is none what the state holds."""

    def __init__(self, kept: dict[int, Entity | None], live: Mapping[int, Entity]) -> None:
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

    def __init__(self, live: View, revision: int, unpin: Callable[[Pinned], None]) -> None:
        self.types = live.types
        self.revision = revision
        self.next_id = live.next_id
        self.counts = dict(live.counts)
        self._live = live
        self._unpin = unpin
        self._kept: dict[int, Entity | None] = {}
        self._top: list[int] | None = None
        self.entities: Mapping[int, Entity] = _Entities(self._kept, live.entities)

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""
        if parent:
            return self.entities[parent].values[CHILDREN] or ()
        return self._live.children(0) if self._top is None else self._top

    def ids(self, type_name: str) -> Sequence[int]:
        """Ids that are or were of exactly this type, ascending; look each up, not all are of this view."""
        return self._live.ids(type_name)

    def release(self) -> None:
        """Cost nothing any more; the view must not be read again."""
        self._unpin(self)

    # -- for the tables ------------------------------------------------------------------------------------

    def keep(self, id: int) -> None:
        """Remember an entity as it is now, or that there is none, if this is the first that happens to it."""
        if id not in self._kept:
            entity = self._live.entities.get(id)
            self._kept[id] = None if entity is None else entity.fork()

    def keep_all(self, before: dict[int, Entity | None]) -> None:
        """Remember many at once, each as it is given, which nobody changes any more; None: there is none."""
        self._kept.update(before | self._kept)

    def keep_top(self, top: list[int]) -> bool:
        """Take over the list of who has no parent now, if this is the first that happens to it; whether it did."""
        if self._top is not None:
            return False
        self._top = top
        return True
