"""What a hostile or careless client could send: refused in words, without a trace, and never with a crash."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.errors import BadParams, BadSchema, Conflict, Cycle, NotFound, RequestError, TooLarge
from qcore.model.requests.commands import Expect, SchemaSet, SetFields
from qcore.model.requests.queries import MAX_PATHS, Find, Get
from qcore.model.schema import EntitySchema
from qcore.model.values import Kind
from qcore.store import read
from qcore.store.search import find as search
from qcore.store.search.filter import bind, parse
from tests.store.samples import Log, dump, field, full_digest, replay, through, type_of

THING = type_of("Thing", field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList), field("Age"))


@pytest.fixture
def log() -> Log:
    return Log(THING)


def refused(log: Log, command: Any) -> RequestError:
    """The error of a command, which must leave no trace."""
    before = dump(log.state)
    (outcome,) = log.entry(command)
    assert outcome.error is not None
    after = dump(log.state)
    del before["counters"], after["counters"]
    assert after == before
    return outcome.error


@pytest.mark.parametrize(
    ("schemas", "error"),
    [
        ([EntitySchema("Heir", ["A"]), EntitySchema("A", ["B"]), EntitySchema("B", ["A"])], Cycle),
        ([EntitySchema("Thing", ["Thing"])], Cycle),
        ([EntitySchema("Thing", ["A"]), EntitySchema("A", ["Thing"])], Cycle),
        ([EntitySchema("Root", ["A"]), EntitySchema("A", ["Root"])], BadSchema),
        ([EntitySchema("Thing", ["Root"])], BadSchema),
        ([EntitySchema("Heir", ["Ghost"])], BadSchema),
        ([EntitySchema("T0"), *(EntitySchema(f"T{n}", [f"T{n - 1}"]) for n in range(1, 2000))], TooLarge),
    ],
    ids=["heir of a circle", "itself", "circle", "root in a circle", "a second root", "ghost", "chain"],
)
def test_types_that_cannot_be_are_an_answer_and_not_the_end_of_the_node(
    log: Log, schemas: list[EntitySchema], error: type[RequestError]
) -> None:
    log.create("Thing", "there")
    assert type(refused(log, SchemaSet(schemas=schemas))) is error
    assert replay(log.records).digest() == log.state.digest() == full_digest(log.state)


def test_a_missing_reference_can_be_taken_out_of_a_list_though_not_put_in(log: Log) -> None:
    thing, gone, there = (log.create("Thing", name) for name in ("thing", "gone", "there"))
    log.set(thing, "Parts", [gone, there])
    log.delete(gone)
    assert log.value(thing, "Parts") == [{"missing": gone}, there]
    assert type(refused(log, SetFields(thing, "Parts", [gone], "add"))) is NotFound
    assert type(refused(log, SetFields(thing, "Parts", [10**6], "subtract"))) is NotFound
    log.set(thing, "Parts", [f"@{gone}"], mode="subtract")
    assert log.value(thing, "Parts") == [there]


def test_a_missing_reference_can_be_expected(log: Log) -> None:
    thing, gone, there = (log.create("Thing", name) for name in ("thing", "gone", "there"))
    log.set(thing, "Boss", gone)
    log.delete(gone)
    assert type(refused(log, SetFields(thing, "Boss", None, expect=Expect(value=there)))) is Conflict
    log.set(thing, "Boss", there, expect=Expect(value=gone))
    assert log.value(thing, "Boss") == there
    assert type(refused(log, SetFields(thing, "Boss", None, expect=Expect(value=gone)))) is Conflict


def test_a_reference_that_leads_nowhere_names_field_expected_and_given(log: Log) -> None:
    thing = log.create("Thing", "thing")
    error = refused(log, SetFields(thing, "Boss", "/Root/Ghost"))
    assert error.kind == "not_found"
    assert error.message.startswith("field Boss: expected an entity that exists, given '/Root/Ghost' (")


@pytest.mark.parametrize("mode", ["set", "add", "subtract"])
def test_a_list_over_the_limit_is_too_large_in_every_mode(log: Log, mode: Any) -> None:
    thing = log.create("Thing", "thing")
    error = refused(log, SetFields(thing, "Parts", [99, 98, 97], mode, max_list=2))
    assert type(error) is TooLarge


def test_no_refusal_repeats_all_of_a_huge_request(log: Log) -> None:
    thing, huge = log.create("Thing", "thing"), "x" * 100_000
    for command in (
        SetFields(huge, "Age", 1),
        SetFields(f"/{huge}", "Age", 1),
        SetFields(thing, huge, 1),
        SetFields(thing, "Age", huge),
        SetFields(thing, "Boss", huge),
        SetFields(thing, "Parts", [huge]),
        SetFields(thing, "->".join(["Boss"] * 10_000), 1),
        SetFields(thing, "Age", 1, expect=Expect(value=huge)),
        SetFields(thing, "Age", 1, time=huge),
        SchemaSet(EntitySchema(huge)),
        SchemaSet(type_of("T", field(huge))),
        SchemaSet(type_of("T", field("F", default=huge))),
    ):
        assert len(refused(log, command).message) <= 1000


def test_a_read_asks_for_a_bounded_number_of_fields(log: Log) -> None:
    thing = log.create("Thing", "thing")
    paths = [f"F{place}" for place in range(MAX_PATHS + 1)]
    assert len(read.get(log.state, Get(thing, paths[1:])).fields) == MAX_PATHS
    with pytest.raises(TooLarge, match=f"at most {MAX_PATHS} fields, {MAX_PATHS + 1} given"):
        read.get(log.state, Get(thing, paths))
    with pytest.raises(TooLarge, match=f"at most {MAX_PATHS} fields, {MAX_PATHS + 1} given"):
        log.find("Thing", fields=paths)


def test_a_page_with_many_fields_pauses_more_often(log: Log) -> None:
    for place in range(20):
        log.create("Thing", f"thing {place}")
    few, many = (
        sum(1 for _ in search.find(log.state, Find("Thing", fields=[f"F{place}" for place in range(count)]), 100))
        for count in (1, 1000)
    )
    assert few == 0
    assert many == 20


def test_a_page_asks_for_a_bounded_number_of_values(log: Log) -> None:
    for limit in (2**62, -(2**62)):
        with pytest.raises((TooLarge, BadParams)):
            log.find("Thing", limit=limit)
    with pytest.raises(TooLarge, match="at most 500000 values"):
        log.find("Thing", limit=10_000, fields=["Age"] * 51)


@pytest.mark.parametrize("order_by", [[], ["Name"]])
def test_a_page_full_of_errors_is_no_longer_than_one_of_values(log: Log, order_by: list[str]) -> None:
    for place in range(50):
        log.create("Thing", f"thing {place}")
    ghosts = [f"{'Ghost' * 50}{place}" for place in range(MAX_PATHS)]
    page = log.find("Thing", fields=ghosts, order_by=order_by, limit=50)
    assert 1 <= len(page.items) <= 3
    assert page.cursor is not None


def test_a_page_of_long_paths_in_a_circle_pauses_at_every_item(log: Log) -> None:
    ids = [log.create("Thing", f"thing {place}") for place in range(20)]
    for id in ids:
        log.set(id, "Boss", id)
    circle = "->".join(["Boss"] * 255 + ["Age"])
    for order_by in ([], ["Name"]):
        query = Find("Thing", fields=[circle] * 39, order_by=order_by, limit=50)
        assert sum(1 for _ in search.find(log.state, query, 100)) >= 20
    page = log.find("Thing", fields=[circle])
    assert [item.fields for item in page.items] == [{circle: 0}] * 20


def test_a_filter_that_takes_many_steps_pauses_more_often(log: Log) -> None:
    for place in range(40):
        log.create("Thing", f"thing {place}")
    pauses = []
    for text in (
        "Age == 0",
        "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, a * b > Age))",
        "+".join(["1"] * 600) + " > Age",
    ):
        filter = bind(parse(text), [log.state.types.of("Thing")])
        assert len(through(search.find(log.state, Find("Thing"), 100, filter)).items) == 40
        pauses.append(sum(1 for _ in search.find(log.state, Find("Thing"), 100, filter)))
    assert pauses[0] == 0
    assert min(pauses[1:]) >= 10
