"""Finding and counting by filter: pages, totals, entities without an answer."""

from __future__ import annotations

import pytest

from qcore.model.errors import BadFilter
from qcore.model.requests.queries import Count, Find
from qcore.model.requests.results import Counted, Page
from qcore.model.values import Kind
from qcore.store.search import find as search
from qcore.store.search.filter import Filter, bind, parse
from tests.store.samples import Log, field, through, type_of


@pytest.fixture
def log() -> Log:
    log = Log(type_of("Thing", field("Count")), type_of("Gadget", inherits=["Thing"]))
    for number in range(2500):
        log.create("Gadget" if number % 2 else "Thing", f"t{number}", Count=number)
    return log


def bound(log: Log, text: str, type_name: str = "Thing", exact: bool = False) -> Filter:
    types = search.candidates(log.state, Find(type_name, exact=exact))
    return bind(parse(text), [log.state.types.of(name) for name in types])


def page(log: Log, text: str, **kwargs: object) -> Page:
    query = Find("Thing", filter=text, **kwargs)  # type: ignore[arg-type]
    return through(search.find(log.state, query, 10_000, bound(log, text, exact=query.exact)))


def test_only_what_matches_is_found(log: Log) -> None:
    assert [item.name for item in page(log, "Count >= 10 && Count < 14").items] == ["t10", "t11", "t12", "t13"]


def test_pages_of_matches_have_no_gaps_and_no_repeats(log: Log) -> None:
    names: list[str] = []
    cursor = None
    while True:
        found = page(log, "Count % 7 == 3", limit=50, cursor=cursor)
        names += [item.name for item in found.items]
        cursor = found.cursor
        if cursor is None:
            break
    assert names == [f"t{number}" for number in range(2500) if number % 7 == 3]


def test_the_total_counts_what_matches_on_every_page(log: Log) -> None:
    first = page(log, "Count < 300", limit=100, total=True)
    second = page(log, "Count < 300", limit=100, total=True, cursor=first.cursor)
    assert first.total == second.total == 300


def test_a_full_page_that_is_the_last_has_no_cursor(log: Log) -> None:
    assert page(log, "Count < 100", limit=100).cursor is None


def test_exact_leaves_descendants_out(log: Log) -> None:
    assert {item.type for item in page(log, "Count < 9", exact=True).items} == {"Thing"}


def test_an_entity_without_an_answer_is_no_match_and_is_counted(log: Log) -> None:
    found = page(log, "100 / (Count - 5) == 100")
    assert [item.name for item in found.items] == ["t6"]
    assert found.errors == 1
    assert found.error is not None
    assert "division by zero" in found.error


def test_a_count_by_filter(log: Log) -> None:
    counted = search.count(log.state, Count("Thing"), bound(log, "Name.endsWith('7')"))
    assert through(counted) == Counted(250)


def test_a_count_says_for_how_many_there_was_no_answer() -> None:
    log = Log(type_of("Thing", field("Count")))
    for number in range(3):
        log.create("Thing", f"t{number}", Count=number)
    counted = through(search.count(log.state, Count("Thing"), bound(log, "1 / (Count - 1) == 1")))
    assert (counted.count, counted.errors) == (1, 1)
    assert counted.error == page(log, "1 / (Count - 1) == 1").error


def test_long_searches_pause(log: Log) -> None:
    pauses = sum(1 for _ in search.find(log.state, Find("Thing"), 10_000, bound(log, "Count < 0")))
    assert pauses >= 4


def test_a_filter_that_is_too_expensive_ends_the_search(log: Log) -> None:
    text = "[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(b, [1,2,3,4,5,6,7,8].all(c, a + b + c > 0)))"
    types = [log.state.types.of("Thing")]
    with pytest.raises(BadFilter, match="too expensive"):
        through(search.find(log.state, Find("Thing", exact=True), 100, bind(parse(text), types, steps=500)))


@pytest.mark.parametrize("text", ["x" * 400, "語" * 134], ids=["ASCII", "three bytes each"])
@pytest.mark.parametrize("order", [[], ["Name"]], ids=["by id", "by name"])
def test_a_page_of_long_values_ends_early_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch, order: list[str], text: str
) -> None:
    monkeypatch.setattr(search, "MAX_BYTES", 1000)
    log = Log(type_of("Note", field("Text", Kind.String)))
    made = [log.create("Note", f"n{number}", Text=text) for number in range(10)]
    found: list[int] = []
    cursor = None
    while True:
        page = log.find("Note", fields=["Text"], order_by=order, cursor=cursor)
        assert len(page.items) <= 3
        found += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == made
