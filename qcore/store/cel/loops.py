"""The macros over lists and maps. Each turn takes as many steps as its body has parts, so that none runs for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from qcore.store.cel.code import Run
from qcore.store.cel.values import Exhausted, FilterError, Frame, Map, type_name
from qcore.store.state.entity import Entity

__all__ = ["Over", "exists_one", "filtered", "mapped", "quantifier"]


class Over(NamedTuple):
    """What a macro runs over: the list or map, the variable's place in the frame, the steps of one turn."""

    operand: Run
    place: int
    steps: int

    def turns(self, entity: Entity, frame: Frame) -> Iterator[Any]:
        """Set the variable to each element in turn, and yield it."""
        values = self.operand(entity, frame)
        if type(values) is Map:
            values = values.keys()
        elif type(values) is not list and type(values) is not tuple:
            raise FilterError(f"a macro runs over a list or a map, given {type_name(values)}")
        place, steps = self.place, self.steps
        for value in values:
            frame[1] -= steps
            if frame[1] < 0:
                raise Exhausted
            frame[place] = value
            yield value


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
