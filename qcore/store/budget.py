"""How much one command may do in apply: counted in units, so that each replica and each replay stops in one place.

A unit is an element of a list that is looked at or kept, a field of an entity that is made, removed or laid out anew,
or 64 characters or bytes that are written or kept, old values among them: they stay in memory until the command ends.
What is written is counted from the journal; what is only looked at is counted where that is done.

The bound is a constant of the feature level. Nothing is stopped in the middle: a step of a compound, or a field of one
`set`, begins only while less is spent, so a command that stands alone always runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qcore.model.errors import TooLarge
from qcore.model.schema import EntitySchema, Types
from qcore.store.state.entity import CHILDREN, Entity
from qcore.store.state.journal import PLACED, Added, Change, Put, Relaid, Removed, Reordered

__all__ = ["BUDGET_LEVEL", "MAX_UNITS", "UNIT_SIZE", "Budget", "types_units", "units_of"]

BUDGET_LEVEL = 3
"""Feature level from which on work is bounded."""

MAX_UNITS = 4_000_000

UNIT_SIZE = 64
"""Characters or bytes of a value that are one unit."""

_PLACED_ANEW = 8
"""Units of a child that gets another order: it is in two lists, and hashed twice."""


_FIELD = 16
"""Units of a field of an own schema: it is checked, sorted, written and hashed."""

_HEIR_FIELD = 2
"""Units of a field of a complete schema that is made anew."""

_TYPES_AT_ONCE = 4
"""Fields and ancestors of unchanged types that are one unit."""


class Budget:
    """What the running command has spent, its steps together."""

    __slots__ = ("_counted", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self._counted = 0
        """Lines of the journal that are counted."""

    def reset(self) -> None:
        """A command begins."""
        self.spent = self._counted = 0

    def begin_journal(self) -> None:
        """The state begins an empty journal; what was counted stays spent."""
        self._counted = 0

    def spend(self, units: int) -> None:
        """Count what the journal does not show."""
        self.spent += units

    def count(self, journal: list[Change]) -> None:
        """Count what was written since the last time."""
        if len(journal) > self._counted:
            self.spent += sum(map(_cost, journal[self._counted :]))
            self._counted = len(journal)

    def check(self, level: int) -> None:
        """Let another step begin, by the rules of a feature level.

        Raises:
            TooLarge: all is spent.
        """
        if self.spent >= MAX_UNITS and level >= BUDGET_LEVEL:
            raise TooLarge(
                f"one command does at most {MAX_UNITS:,} units of work (an element of a list, a field of an entity, "
                f"{UNIT_SIZE} characters), and what came before this took them: use several commands"
            )


def units_of(value: Any) -> int:
    """Units of a stored value, or of one in an error; 0 where it is small whatever it is."""
    kind = type(value)
    if kind is str:
        return len(value) // UNIT_SIZE if value.isascii() else len(value) * 4 // UNIT_SIZE
    if kind is bytes:
        return len(value) // UNIT_SIZE
    return len(value) if kind is tuple or kind is list else 0


def types_units(types: Types, schemas: Iterable[EntitySchema]) -> int:
    """Units of finding out which types follow if these schemas are set: all are looked at, and heirs made anew."""
    units = types.size // _TYPES_AT_ONCE
    for schema in schemas:
        heirs = types.descendants.get(schema.entity_type, ())
        units += _HEIR_FIELD * sum(len(types.complete[name].slots) + len(schema.fields) for name in heirs)
        units += _own_units(schema)
        if schema.entity_type in types.own:
            units += _own_units(types.own[schema.entity_type])
    return units


def _own_units(schema: EntitySchema) -> int:
    return sum(_FIELD + len(field.choices) + units_of(field.default) for field in schema.fields)


def _cost(line: Change) -> int:
    match line:
        case Put(entity=entity, slot=slot, value=old):
            return 1 if slot in PLACED else 1 + units_of(old) + units_of(entity.values[slot])
        case Relaid(entity=entity, values=values):
            return len(values) + len(entity.values)
        case Added(entity=entity):
            return len(entity.values)
        case Removed(entity=entity):
            return _size(entity)
        case Reordered(orders=orders):
            return _PLACED_ANEW * len(orders)
    return 1


def _size(entity: Entity) -> int:
    values = entity.values
    return len(values) + sum(units_of(value) for slot, value in enumerate(values) if slot != CHILDREN)
