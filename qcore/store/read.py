"""Reading: entities, pages of entities, types. Long reads are generators that pause between slices."""

from __future__ import annotations

import base64
import heapq
from bisect import bisect_right
from collections.abc import Generator, Iterator
from typing import Any

import msgspec

from qcore.model.errors import BadParams, RequestError, TooLarge
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
from qcore.store.filter import Filter, FilterError
from qcore.store.resolve import Place, entity_at, walk
from qcore.store.state import State

__all__ = [
    "candidates",
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


class Sieve:
    """A filter at work: which entities pass, and for how many there was no answer."""

    def __init__(self, state: State, filter: Filter | None) -> None:
        self._state = state
        self._filter = filter
        self.errors = 0
        self.error: str | None = None
        """What the first one said."""

    def passes(self, entity: Entity) -> bool:
        """Whether the entity matches; one without an answer does not.

        Raises:
            BadFilter: the filter is too expensive.
        """
        if self._filter is None:
            return True
        try:
            return self._filter.matches(self._state, entity)
        except FilterError as exc:
            self.errors += 1
            if self.error is None:
                self.error = f"entity {entity.id}: {exc.message}"
            return False


def find(state: State, query: Find, max_page: int, filter: Filter | None = None) -> Generator[None, None, Page]:
    """One page by id ascending; pauses between slices, while which entities come and go.

    `filter` is the query's filter, bound; `total` then counts what matches, which looks at every candidate.

    Raises:
        NotFound: unknown type.
        TooLarge: a page of more than `max_page`, too many fields.
        BadParams: a limit below 1, a cursor that is none.
        BadFilter: the filter is too expensive.
    """
    _check_limit(query.limit, max_page)
    _check_paths(query.fields)
    types = candidates(state, query)
    total = (yield from _count(state, types, filter)) if query.total else None
    sieve = Sieve(state, filter)
    after = 0 if query.cursor is None else _read_cursor(query.cursor, int)
    items: list[Item] = []
    work = 0
    for id in _ids_between(state, types, after, state.next_id):
        entity = state.entities.get(id)
        if entity is not None and sieve.passes(entity):
            if len(items) == query.limit:
                return Page(items, _cursor(items[-1].id), total, sieve.errors, sieve.error)
            items.append(_item(state, entity, query.fields))
            work += len(query.fields)
        work += 1
        if work >= _SLICE:
            work = 0
            yield
    return Page(items, None, total, sieve.errors, sieve.error)


def candidates(state: State, query: Find | Count) -> list[str]:
    """The types a query looks at.

    Raises:
        NotFound: unknown type.
    """
    state.types.of(query.type)
    return [query.type] if query.exact else state.types.descendants[query.type]


def _check_limit(limit: int, most: int) -> None:
    if limit < 1:
        raise BadParams(f"limit is at least 1, {limit} given")
    if limit > most:
        raise TooLarge(f"a page has at most {most} items, {limit} asked")


def _check_paths(paths: list[str]) -> None:
    if len(paths) > MAX_PATHS:
        raise TooLarge(f"a request asks for at most {MAX_PATHS} fields, {len(paths)} given")


def _ids_between(state: State, types: list[str], after: int, end: int) -> Iterator[int]:
    """Ids of these types above `after` and below `end`, ascending.

    The arrays may grow while the caller pauses. What is created by then is left to the next page: a type that is
    through would not show it, another would, and the cursor would pass over the first.
    """
    runs = [_run(state, name, after, end) for name in types]
    return runs[0] if len(runs) == 1 else heapq.merge(*runs)


def _run(state: State, name: str, after: int, end: int) -> Iterator[int]:
    while True:
        ids = state.ids(name)
        place = bisect_right(ids, after)
        chunk = ids[place : place + _SLICE]
        for id in chunk:
            if id >= end:
                return
            yield id
        if len(chunk) < _SLICE:
            return
        after = chunk[-1]


def _item(state: State, entity: Entity, paths: list[str]) -> Item:
    fields: dict[str, Any] = {}
    for path in paths:
        try:
            fields[path] = _value(state, walk(state, entity, path))
        except RequestError as exc:
            fields[path] = FailedField(FieldError(exc.kind, exc.message))
    return Item(entity.id, entity.type, entity.name, fields)


def count(state: State, query: Count, filter: Filter | None = None) -> Generator[None, None, int]:
    """How many entities of a type there are, or of those how many match.

    Raises:
        NotFound: unknown type.
        BadFilter: the filter is too expensive.
    """
    return (yield from _count(state, candidates(state, query), filter))


def _count(state: State, types: list[str], filter: Filter | None) -> Generator[None, None, int]:
    if filter is None:
        return sum(state.counts.get(name, 0) for name in types)
    sieve = Sieve(state, filter)
    found = 0
    for seen, id in enumerate(_ids_between(state, types, 0, state.next_id), 1):
        entity = state.entities.get(id)
        if entity is not None and sieve.passes(entity):
            found += 1
        if seen % _SLICE == 0:
            yield
    return found


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
    """Revision and digest of the state now, and the last checks, newest first."""
    return DigestNow(state.revision, state.digest(), list(reversed(state.checks.last)))


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
