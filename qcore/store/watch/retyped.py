"""What a change of schemas means to listeners: it writes nothing, but what they know of a field may be wrong now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qcore.model.schema import CompleteSchema, Types
from qcore.model.work import Pace, Work

__all__ = ["Retyped", "retyped"]


class Retyped:
    """Fields that are gone or read otherwise, and types whose entities are others than before."""

    def __init__(self) -> None:
        self._of_type: dict[str, frozenset[str]] = {}
        self._below: dict[str, set[str]] = {}
        """Type -> altered fields of it and of what inherits it, before or after."""
        self._anywhere: set[str] = set()
        self._resorted: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._of_type or self._resorted)

    def altered(self, name: str, ancestors: Iterable[str], fields: frozenset[str]) -> None:
        """Note the altered fields of a type, if there are any."""
        if fields:
            self._of_type[name] = fields
            self._anywhere |= fields
            for ancestor in ancestors:
                self._below.setdefault(ancestor, set()).update(fields)

    def resorted(self, names: Iterable[str]) -> None:
        """Note types that are gone, or have other descendants with entities."""
        self._resorted.update(names)

    def hits_type(self, name: str, field: str | None) -> bool:
        """Whether entities of a type or its descendants are others, or a field of theirs is (None: any field)."""
        return name in self._resorted or _among(field, self._below.get(name))

    def hits_entity(self, type_name: str, field: str | None) -> bool:
        """Whether a field (None: any) of an entity of exactly this type reads otherwise."""
        return _among(field, self._of_type.get(type_name))

    def hits_anywhere(self, fields: Iterable[str]) -> bool:
        """Whether any type has one of these fields altered."""
        return not self._anywhere.isdisjoint(fields)


def retyped(before: Types, after: Types, counts: Mapping[str, int]) -> Work[Retyped]:
    """What is other than before, false if nothing that matters; `counts` are entities by type."""
    pace = Pace()
    found = Retyped()
    for name, old in before.complete.items():
        new = after.complete.get(name)
        if new is None:
            found.resorted([name])
        elif new is not old:
            found.altered(name, old.ancestors | new.ancestors, _altered_fields(old, new))
            if counts.get(name):
                found.resorted(old.ancestors ^ new.ancestors)
            if pace.is_due(len(old.slots)):
                yield
    return found


def _altered_fields(old: CompleteSchema, new: CompleteSchema) -> frozenset[str]:
    """Fields that are gone, have another kind, or read otherwise where they are unset."""
    found = set()
    for field in old.slots:
        now = new.by_name.get(field.name)
        if now is None or now.kind is not field.kind or now.default != field.default:
            found.add(field.name)
    return frozenset(found)


def _among(field: str | None, fields: Iterable[str] | None) -> bool:
    return fields is not None and (field is None or field in fields)
