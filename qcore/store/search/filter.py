"""Filters: the text of a CEL expression, checked against the types it will meet, and what it says of an entity.

`parse` depends on nothing and may run in a thread; `bind` checks names and functions against candidate types;
`Filter.matches` answers for one entity. How it all works inside is in `qcore.store.cel`. What a search does with
errors, time and pages is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from qcore.model.errors import BadFilter
from qcore.model.schema import CompleteSchema
from qcore.store.cel.code import Run
from qcore.store.cel.comparison import element_form, stored_form
from qcore.store.cel.compile import compile_filter, size
from qcore.store.cel.nodes import Parsed
from qcore.store.cel.scan import MAX_LEVELS, MAX_TEXT, scan
from qcore.store.cel.syntax import parse
from qcore.store.cel.validation import check, conjunction
from qcore.store.cel.values import Exhausted, FilterError
from qcore.store.state.entity import Entity
from qcore.store.state.indexes import Equality
from qcore.store.state.view import Holder

__all__ = ["MAX_LEVELS", "MAX_TEXT", "STEPS", "Filter", "FilterError", "Parsed", "bind", "parse", "translate"]

STEPS = 100_000
"""Steps for one entity where the caller gives no number: some 10 to 30 ms."""

_MAX_COMPILED = 4_096


def translate(text: str) -> str:
    """Plain CEL of the same length and the same meaning to a parser: arrows and the content of literals replaced.

    Raises:
        TooLarge, BadFilter: as `parse` does.
    """
    return scan(text).text


def bind(
    parsed: Parsed, types: Sequence[CompleteSchema], fields: Collection[str] | None = None, steps: int = STEPS
) -> Filter:
    """Check a filter against the types whose entities it will see.

    Args:
        parsed: what `parse` gave; it may be bound any number of times.
        types: the candidates; a field has to be in one of them.
        fields: names of all fields of all types; given, the hops of ``A->B`` are checked against it.
        steps: what one entity may cost, in parts of the expression evaluated.

    Raises:
        BadFilter: an unknown field or function, wrong operands of one, a constant part that can only fail, a result
            that cannot be a bool; names line and column.
    """
    check(parsed, types, fields)
    return Filter(parsed, steps)


class Filter:
    """A filter bound to types; made by `bind`. Not for several threads at a time, but it may be kept and reused."""

    def __init__(self, parsed: Parsed, steps: int) -> None:
        self.source = parsed.source
        self._root = parsed.root
        self._terms = list(conjunction(parsed.root))
        self._steps = steps
        self._size = size(parsed.root)
        self.taken = 0
        """Steps that the last entity took at most, those outside of macros counted too."""
        self._variables: list[Any] = [None] * parsed.variables
        self._runs: dict[CompleteSchema, Run] = {}

    def matches(self, state: Holder, entity: Entity) -> bool:
        """Whether the entity matches.

        Raises:
            FilterError: the expression has no answer for this entity; says why.
            BadFilter: it takes too many steps; a search should end there.
        """
        run = self._runs.get(entity.schema)
        if run is None:
            run = self._compile(entity.schema)
        frame = [state.entities, self._steps, *self._variables]
        try:
            return run(entity, frame)  # type: ignore[no-any-return]
        except Exhausted:
            raise BadFilter(f"filter: too expensive: more than {self._steps} steps for entity {entity.id}") from None
        finally:
            self.taken = self._size + self._steps - frame[1]

    def equality(self, schema: CompleteSchema) -> list[Equality]:
        """Terms ``Field == constant`` and ``id in List`` that each match of one candidate type fulfils.

        An index by field may narrow the entities with any of them, an unset field standing for its default; the
        rest of the filter still has to be asked of each. Where one is false or an error, so is ``term && rest``.
        """
        terms = []
        for name, op, value in self._terms:
            field = schema.by_name.get(name)
            form = None if field is None else (element_form if op == "in" else stored_form)(field, value)
            if field is None or form is not None:
                terms.append(Equality(name, field, form))
        return terms

    def _compile(self, schema: CompleteSchema) -> Run:
        if len(self._runs) >= _MAX_COMPILED:  # more than any store has types: most are of the past
            self._runs.clear()
        run = self._runs[schema] = compile_filter(self._root, schema)
        return run
