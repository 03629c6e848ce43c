"""``&&`` and ``||``: a term that decides alone outweighs an error of another, in either order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qcore.store.cel.code import Run
from qcore.store.cel.values import FilterError, Frame
from qcore.store.state.entity import Entity

__all__ = ["chain", "pair"]


def pair(first: Run, second: Run, decisive: bool) -> Run:
    """Two terms of ``&&`` (`decisive` is False) or ``||`` (True)."""

    def both(entity: Entity, frame: Frame) -> Any:
        try:
            if first(entity, frame) is decisive:
                return decisive
        except FilterError:
            if second(entity, frame) is decisive:
                return decisive
            raise
        return second(entity, frame)

    return both


def chain(terms: Iterable[Run], decisive: bool) -> Run:
    """Three terms or more."""
    terms = tuple(terms)

    def all_of(entity: Entity, frame: Frame) -> Any:
        error = None
        for term in terms:
            try:
                if term(entity, frame) is decisive:
                    return decisive
            except FilterError as exc:
                error = error or exc
        if error is not None:
            raise error
        return not decisive

    return all_of
