"""What a change of schemas means to listeners: it writes nothing, but what they know of a field may be wrong now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from qcore.model.schema import CompleteSchema, Types

__all__ = ["Retyped", "retyped"]


class _Altered(NamedTuple):
    """A type, what it inherits before or after, and its fields that are gone or read otherwise."""

    type: str
    ancestors: frozenset[str]
    fields: frozenset[str]


class Retyped(NamedTuple):
    """`resorted`: types that are gone, or have other descendants with entities."""

    altered: tuple[_Altered, ...]
    resorted: frozenset[str]

    def hits_type(self, name: str, field: str | None) -> bool:
        """Whether entities of a type or its descendants are others, or a field of theirs is (None: any field)."""
        if name in self.resorted:
            return True
        return any(name in one.ancestors and _among(field, one.fields) for one in self.altered)

    def hits_entity(self, type_name: str, field: str | None) -> bool:
        """Whether a field (None: any) of an entity of exactly this type reads otherwise."""
        return any(type_name == one.type and _among(field, one.fields) for one in self.altered)

    def hits_anywhere(self, fields: list[str]) -> bool:
        """Whether any type has one of these fields altered."""
        return any(not one.fields.isdisjoint(fields) for one in self.altered)


def retyped(before: Types, after: Types, counts: Mapping[str, int]) -> Retyped | None:
    """What is other than before, None if nothing that matters; `counts` are entities by type."""
    altered = []
    resorted: set[str] = set()
    for name, old in before.complete.items():
        new = after.complete.get(name)
        if new is old:
            continue
        if new is None:
            resorted.add(name)
            continue
        if counts.get(name):
            resorted |= old.ancestors ^ new.ancestors
        fields = _altered_fields(old, new)
        if fields:
            altered.append(_Altered(name, old.ancestors | new.ancestors, fields))
    return Retyped(tuple(altered), frozenset(resorted)) if altered or resorted else None


def _altered_fields(old: CompleteSchema, new: CompleteSchema) -> frozenset[str]:
    """Fields that are gone, have another kind, or read otherwise where they are unset."""
    found = set()
    for field in old.slots:
        now = new.by_name.get(field.name)
        if now is None or now.kind is not field.kind or now.default != field.default:
            found.add(field.name)
    return frozenset(found)


def _among(field: str | None, fields: frozenset[str]) -> bool:
    return bool(fields) if field is None else field in fields
