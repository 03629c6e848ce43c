"""Asking filters in tests: of one entity, by its text alone."""

from __future__ import annotations

from typing import Any

from qcore.model.values import Kind
from qcore.store.cel.compile import compile_filter
from qcore.store.cel.nodes import Parsed
from qcore.store.search.filter import STEPS, Filter, FilterError, bind, parse
from qcore.store.state.entity import Entity
from qcore.store.state.view import Holder
from tests.store.samples import Log, field, type_of

__all__ = ["World", "evaluated"]


def evaluated(parsed: Parsed, state: Holder, entity: Entity) -> bool:
    """What a filter says of an entity, also one that is refused because it can only fail."""
    frame = [state.entities, STEPS, *[None] * parsed.variables]
    return bool(compile_filter(parsed.root, entity.schema)(entity, frame))


class World:
    """A company of two teams and three people; Cy has no team, and the team of Bo is gone."""

    def __init__(self) -> None:
        self.log = Log(
            type_of("Team", field("Motto", Kind.String)),
            type_of(
                "Person",
                field("Age", Kind.Int, 30),
                field("Height", Kind.Float, 1.75),
                field("Email", Kind.String, "a@b.org"),
                field("IsActive", Kind.Bool, True),
                field("Level", Kind.Choice, choices=["low", "middle", "high"]),
                field("Since", Kind.Timestamp, "2024-02-29T12:30:45.123456789Z"),
                field("Key", Kind.Blob, "aGk="),
                field("Team", Kind.EntityReference),
                field("Friends", Kind.EntityList),
            ),
            type_of("Guest", field("Badge", Kind.String, "G1"), inherits=["Person"]),
        )
        self.team = self.log.create("Team", "Blue", Motto="go")
        self.gone = self.log.create("Team", "Red")
        self.ann = self.log.create("Person", "Ann", self.team, Team=self.team, Level="middle")
        self.bo = self.log.create("Person", "Bo", 1, Team=self.gone, Age=41)
        self.cy = self.log.create("Guest", "Cy", 1, Friends=[self.ann, self.bo])
        self.log.delete(self.gone)

    def bind(self, text: str, *types: str, steps: int = STEPS) -> Filter:
        complete = self.log.state.types.complete
        return bind(parse(text), [complete[name] for name in types or ("Person", "Guest")], steps=steps)

    def matches(self, text: str, id: int | None = None, **kwargs: Any) -> bool:
        """What the filter says of an entity, Ann where none is named."""
        state = self.log.state
        return self.bind(text, **kwargs).matches(state, state.entities[id or self.ann])

    def evaluated(self, text: str) -> bool:
        state = self.log.state
        return evaluated(parse(text), state, state.entities[self.ann])

    def error(self, text: str, id: int | None = None) -> str | None:
        """Why the filter has no answer, None where it has one."""
        try:
            self.matches(text, id)
        except FilterError as exc:
            return exc.message
        return None
