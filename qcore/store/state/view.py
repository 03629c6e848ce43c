"""What reads need of the state: one protocol for the state of now and for a view that stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qcore.model.schema import Types
from qcore.store.state.entity import Entity

__all__ = ["Entities", "Holder", "View"]


class Entities(Protocol):
    """Entities by id; all that following references needs."""

    def get(self, id: int, /) -> Entity | None: ...

    def __contains__(self, id: object, /) -> bool: ...


class Holder(Protocol):
    """Whatever has entities: a `View`, or the state at a past revision."""

    @property
    def entities(self) -> Entities: ...


class View(Protocol):
    """The state, or a view of it that stays as it is while the state moves on."""

    @property
    def types(self) -> Types: ...

    @property
    def entities(self) -> Mapping[int, Entity]: ...

    @property
    def next_id(self) -> int: ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many entities there are of exactly a type."""

    def children(self, parent: int) -> Sequence[int]:
        """Ids of an entity's children in order, or of those without a parent for 0."""

    def ids(self, type_name: str) -> Sequence[int]:
        """Ids that are or were of exactly this type, ascending; look each up, not all are there."""
