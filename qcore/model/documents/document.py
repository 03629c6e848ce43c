"""JSON snapshot documents: their shape, and how values are written in them.

A document is ``{"schemas": [..], "tree": {..}, "detached": [..], "nextId": n}``: types, the Root with everything
below it, the other entities without a parent. In memory, and in a command of the log, its entities are a flat list,
parents first: no work on a document needs recursion, however deep its tree is.

Reading the text is `qcore.model.documents.text`, checking what it says `qcore.model.documents.validation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec

from qcore.model.errors import BadParams, BadValue, cut
from qcore.model.ids import is_identifier
from qcore.model.schema import CompleteField, EntitySchema
from qcore.model.times import NS, parse_time
from qcore.model.values import INT_MAX, INT_MIN, Kind, Resolve, Stored, parse_value, value_to_json
from qcore.model.wire import encode_json

__all__ = [
    "MAX_PROBLEMS",
    "MOST_PROBLEMS",
    "PATH_HEAD",
    "PATH_TAIL",
    "STRUCTURE",
    "Document",
    "DocumentEntity",
    "Problem",
    "escape_text",
    "field_of_key",
    "key_of_field",
    "password_in",
    "read_form",
    "refuse",
    "standard_form",
    "step_of_key",
    "with_texts",
    "write_form",
]

STRUCTURE = ("entityType", "id", "Name", "Children")
"""Keys of an entity that are not one of its fields."""

MAX_PROBLEMS = 1000
"""Problems that an error carries."""

MOST_PROBLEMS = 100_000
"""Problems of entities that are noted; nobody counts those of a document with more."""

PATH_HEAD, PATH_TAIL = 48, 12
"""Steps of a JSON path that are shown at either end: a problem costs the same however deep it stands."""

_OPENING, _CLOSING = "__hashpw__(", ")"
_ESCAPE = "\\"
_ESCAPED_KEYS = {_ESCAPE + key: key for key in STRUCTURE}
_ONLY_HERE = frozenset({Kind.Timestamp, Kind.Blob})
"""Kinds that documents write in more ways than other requests."""


class DocumentEntity(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One entity: `parent` is its parent's place in the list (None: none), `fields` are as the document writes them."""

    type: str
    name: str
    parent: int | None = None
    id: int | None = None
    fields: dict[str, Any] = {}


class Document(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """`entities` begin with the Root; each stands behind its parent, siblings in their order."""

    schemas: list[EntitySchema]
    entities: list[DocumentEntity]
    next_id: int | None = None


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with a document; `path` is a JSON path such as ``$.tree.Children[2].Age``."""

    path: str
    message: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", cut(self.path))  # both quote what a document says, which has
        msgspec.structs.force_setattr(self, "message", cut(self.message))  # no limit of its own

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def refuse(problems: list[Problem]) -> BadParams:
    """The error that answers for a document with problems: the first in words, the first thousand as data."""
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return BadParams(f"{problems[0]}{more}", problems=msgspec.to_builtins(problems[:MAX_PROBLEMS]))


# -- fields and their keys ---------------------------------------------------------------------------------


def key_of_field(name: str) -> str:
    """The key under which an entity writes a field: its name, escaped where the key means something else."""
    return _ESCAPE + name if name in STRUCTURE else name


def field_of_key(key: str) -> str:
    """The field a key of an entity stands for."""
    return _ESCAPED_KEYS.get(key, key)


def step_of_key(key: str) -> str:
    """A key as a step of a JSON path."""
    return f".{key}" if is_identifier(key) else f"[{encode_json(key).decode()}]"


# -- values ------------------------------------------------------------------------------------------------


def password_in(value: Any) -> str | None:
    """The password of ``__hashpw__(text)``, which asks to store a hash of the text; None for any other value."""
    if isinstance(value, str) and value.startswith(_OPENING) and value.endswith(_CLOSING):
        return value[len(_OPENING) : -len(_CLOSING)]
    return None


def escape_text(text: str) -> str:
    """Write a String so that it is never taken for a password to hash."""
    if not text.endswith(_CLOSING):
        return text
    return _ESCAPE + text if password_in(text.lstrip(_ESCAPE)) is not None else text


def _unescape_text(text: str) -> str:
    return text[1:] if text.startswith(_ESCAPE) and password_in(text.lstrip(_ESCAPE)) is not None else text


def write_form(kind: Kind, value: Stored) -> Any:
    """A stored value as a document writes it; references are written as paths, by who knows the tree."""
    return escape_text(str(value)) if kind is Kind.String else value_to_json(kind, value, lambda _id: True)


def read_form(field: CompleteField, value: Any, resolve: Resolve, max_list: int | None = None) -> Stored:
    """The stored form of a value of a document.

    Raises:
        BadValue: names field, expected and given; also for a password that nobody has hashed yet.
        NotFound, TooLarge: as `parse_value` does.
    """
    kind = field.kind
    if kind is Kind.String and isinstance(value, str):
        return _text(field.name, value)
    if kind in _ONLY_HERE or isinstance(value, dict | list):
        value = standard_form(kind, field.name, value)
    if field.plain is not None:
        return field.plain(field.name, value)
    stored = parse_value(kind, field.name, value, field.labels, resolve, max_list)
    if kind is Kind.EntityList and len(set(stored)) != len(stored):  # type: ignore[arg-type]
        raise BadValue(f"field {field.name}: an entity stands twice in the list", field=field.name)
    return stored


def _text(name: str, value: str) -> str:
    if not value.endswith(_CLOSING):
        return value
    if password_in(value) is not None:
        raise BadValue(f"field {name}: the password is not hashed yet", field=name)
    return _unescape_text(value)


def standard_form(kind: Kind, name: str, value: Any) -> Any:
    """Turn what only documents accept (a Timestamp in seconds, a Blob as byte numbers) into what every API does.

    A Timestamp becomes nanoseconds.

    Raises:
        BadValue: names the field, expected and given.
    """
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value)):
        raise BadValue(f"field {name}: expected a value of kind {kind}, given a nested one", field=name)
    if kind is Kind.Timestamp:
        return _timestamp(name, value)
    if kind is Kind.Blob and isinstance(value, list):
        if all(type(item) is int and 0 <= item <= 255 for item in value):
            return value_to_json(kind, bytes(value), lambda _id: True)
        raise BadValue(f"field {name}: a Blob as a list has numbers 0..255 only", field=name)
    return value


def _timestamp(name: str, value: Any) -> int:
    ns: int | None = None
    if isinstance(value, str):
        ns = parse_time(value)
    elif type(value) is int or (type(value) is float and math.isfinite(value)):
        ns = round(Fraction(repr(value)) * NS)  # as it was written, not as a double keeps it
    if ns is not None and INT_MIN <= ns <= INT_MAX:
        return ns
    given = repr(value)[:80]
    raise BadValue(
        f"field {name}: expected a Timestamp (RFC 3339, or seconds since 1970, of the years 1677-2262), given {given}",
        field=name,
    )


def with_texts(document: Document, texts: Mapping[tuple[int, str], str]) -> Document:
    """The document with other String values: place in `entities` and field -> text, such as a password's hash."""
    entities = list(document.entities)
    for (place, name), text in texts.items():
        fields = {**entities[place].fields, name: escape_text(text)}
        entities[place] = msgspec.structs.replace(entities[place], fields=fields)
    return msgspec.structs.replace(document, entities=entities)
