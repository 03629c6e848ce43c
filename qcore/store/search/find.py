"""Finding and counting entities, in pages by id or by fields. Searches are generators that pause between slices."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from qcore.model.errors import RequestError
from qcore.model.requests.queries import Count, Find
from qcore.model.requests.results import Counted, FailedField, FieldError, Item, Page
from qcore.model.wire import text_size
from qcore.store.read import value_at
from qcore.store.resolve import walk
from qcore.store.search.filter import Filter, FilterError
from qcore.store.search.order import Least, Order
from qcore.store.search.pages import MAX_BYTES, check_limit, check_paths, no_cursor, read_cursor, weight, write_cursor
from qcore.store.state.entity import Entity
from qcore.store.state.epochs import Epochs
from qcore.store.state.indexes import Hits
from qcore.store.state.state import State

__all__ = ["candidates", "count", "find"]

_SLICE = 500
"""Work between two pauses: an entity looked at, a field read."""

_WORTH = 1_000
"""Entities of a type from which on an index is considered: fewer are looked at as quickly."""

_STEPS = 4
"""Steps of a filter that are worth one such work."""

T = TypeVar("T")


def find(state: State, query: Find, max_page: int, filter: Filter | None = None) -> Generator[None, None, Page]:
    """One page by id or `order_by`; pauses between slices, while which entities come and go.

    `filter` is the query's filter, bound; `total` then counts what matches, which looks at every candidate.

    Raises:
        NotFound: an unknown type, an unknown field in `order_by`.
        WrongKind: a field in `order_by` that has no order.
        TooLarge: a page of more than `max_page`, too many fields.
        BadParams: a limit below 1, a cursor that is none.
        BadFilter: the filter is too expensive.
    """
    check_limit(query.limit, max_page)
    hops = check_paths(query.fields, query.limit)
    return (yield from _steady(state, lambda: _page(state, query, filter, hops)))


def _page(state: State, query: Find, filter: Filter | None, hops: int) -> Generator[None, None, Page]:
    types = candidates(state, query)
    search = _Search(state, types, filter)
    if not query.order_by:
        return (yield from _by_id(state, query, search, hops))
    return (yield from _by_fields(state, query, search, hops, Order(state, query.type, types, query.order_by)))


def count(state: State, query: Count, filter: Filter | None = None) -> Generator[None, None, Counted]:
    """How many entities of a type there are, or of those how many match, and for how many there was no answer.

    Raises:
        NotFound: unknown type.
        BadFilter: the filter is too expensive.
    """
    return (yield from _steady(state, lambda: _counted(state, query, filter)))


def _counted(state: State, query: Count, filter: Filter | None) -> Generator[None, None, Counted]:
    search = _Search(state, candidates(state, query), filter)
    yield from search.prepare()
    number = yield from search.count()
    return Counted(number, search.errors, search.error)


def _steady(state: State, begin: Callable[[], Generator[None, None, T]]) -> Generator[None, None, T]:
    """Run a search to its end; begin it anew where another state was adopted in a pause."""
    work, entities = begin(), state.entities
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        yield
        if state.entities is not entities:
            work, entities = begin(), state.entities


def candidates(state: State, query: Find | Count) -> list[str]:
    """The types a query looks at.

    Raises:
        NotFound: unknown type.
    """
    state.types.of(query.type)
    return [query.type] if query.exact else state.types.descendants[query.type]


def _by_id(state: State, query: Find, search: _Search, hops: int) -> Generator[None, None, Page]:
    after = 0 if query.cursor is None else _read_id(query.cursor, state.epochs)
    yield from search.prepare()
    total = (yield from search.count()) if query.total else None
    items: list[Item] = []
    cursor = None
    work = size = 0
    for entity in search.matches(after):
        if entity is None:
            yield
            continue
        if len(items) == query.limit or size > MAX_BYTES:
            cursor = write_cursor([items[-1].id], state.epochs)
            break
        items.append(_item(state, entity, query.fields))
        size += _size(items[-1])
        work += hops
        if work >= _SLICE:
            work = 0
            yield
    return Page(items, cursor, total, search.errors, search.error)


def _read_id(token: str, epochs: Epochs) -> int:
    (last,) = read_cursor(token, epochs, int)
    if not 0 <= last < 1 << 64:
        raise no_cursor(token)
    return int(last)


def _by_fields(state: State, query: Find, search: _Search, hops: int, order: Order) -> Generator[None, None, Page]:
    """Every candidate is looked at for each page, so a deep page costs what the first one does."""
    after = None if query.cursor is None else order.position(query.cursor, state.epochs)
    least = Least(query.limit + 1)
    total = work = 0
    yield from search.prepare()
    for entity in search.matches():
        if entity is None:
            yield
            continue
        total += 1
        key = order.key(entity)
        if after is None or after < key:
            least.add(key)
        work += order.hops
        if work >= _SLICE:
            work = 0
            yield
    keys = least.keys()
    cursor = order.cursor(keys[query.limit - 1], state.epochs) if len(keys) > query.limit else None
    items: list[Item] = []
    size = 0
    for place, key in enumerate(keys[: query.limit]):
        if size > MAX_BYTES:
            cursor = order.cursor(keys[place - 1], state.epochs)
            break
        entity = state.entities.get(key[-1])
        if entity is not None and search.holds(entity):  # in a pause it may have changed
            items.append(_item(state, entity, query.fields))
            size += _size(items[-1])
        work += hops + 1
        if work >= _SLICE:
            work = 0
            yield
    return Page(items, cursor, total if query.total else None, search.errors, search.error)


def _item(state: State, entity: Entity, paths: list[str]) -> Item:
    fields: dict[str, Any] = {}
    for path in paths:
        try:
            fields[path] = value_at(state, walk(state, entity, path))
        except RequestError as exc:
            fields[path] = FailedField(FieldError(exc.kind, exc.message))
    return Item(entity.id, entity.type, entity.name, fields)


def _size(item: Item) -> int:
    return sum(text_size(path) + weight(value) for path, value in item.fields.items())


class _Search:
    """The entities of some types that match a filter, and for how many of those looked at it had no answer."""

    def __init__(self, state: State, types: list[str], filter: Filter | None) -> None:
        self._state = state
        self._types = types
        self._filter = filter
        self._hits: dict[str, Hits] = {}
        self.errors = 0
        self.error: str | None = None
        """What the first one said."""

    def prepare(self) -> Generator[None, None, None]:
        """Ask the indexes which entities need not be looked at; to be run through first."""
        if self._filter is None:
            return
        for name in self._types:
            if self._state.counts.get(name, 0) >= _WORTH:
                schema = self._state.types.complete[name]
                hits = yield from self._state.indexes.find(schema, self._filter.equality(schema))
                if hits is not None:
                    self._hits[name] = hits

    def count(self) -> Generator[None, None, int]:
        """How many match."""
        if self._filter is None:
            return sum(self._state.counts.get(name, 0) for name in self._types)
        found = 0
        for entity in self.matches():
            if entity is None:
                yield
            else:
                found += 1
        return found

    def matches(self, after: int = 0) -> Iterator[Entity | None]:
        """Who matches, by id ascending, above `after`; None where it is time for a pause.

        Raises:
            BadFilter: the filter is too expensive.
        """
        self.errors = 0
        self.error = None
        entities, filter = self._state.entities, self._filter
        work = 0
        for id in self._ids(after, self._state.next_id):
            entity = entities.get(id)
            work += 1
            if entity is not None:
                if filter is None:
                    yield entity
                else:
                    if self._passes(filter, entity):
                        yield entity
                    work += filter.taken // _STEPS
            if work >= _SLICE:
                work = 0
                yield None

    def holds(self, entity: Entity) -> bool:
        """Whether an entity matches now; one without an answer is not counted again."""
        try:
            return self._filter is None or self._filter.matches(self._state, entity)
        except FilterError:
            return False

    def _passes(self, filter: Filter, entity: Entity) -> bool:
        try:
            return filter.matches(self._state, entity)
        except FilterError as exc:
            self.errors += 1
            if self.error is None:
                self.error = f"entity {entity.id}: {exc.message}"
            return False

    def _ids(self, after: int, end: int) -> Iterator[int]:
        """Ids of these types above `after` and below `end`, ascending, without those the indexes rule out.

        There may be more while the caller pauses. What is created by then is left to the next page: a type that is
        through would not show it, another would, and the cursor would pass over the first.
        """
        runs = [self._run(name, after, end) for name in self._types]
        return runs[0] if len(runs) == 1 else heapq.merge(*runs)

    def _run(self, name: str, after: int, end: int) -> Iterator[int]:
        hits = self._hits.get(name)
        if hits is not None:
            yield from hits.ids[bisect_right(hits.ids, after) :]
            after = max(after, hits.covered)
        while True:
            ids = self._state.ids(name)
            place = bisect_right(ids, after)
            chunk = ids[place : place + _SLICE]
            for id in chunk:
                if id >= end:
                    return
                yield id
            if len(chunk) < _SLICE:
                return
            after = chunk[-1]
