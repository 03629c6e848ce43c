"""Entities and values at one moment of the log, with names for people and ids for programs. No I/O.

Passwords are shown to nobody, nor are their hashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qcore.model.documents.document import password_in
from qcore.model.documents.password import is_hash
from qcore.model.path import escape_name
from qcore.model.values import Kind, value_to_json
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from qcore_tools.forms import literal

__all__ = ["HIDDEN", "Names", "Shown", "cut_words", "plain", "plain_json", "without_secrets"]

HIDDEN = "(password)"

_SECRET = re.compile(r"\$scrypt\$[^$\s]*\$[^$\s]*\$[A-Za-z0-9+/=]*|__hashpw__\(.*\)", re.DOTALL)
"""A hash or a password within a text."""

_LONG = 200
"""Characters of a value that people are shown."""
_MANY = 10
"""Elements of a list that people are shown."""


class Names:
    """Names in a state as it is now."""

    def __init__(self, state: State) -> None:
        self._state = state

    def has(self, id: int) -> bool:
        """Whether there is such an entity."""
        return id in self._state.entities

    def type(self, id: int) -> str:
        """The type of an entity, empty where there is none."""
        entity = self._state.entities.get(id)
        return "" if entity is None else entity.type

    def path(self, id: int) -> str:
        """The path of an entity, ``(missing) 17`` where there is none."""
        entity = self._state.entities.get(id)
        return f"(missing) {id}" if entity is None else self.path_of(entity)

    def path_of(self, entity: Entity, gone: Mapping[int, Entity] = {}) -> str:
        """The path of an entity that exists, or did a moment ago: `gone` are those that went with it."""
        names: list[str] = []
        above: Entity | None = entity
        while above is not None:
            names.append(f"/{escape_name(above.name)}{self._twin(above)}")
            above = gone.get(above.parent) or self._state.entities.get(above.parent)
        return "".join(reversed(names))

    def _twin(self, entity: Entity) -> str:
        """``#2`` for the second of its name; nothing for one that is gone."""
        state, twin = self._state, 1
        if entity.id not in state.entities:
            return ""
        while (found := state.child_named(entity.parent, entity.name, twin)) is not None:
            if found == entity.id:
                return f"#{twin}" if twin > 1 else ""
            twin += 1
        return ""

    def text(self, kind: Kind, value: Any) -> str:
        """A stored value for people; references are paths."""
        match kind:
            case Kind.EntityReference:
                return self.path(value) if value else "null"
            case Kind.EntityList:
                shown = [self.path(id) for id in value[:_MANY]]
                more = [f"... {len(value):,} in all"] if len(value) > _MANY else []
                return f"[{', '.join(shown + more)}]"
            case Kind.Blob:
                return f"({len(value):,} bytes)"
        return plain(value_to_json(kind, value, self._state.entities.__contains__))

    def json(self, kind: Kind, value: Any) -> Any:
        """A stored value as the API has it; references are ids."""
        return plain_json(value_to_json(kind, value, self._state.entities.__contains__))


class Shown:
    """How values are shown where the state is known (`names`) or not: as text for people, or as JSON."""

    def __init__(self, names: Names | None, as_text: bool) -> None:
        self.names = names
        self._as_text = as_text

    def stored(self, kind: Kind, value: Any) -> Any:
        """A value of the state."""
        assert self.names is not None
        return self.names.text(kind, value) if self._as_text else self.names.json(kind, value)

    def given(self, value: Any) -> Any:
        """A value of a command, as JSON has it."""
        return plain(value) if self._as_text else plain_json(value)


def plain(value: Any) -> str:
    """A JSON value for people; of long ones the beginning."""
    if _is_secret(value):
        return HIDDEN
    if isinstance(value, str) and len(value) > _LONG:
        return f'{literal(value[:_LONG])[:-1]}..." ({len(value):,} characters)'
    if isinstance(value, list):
        return f"[{', '.join([*map(plain, value[:_MANY]), *([f'... {len(value):,} in all'] * (len(value) > _MANY))])}]"
    return literal(value)


def plain_json(value: Any) -> Any:
    """A JSON value as it is, or ``{"hidden": "password"}``."""
    if isinstance(value, list):
        return [plain_json(each) for each in value]
    if isinstance(value, dict):
        return {name: plain_json(each) for name, each in value.items()}
    return {"hidden": "password"} if _is_secret(value) else value


def without_secrets(text: str) -> str:
    """A message, in which values may be quoted."""
    return _SECRET.sub(HIDDEN, text)


def _is_secret(value: Any) -> bool:
    return isinstance(value, str) and (is_hash(value) or password_in(value) is not None)


def cut_words(words: Sequence[str], most: int) -> list[str]:
    """At most so many of the words, and how many more there are."""
    more = len(words) - most
    return list(words) if more <= 0 else [*words[:most], f"and {more:,} more"]
