"""Reading: entities, pages of entities, types. Long reads are generators that pause between slices."""

from __future__ import annotations

import base64
import heapq
from bisect import bisect_right
from collections.abc import Generator, Iterator
from typing import Any

import msgspec

from qcore.model.errors import BadFilter, BadParams, RequestError, TooLarge
from qcore.model.queries import (
    Count,
    Digest,
    Exists,
    FieldExists,
    FieldGet,
    Find,
    Get,
    SchemaComplete,
    SchemaGet,
    TypesList,
)
from qcore.model.results import DigestNow, FailedField, FieldError, FieldValue, Item, Page, TypesPage
from qcore.model.results import Entity as EntityResult
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.times import format_time
from qcore.model.values import Kind, value_to_json
from qcore.model.wire import decode_json, encode_json
from qcore.store.entity import Entity
from qcore.store.resolve import Place, entity_at, walk
from qcore.store.state import State

__all__ = [
    "count",
    "digest",
    "exists",
    "field_exists",
    "field_get",
    "find",
    "get",
    "schema_complete",
    "schema_get",
    "types",
]

_SLICE = 500
"""Entities and fields between two pauses of a long read."""

MAX_PATHS = 10_000
"""Field paths that one request may ask for."""


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
        TooLarge: more than `MAX_PATHS` fields.
    """
    entity = entity_at(state, query.id)
    if query.fields is not None:
        _check_paths(query.fields)
    paths = query.fields if query.fields is not None else [field.name for field in entity.schema.fields]
    return EntityResult(entity.id, entity.type, {path: _field(state, entity, path) for path in paths})


def _field(state: State, entity: Entity, path: str) -> FieldValue | FailedField:
    try:
        place = walk(state, entity, path)
    except RequestError as exc:
        return FailedField(FieldError(exc.kind, exc.message))
    owner, field, _ = place
    revision = owner.revision(field.slot)
    time = format_time(owner.time(field.slot)) if revision else None
    return FieldValue(_value(state, place), time, None, revision)


def _value(state: State, place: Place) -> Any:
    entity, field, item = place
    if item is not None:
        return value_to_json(Kind.EntityReference, item, state.entities.__contains__)
    return value_to_json(field.kind, entity.read(field.slot), state.entities.__contains__)


def find(state: State, query: Find, max_page: int) -> Generator[None, None, Page]:
    """One page by id ascending; pauses between slices, while which entities come and go.

    Raises:
        NotFound: unknown type.
        TooLarge: a page of more than `max_page`, too many fields.
        BadParams: a limit below 1, a cursor that is none.
        BadFilter: a filter was given.
    """
    types = _types_of(state, query, max_page)
    after = 0 if query.cursor is None else _read_cursor(query.cursor, int)
    items: list[Item] = []
    work = 0
    for id in _ids_after(state, types, after):
        entity = state.entities.get(id)
        if entity is not None:
            if len(items) == query.limit:
                return Page(items, _cursor(items[-1].id), _total(state, types, query))
            items.append(_item(state, entity, query.fields))
            work += len(query.fields)
        work += 1
        if work >= _SLICE:
            work = 0
            yield
    return Page(items, None, _total(state, types, query))


def _types_of(state: State, query: Find, max_page: int) -> list[str]:
    state.types.of(query.type)
    _check_limit(query.limit, max_page)
    _check_paths(query.fields)
    _refuse_filter(query.filter)
    return [query.type] if query.exact else state.types.descendants[query.type]


def _check_limit(limit: int, most: int) -> None:
    if limit < 1:
        raise BadParams(f"limit is at least 1, {limit} given")
    if limit > most:
        raise TooLarge(f"a page has at most {most} items, {limit} asked")


def _refuse_filter(text: str | None) -> None:
    if text is not None:
        raise BadFilter("filters are not part of this version; leave the filter out")


def _check_paths(paths: list[str]) -> None:
    if len(paths) > MAX_PATHS:
        raise TooLarge(f"a request asks for at most {MAX_PATHS} fields, {len(paths)} given")


def _total(state: State, types: list[str], query: Find) -> int | None:
    return sum(state.counts.get(name, 0) for name in types) if query.total else None


def _ids_after(state: State, types: list[str], after: int) -> Iterator[int]:
    """Ids of these types above `after`, ascending; the arrays may grow while the caller pauses."""
    runs = [_run(state, name, after) for name in types]
    return runs[0] if len(runs) == 1 else heapq.merge(*runs)


def _run(state: State, name: str, after: int) -> Iterator[int]:
    while True:
        ids = state.ids(name)
        place = bisect_right(ids, after)
        if place == len(ids):
            return
        after = ids[place]
        yield after


def _item(state: State, entity: Entity, paths: list[str]) -> Item:
    fields: dict[str, Any] = {}
    for path in paths:
        try:
            fields[path] = _value(state, walk(state, entity, path))
        except RequestError as exc:
            fields[path] = FailedField(FieldError(exc.kind, exc.message))
    return Item(entity.id, entity.type, entity.name, fields)


def count(state: State, query: Count) -> int:
    """How many entities of a type there are.

    Raises:
        NotFound: unknown type.
        BadFilter: a filter was given.
    """
    state.types.of(query.type)
    _refuse_filter(query.filter)
    names = [query.type] if query.exact else state.types.descendants[query.type]
    return sum(state.counts.get(name, 0) for name in names)


def types(state: State, query: TypesList, max_page: int) -> TypesPage:
    """Type names, sorted."""
    names = state.types.names()
    if query.cursor is not None:
        names = names[bisect_right(names, _read_cursor(query.cursor, str)) :]
    if query.limit is None:
        return TypesPage(names)
    _check_limit(query.limit, max_page)
    page = names[: query.limit]
    return TypesPage(page, _cursor(page[-1]) if len(names) > len(page) else None)


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
    """Revision and digest of the state now."""
    return DigestNow(state.revision, state.digest())


def _cursor(last: int | str) -> str:
    """A token that begins with ``c.``, so that no number is one."""
    return "c." + base64.urlsafe_b64encode(encode_json([last])).decode("ascii").rstrip("=")


def _read_cursor(token: str, kind: type[Any]) -> Any:
    try:
        body = token.removeprefix("c.")
        if body == token:
            raise ValueError(token)
        (last,) = decode_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if type(last) is not kind:
            raise ValueError(token)
    except (ValueError, TypeError, msgspec.DecodeError, RecursionError):
        raise BadParams(f"{token[:60]!r} is no cursor of such a page") from None
    return last
