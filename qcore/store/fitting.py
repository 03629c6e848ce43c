"""Entities of other schemas than before: which they are, how each gets its new slots, and which values go.

A value goes with its field, with the field's kind, and with its label. The maintained fields never go.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from qcore.model.errors import InUse, TooLarge
from qcore.model.quoting import quoted
from qcore.model.schema import MAX_FIELDS, CompleteField, CompleteSchema, Types
from qcore.model.values import Kind
from qcore.model.work import Pace, Work
from qcore.store.state.entity import Entity
from qcore.store.state.view import View

__all__ = [
    "MAX_GROWTH",
    "Fitting",
    "Misfit",
    "Reset",
    "check_room",
    "count_resets",
    "misfit_count",
    "misfits",
    "refuse_resets",
    "resets",
]

MAX_GROWTH = 20_000_000
"""Fields that one change of schemas gives to all entities together: a small request could otherwise take any memory."""


class Fitting:
    """From the slots of one complete schema to those of another of the same type."""

    def __init__(self, old: CompleteSchema, new: CompleteSchema) -> None:
        kept = [old.by_name.get(field.name) for field in new.slots]
        self._type = new.type
        nothing = len(old.slots)  # a slot behind the others: of a field that is new or has another kind
        slots = [
            before.slot if before is not None and before.kind is field.kind else nothing
            for before, field in zip(kept, new.slots, strict=True)
        ]
        self._values = itemgetter(*slots)
        self._stamps = itemgetter(*(place for slot in slots for place in (2 * slot, 2 * slot + 1)))
        taken = set(slots)
        self.dropped = [field for field in old.slots if field.slot not in taken]
        self._labels = [
            (before, frozenset(field.labels))
            for before, field in zip(kept, new.slots, strict=True)
            if before is not None
            and before.kind is field.kind is Kind.Choice
            and not set(before.labels) <= set(field.labels)
        ]
        """Choices that lose a label, as they were, and the labels that they have now."""
        self.loses = len(self.dropped) + len(self._labels)
        """How many fields an entity may lose a value of."""

    def check(self, entity: Entity) -> None:
        """Raise `InUse` where a label that the entity holds would go."""
        for field in self.lost_labels(entity):
            label = entity.values[field.slot]
            raise InUse(f"label {quoted(label)} of {self._type}.{field.name} is in use by entity {entity.id}")

    def lost(self, entity: Entity) -> Iterator[CompleteField]:
        """The fields, as they were, of which a value that the entity holds goes."""
        for field in self.dropped:
            if entity.values[field.slot] is not None:
                yield field
        yield from self.lost_labels(entity)

    def lost_labels(self, entity: Entity) -> Iterator[CompleteField]:
        """The Choices of which a label that the entity holds goes."""
        for field, labels in self._labels:
            label = entity.values[field.slot]
            if label is not None and label not in labels:
                yield field

    def fit(self, entity: Entity) -> tuple[list[Any], array[int]]:
        """Values and stamps by the new slots."""
        values = list(self._values([*entity.values, None]))
        return values, array("q", self._stamps(entity.stamps + _UNWRITTEN))


_UNWRITTEN = array("q", (0, 0))


class Misfit(NamedTuple):
    """An entity that needs other slots, its new schema, and how it comes by what is in them."""

    entity: Entity
    schema: CompleteSchema
    fitting: Fitting


class Reset(NamedTuple):
    """A value that goes: whose, and of which field, as it was."""

    entity: Entity
    field: CompleteField


def misfit_count(view: View, types: Types) -> int:
    """How many entities need other slots for other schemas."""
    before = view.types.complete
    return sum(view.counts.get(name, 0) for name, schema in types.complete.items() if schema is not before.get(name))


def misfits(view: View, before: Types, types: Types) -> Iterator[Misfit]:
    """Each entity that needs other slots for other schemas."""
    for schema, fitting in _fittings(view, before, types):  # all entities of a type have one schema
        yield from _of_type(view, schema, fitting)


def resets(view: View, types: Types, spend: Callable[[int], None] | None = None) -> Iterator[Reset | None]:
    """Every value that goes with the schemas there are, and a None behind each entity.

    `spend` is told how many fields are looked at.
    """
    for schema, fitting in _fittings(view, view.types, types):
        if fitting.loses:
            for entity, _, _ in _of_type(view, schema, fitting):
                if spend is not None:
                    spend(fitting.loses)
                for field in fitting.lost(entity):
                    yield Reset(entity, field)
                yield None


def count_resets(found: Iterable[Reset | None]) -> Work[dict[str, int]]:
    """How many values go of each field, by the type that brings it: ``{"Person.Age": 3}``; heirs count there."""
    counts: Counter[str] = Counter()
    pace = Pace()
    for reset in found:
        if reset is not None:
            counts[f"{reset.field.origin}.{reset.field.name}"] += 1
        elif pace.is_due():
            yield
    return dict(sorted(counts.items()))


def refuse_resets(counts: Mapping[str, int]) -> None:
    """Refuse that values go.

    Raises:
        InUse: `data["reset"]` has the counts.
    """
    if counts:
        words = ", ".join(
            f"{name} of {count} {'entity' if count == 1 else 'entities'}" for name, count in counts.items()
        )
        raise InUse(f"this would reset stored values: {words}; say reset (--reset) if it is to", reset=dict(counts))


def check_room(view: View, before: Types, types: Types, gone: Mapping[str, int] = {}) -> None:
    """Refuse types that no entity has room for; so many entities of each type are `gone` by then.

    Raises:
        TooLarge: one has more than `MAX_FIELDS`, or its entities would get more than `MAX_GROWTH` together.
    """
    growth = 0
    for name, schema in types.complete.items():
        old = before.complete.get(name)
        if schema is not old:
            if len(schema.slots) > MAX_FIELDS:
                raise TooLarge(
                    f"type {name} would have {len(schema.slots)} fields with those it inherits, at most {MAX_FIELDS} "
                    "are allowed"
                )
            count = view.counts.get(name, 0) - gone.get(name, 0)
            growth += count * max(len(schema.slots) - (len(old.slots) if old is not None else 0), 0)
    if growth > MAX_GROWTH:
        raise TooLarge(f"the entities would get {growth:,} fields at once, at most {MAX_GROWTH:,} are allowed")


def _fittings(view: View, before: Types, types: Types) -> Iterator[tuple[CompleteSchema, Fitting]]:
    for name, schema in types.complete.items():
        if view.counts.get(name) and schema is not before.complete[name]:
            yield schema, Fitting(before.complete[name], schema)


def _of_type(view: View, schema: CompleteSchema, fitting: Fitting) -> Iterator[Misfit]:
    for id in view.ids(schema.type):
        entity = view.entities.get(id)
        if entity is not None:
            yield Misfit(entity, schema, fitting)
