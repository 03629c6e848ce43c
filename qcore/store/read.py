"""Reading one thing: an entity, a schema, the list of types. Finding entities is in `qcore.store.search.find`."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from qcore.model.errors import BadParams, RequestError, TooLarge
from qcore.model.requests.queries import (
    Digest,
    Exists,
    FieldExists,
    FieldGet,
    Get,
    SchemaComplete,
    SchemaGet,
    TypesList,
)
from qcore.model.requests.results import DigestNow, FailedField, FieldError, FieldValue, TypesPage
from qcore.model.requests.results import Entity as EntityResult
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.times import format_time
from qcore.model.values import Kind, value_to_json
from qcore.store.resolve import Place, entity_at, walk
from qcore.store.search.pages import MAX_BYTES, check_limit, check_paths, read_cursor, weight, write_cursor
from qcore.store.state.entity import Entity
from qcore.store.state.state import State

__all__ = [
    "digest",
    "exists",
    "field_exists",
    "field_get",
    "get",
    "schema_complete",
    "schema_get",
    "types",
    "value_at",
]


def exists(state: State, query: Exists) -> bool:
    """Whether the entity exists; a path or ``Type$id`` that leads nowhere is a plain no."""
    try:
        entity_at(state, query.id)
    except BadParams:
        raise
    except RequestError:
        return False
    return True


def get(state: State, query: Get) -> EntityResult:
    """Read fields of one entity; a path that fails is an error of that path alone.

    Raises:
        NotFound: no such entity.
        TooLarge: too many fields, or too much in them.
    """
    entity = entity_at(state, query.id)
    if query.fields is not None:
        check_paths(query.fields)
    paths = query.fields if query.fields is not None else [field.name for field in entity.schema.fields]
    fields: dict[str, FieldValue | FailedField] = {}
    size = 0
    for path in paths:
        if size > MAX_BYTES:
            raise TooLarge(f"the fields up to {path[:80]!r} have more than {MAX_BYTES} bytes: ask for fewer at a time")
        fields[path] = found = _field(state, entity, path)
        size += weight(found.value if isinstance(found, FieldValue) else found)
    return EntityResult(entity.id, entity.type, fields)


def _field(state: State, entity: Entity, path: str) -> FieldValue | FailedField:
    try:
        place = walk(state, entity, path)
    except RequestError as exc:
        return FailedField(FieldError(exc.kind, exc.message))
    owner, field, _ = place
    revision = owner.revision(field.slot)
    time = format_time(owner.time(field.slot)) if revision else None
    return FieldValue(value_at(state, place), time, None, revision)


def value_at(state: State, place: Place) -> Any:
    """What stands at the end of a path, as JSON."""
    entity, field, item = place
    if item is not None:
        return value_to_json(Kind.EntityReference, item, state.entities.__contains__)
    return value_to_json(field.kind, entity.read(field.slot), state.entities.__contains__)


def types(state: State, query: TypesList, max_page: int) -> TypesPage:
    """Type names, sorted."""
    names = state.types.names()
    if query.cursor is not None:
        names = names[bisect_right(names, *read_cursor(query.cursor, state.epochs, str)) :]
    if query.limit is None:
        return TypesPage(names)
    check_limit(query.limit, max_page)
    page = names[: query.limit]
    return TypesPage(page, write_cursor(page[-1:], state.epochs) if len(names) > len(page) else None)


def schema_get(state: State, query: SchemaGet) -> EntitySchema:
    """A type's own schema."""
    return state.types.get(query.type)


def schema_complete(state: State, query: SchemaComplete) -> EntitySchema:
    """A type's schema with everything it inherits."""
    return state.types.of(query.type).as_schema(state.types.own[query.type])


def field_get(state: State, query: FieldGet) -> FieldSchema:
    """The schema of one field, inherited ones too.

    Raises:
        NotFound: no such type or field.
    """
    return state.types.of(query.type).field(query.field).schema


def field_exists(state: State, query: FieldExists) -> bool:
    """Whether a type has a field; no for an unknown type."""
    schema = state.types.complete.get(query.type)
    return schema is not None and query.field in schema.by_name


def digest(state: State, _query: Digest) -> DigestNow:
    """Revision and digest of the state now, and the last checks, newest first."""
    checks = list(reversed(state.checks.last))
    index, rest = state.checks.rest or (state.applied, state.rest())  # the state may be in the middle of an entry
    return DigestNow(state.revision, state.digest(), checks, index, rest.digest())
