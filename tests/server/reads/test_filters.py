"""Filters on their way to a search: parsed once in a thread, bound to the types of now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from qcore.model.api import METHODS
from qcore.model.errors import BadFilter, NotFound, RequestError, TooLarge
from qcore.model.requests.commands import SchemaSet
from qcore.model.requests.compound import Pipeline
from qcore.model.requests.queries import Count, Find, Get
from qcore.server.reads.filters import Filters
from qcore.store.search.filter import Parsed, parse
from tests.store.samples import Log, field, type_of


@pytest.fixture
def log() -> Log:
    return Log(type_of("Thing", field("Count")))


def never(error: RequestError | None) -> None:
    raise AssertionError(f"nothing was to be waited for: {error}")


def texts(params: Find | Count | Pipeline) -> Iterable[str]:
    """What the table of methods says is to be parsed."""
    name = {Find: "find", Count: "count", Pipeline: "pipeline"}[type(params)]
    wanted = METHODS[name].filters
    assert wanted is not None
    return wanted(params)


async def prepared(filters: Filters, params: Find | Count | Pipeline) -> RequestError | None:
    done: asyncio.Future[RequestError | None] = asyncio.get_running_loop().create_future()
    assert filters.prepare(texts(params), done.set_result)
    return await done


async def test_a_text_is_parsed_once(log: Log) -> None:
    filters = Filters(log.state)
    query = Find("Thing", filter="Count > 1")
    assert await prepared(filters, query) is None
    assert not filters.prepare(texts(query), never)
    assert filters.bound(query) is filters.bound(Count("Thing", filter="Count > 1"))


async def test_nothing_waits_where_there_is_no_filter(log: Log) -> None:
    filters = Filters(log.state)
    assert not filters.prepare(texts(Find("Thing")), never)
    assert filters.bound(Find("Thing")) is None


async def test_the_filters_of_a_pipeline_are_prepared_together(log: Log) -> None:
    filters = Filters(log.state)
    steps = Pipeline([Find("Thing", filter="Count > 1"), Get(1), Count("Thing", filter="Count > 2")])
    assert await prepared(filters, steps) is None
    assert not filters.prepare(texts(steps), never)


async def test_a_text_is_parsed_once_for_a_whole_pipeline(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def spied(text: str) -> Parsed:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr("qcore.server.reads.filters.parse", spied)
    steps = Pipeline([Count("Thing", filter="Count > 1")] * 100)
    assert await prepared(Filters(log.state), steps) is None
    assert parsed == ["Count > 1"]


@pytest.mark.parametrize(("text", "error"), [("Count >", BadFilter), ("x" * 5000, TooLarge)])
async def test_a_text_that_is_none_does_not_keep_others_from_being_prepared(
    log: Log, text: str, error: type[RequestError]
) -> None:
    filters = Filters(log.state)
    good = Count("Thing", filter="Count > 2")
    assert isinstance(await prepared(filters, Pipeline([Count("Thing", filter=text), good])), error)
    assert not filters.prepare(texts(good), never)


async def test_a_text_that_is_no_filter_says_so(log: Log) -> None:
    assert isinstance(await prepared(Filters(log.state), Find("Thing", filter="Count >")), BadFilter)


async def test_a_filter_is_bound_anew_when_the_types_change(log: Log) -> None:
    filters = Filters(log.state)
    query = Find("Thing", filter="Other > 1")
    with pytest.raises(BadFilter, match="Other"):
        filters.bound(query)
    log.do(SchemaSet(type_of("Thing", field("Other"))))
    assert filters.bound(query) is not None


async def test_an_unknown_type_is_named(log: Log) -> None:
    with pytest.raises(NotFound, match="Nope"):
        Filters(log.state).bound(Find("Nope", filter="true"))
