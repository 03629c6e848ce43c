"""What the answer to a `local` read says of how old it may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.engine.base import Engine
from qcore.model.requests.queries import StoreQuery
from qcore.model.requests.results import AgedAnswer, StateAnswer
from qcore.server.calls import Call
from qcore.store.state.state import State

__all__ = ["Staleness", "Stamp"]

Stamp = Callable[[Any], None]
"""Writes into a result how old it may be, where it has a place for that: a bare value and a schema have none."""


class Staleness:
    """Of reads of one node."""

    def __init__(self, state: State, engine: Engine) -> None:
        self._state = state
        self._engine = engine
        self.blank = False
        """Whether this node belongs to no cluster: then every read is a `local` one."""

    def stamp(self, call: Call) -> Stamp | None:
        """What the result of a read that begins now is to be told; None where it is not `local`."""
        query = call.params
        if not isinstance(query, StoreQuery) or not (self.blank or query.consistency == "local"):
            return None
        revision, age = self._state.revision, self._engine.status().quorum_age

        def write(result: Any) -> None:
            if isinstance(result, AgedAnswer):
                result.age = None if age is None else round(age, 3)
                if isinstance(result, StateAnswer):
                    result.revision = revision

        return write
