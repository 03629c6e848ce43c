"""The macros over lists and maps. Each turn takes as many steps as its body has parts, so that none runs for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from qcore.store.cel.code import Run
from qcore.store.cel.values import Exhausted, FilterError, Frame, Map, charge, type_name
from qcore.store.state.entity import Entity

__all__ = ["Over", "exists_one", "filtered", "mapped", "mapped_entries", "mapped_values", "quantifier"]


class Over(NamedTuple):
    """What a macro runs over: the list or map, the place in the frame of its first variable, how many there are, and
    the steps of one turn."""

    operand: Run
    place: int
    variables: int
    steps: int

    def turns(self, entity: Entity, frame: Frame) -> Iterator[Any]:
        """Set the variables to each element in turn, and yield it; with two variables the index or key is yielded."""
        values = self.operand(entity, frame)
        if type(values) is Map:
            values = values.items() if self.variables == 2 else values.keys()
        elif type(values) is not list and type(values) is not tuple:
            raise FilterError(f"a macro runs over a list or a map, given {type_name(values)}")
        elif self.variables == 2:
            values = enumerate(values)
        place, steps = self.place, self.steps
        if self.variables == 2:
            yield from self._pairs(values, frame)
            return
        for value in values:
            frame[1] -= steps
            if frame[1] < 0:
                raise Exhausted
            frame[place] = value
            yield value

    def _pairs(self, values: Iterable[tuple[Any, Any]], frame: Frame) -> Iterator[Any]:
        place = self.place
        for key, value in values:
            charge(frame, self.steps)
            frame[place], frame[place + 1] = key, value
            yield key


def quantifier(over: Over, test: Run, decisive: bool) -> Run:
    """`exists` (`decisive` is True) and `all` (False): one decisive element outweighs every error."""

    def quantify(entity: Entity, frame: Frame) -> Any:
        error: FilterError | None = None
        for _ in over.turns(entity, frame):
            try:
                if test(entity, frame) is decisive:
                    return decisive
            except FilterError as exc:
                error = error or exc
        if error is not None:
            raise error
        return not decisive

    return quantify


def exists_one(over: Over, test: Run) -> Run:
    """Whether exactly one element passes."""
    return lambda entity, frame: sum(test(entity, frame) for _ in over.turns(entity, frame)) == 1


def filtered(over: Over, test: Run) -> Run:
    """The elements that pass."""
    return lambda entity, frame: [value for value in over.turns(entity, frame) if test(entity, frame)]


def mapped(over: Over, body: Run, where: Run | None) -> Run:
    """What becomes of the elements, or of those that pass `where`."""
    if where is None:
        return lambda entity, frame: [body(entity, frame) for _ in over.turns(entity, frame)]
    return lambda entity, frame: [body(entity, frame) for _ in over.turns(entity, frame) if where(entity, frame)]


def mapped_values(over: Over, body: Run, where: Run | None) -> Run:
    """A map of the same keys, or of those that pass `where`, to what becomes of the values."""

    def pairs(entity: Entity, frame: Frame) -> Iterator[tuple[Any, Any]]:
        for key in over.turns(entity, frame):
            if where is None or where(entity, frame):
                yield key, body(entity, frame)

    return lambda entity, frame: Map(pairs(entity, frame))


def mapped_entries(over: Over, body: Run, where: Run | None) -> Run:
    """The maps that become of the elements, or of those that pass `where`, as one."""

    def pairs(entity: Entity, frame: Frame) -> Iterator[tuple[Any, Any]]:
        for _ in over.turns(entity, frame):
            if where is not None and not where(entity, frame):
                continue
            made = body(entity, frame)
            if type(made) is not Map:
                raise FilterError(f"transformMapEntry takes a map for each element, given {type_name(made)}")
            charge(frame, len(made))
            yield from made.items()

    return lambda entity, frame: Map(pairs(entity, frame))
