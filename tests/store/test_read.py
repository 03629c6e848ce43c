from __future__ import annotations

from collections.abc import Callable

import pytest

from qcore.model.errors import BadParams, NotFound, TooLarge
from qcore.model.requests.queries import Count, Exists, FieldExists, FieldGet, Find, Get, TypesList
from qcore.model.requests.results import Counted
from qcore.model.times import format_time
from qcore.model.values import MAX_SIZE, Kind
from qcore.store import read
from qcore.store.search import find as search
from tests.store.samples import Log, field, through, type_of

THING = type_of("Thing", field("Age", default=7), field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList))


@pytest.fixture
def log() -> Log:
    return Log(THING, type_of("Tool", field("Size"), inherits=["Thing"]), type_of("Other"))


# -- one entity --------------------------------------------------------------------------------------------


def test_exists_answers_yes_or_no_for_every_form(log: Log) -> None:
    thing = log.create("Thing", "x")
    for form in (thing, f"@{thing}", f"Thing${thing}", "/Root/x"):
        assert read.exists(log.state, Exists(form))
    for form in (99, 0, "@99", f"Tool${thing}", "Ghost$99", "/Root/y", "/x"):
        assert not read.exists(log.state, Exists(form))
    for form in ("x", "", "/", "/Root/x#0"):
        with pytest.raises(BadParams):
            read.exists(log.state, Exists(form))


def test_get_gives_all_fields_by_rank_and_name(log: Log) -> None:
    tool = log.create("Tool", "x", 1, Age=1)
    result = read.get(log.state, Get(f"Thing${tool}"))
    assert (result.id, result.type) == (tool, "Tool")
    assert list(result.fields) == ["Age", "Name", "Size", "Boss", "Parent", "Children", "Parts"]
    assert log.get(tool, "Age")["Age"] == {
        "value": 1,
        "time": format_time(log.time),
        "writer": None,
        "revision": log.state.revision,
    }
    assert log.get(tool, "Size")["Size"] == {"value": 0, "time": None, "writer": None, "revision": 0}


def test_get_gives_paths_as_asked_and_each_fails_on_its_own(log: Log) -> None:
    boss = log.create("Thing", "boss", 1, Age=1)
    thing = log.create("Thing", "x", 1, Boss=boss, Parts=[boss, 1])
    fields = log.get(thing, "Boss->Age", "Color", "Parts->1", "Parts->7", "Boss->Boss->Age", "Age->Age")
    assert list(fields) == ["Boss->Age", "Color", "Parts->1", "Parts->7", "Boss->Boss->Age", "Age->Age"]
    assert fields["Boss->Age"]["value"] == fields["Parts->1"]["value"] == 1
    assert fields["Boss->Age"]["revision"] == log.get(boss, "Age")["Age"]["revision"]
    kinds = [fields[path]["error"]["kind"] for path in ("Color", "Parts->7", "Boss->Boss->Age", "Age->Age")]
    assert kinds == ["not_found", "not_found", "not_found", "wrong_kind"]


def test_an_element_of_a_list_that_is_gone_reads_as_missing(log: Log) -> None:
    gone = log.create("Thing", "gone")
    thing = log.create("Thing", "x", 1, Parts=[1, gone])
    log.delete(gone)
    assert log.value(thing, "Parts->1") == {"missing": gone}


def test_get_of_nothing_is_an_error(log: Log) -> None:
    with pytest.raises(NotFound, match="entity 99 does not exist"):
        log.get(99)


def test_no_fields_are_no_fields(log: Log) -> None:
    assert read.get(log.state, Get(1, [])).fields == {}


# -- pages -------------------------------------------------------------------------------------------------


def pages(log: Log, type_name: str, limit: int, between: Callable[[], None] = lambda: None) -> list[int]:
    """Ids of all pages; `between` runs after each but the last."""
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = log.find(type_name, limit=limit, cursor=cursor)
        seen += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            return seen
        assert len(page.items) == limit
        between()


def test_find_takes_descendants_unless_exact(log: Log) -> None:
    thing, tool, other = (log.create(name, "x") for name in ("Thing", "Tool", "Other"))
    assert log.ids("Thing") == [thing, tool]
    assert log.ids("Thing", exact=True) == [thing]
    assert log.ids("Tool") == [tool]
    assert log.ids("Object") == [1, thing, tool, other]
    assert log.ids("Root") == [1]
    with pytest.raises(NotFound, match="unknown type 'Ghost'"):
        log.find("Ghost")


def test_items_have_id_type_name_and_the_fields_asked(log: Log) -> None:
    boss = log.create("Thing", "boss")
    tool = log.create("Tool", "x", 1, Boss=boss, Size=2)
    first, second = log.find("Thing", fields=["Size", "Boss->Name"]).items
    assert (second.id, second.type, second.name) == (tool, "Tool", "x")
    assert second.fields == {"Size": 2, "Boss->Name": "boss"}
    assert {path: failed.error.kind for path, failed in first.fields.items()} == {
        "Size": "not_found",
        "Boss->Name": "not_found",
    }
    assert log.find("Tool").items[0].fields == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_together_are_everything_once(log: Log, limit: int) -> None:
    ids = [log.create(("Thing", "Tool", "Other")[place % 3], "x") for place in range(14)]
    assert pages(log, "Object", limit) == [1, *ids]
    assert pages(log, "Thing", limit) == [id for place, id in enumerate(ids) if place % 3 < 2]


def test_a_full_last_page_has_no_cursor(log: Log) -> None:
    for _ in range(4):
        log.create("Thing", "x")
    first = log.find("Thing", limit=2)
    assert first.cursor is not None
    assert log.find("Thing", limit=2, cursor=first.cursor).cursor is None


def test_pages_neither_repeat_nor_skip_while_entities_come_and_go(log: Log) -> None:
    ids = [log.create("Thing", "x") for _ in range(20)]
    doomed = iter([ids[0], ids[3], ids[4], ids[19], ids[10]])
    made: list[int] = []

    def between() -> None:
        id = next(doomed, None)
        if id is not None:
            log.delete(id)
            made.append(log.create("Tool", "new"))

    seen = pages(log, "Thing", 3, between)
    assert seen == sorted(set(seen))
    assert set(ids) - {ids[0], ids[3], ids[4], ids[19], ids[10]} <= set(seen)
    assert set(made) <= set(seen)


def test_a_cursor_stands_even_when_its_entity_is_gone_or_dead_ids_are_dropped(log: Log) -> None:
    ids = [log.create("Thing", "x") for _ in range(300)]
    page = log.find("Thing", limit=150)
    for id in ids[20:290]:
        log.delete(id)
    assert len(log.state.ids("Thing")) < 200
    assert [item.id for item in log.find("Thing", cursor=page.cursor).items] == ids[290:]


def test_a_page_may_pause_while_entities_come_and_go(log: Log) -> None:
    ids = [log.create(("Thing", "Tool")[place % 2], "x") for place in range(1200)]
    work = search.find(log.state, Find("Thing", limit=10_000), 10_000)
    next(work)
    for id in (ids[10], ids[700], ids[701], ids[1199]):
        log.delete(id)
    new = log.create("Tool", "new")
    found = [item.id for item in through(work).items]
    assert found == [id for id in ids if id not in (ids[700], ids[701], ids[1199])]
    assert new not in found


def test_what_comes_during_a_pause_is_on_a_later_page_and_not_lost(log: Log) -> None:
    """One of the two types is through before the pause, the other is not: neither may get ahead of the cursor."""
    log.create("Tool", "x")
    ids = [log.create("Thing", "x") for _ in range(700)]
    work = search.find(log.state, Find("Thing", limit=702), 10_000)
    next(work)
    new = [log.create(name, "new") for name in ("Tool", "Thing", "Thing")]
    page = through(work)
    seen = [item.id for item in page.items]
    if page.cursor is not None:
        seen += [item.id for item in log.find("Thing", cursor=page.cursor).items]
    assert seen in ([2, *ids], [2, *ids, *new])


def test_total_counts_all_pages(log: Log) -> None:
    ids = [log.create(("Thing", "Tool")[place % 2], "x") for place in range(9)]
    assert log.find("Thing", limit=2).total is None
    assert log.find("Thing", limit=2, total=True).total == 9
    assert log.find("Thing", limit=2, total=True, exact=True).total == 5
    log.delete(ids[0])
    assert log.find("Thing", limit=2, total=True).total == 8
    assert log.find("Other", total=True).total == 0


def test_count_counts(log: Log) -> None:
    for name in ("Thing", "Tool", "Tool"):
        log.create(name, "x")
    assert through(search.count(log.state, Count("Thing"))) == Counted(3)
    assert through(search.count(log.state, Count("Thing", exact=True))) == Counted(1)
    with pytest.raises(NotFound):
        through(search.count(log.state, Count("Ghost")))


def test_a_limit_is_from_one_to_the_largest_page(log: Log) -> None:
    for limit in (0, -1):
        with pytest.raises(BadParams, match=f"at least 1, {limit} given"):
            log.find("Thing", limit=limit)
    with pytest.raises(TooLarge, match="at most 50 items, 51 asked"):
        log.find("Thing", max_page=50, limit=51)
    assert log.find("Thing", max_page=50, limit=50).items == []


@pytest.mark.parametrize(
    "cursor", ["", "c.", "c.x", "5", "c.WyJhIl0", "c.W10", "c.WzEsMl0", "c.W3RydWVd", "c.Wy01XQ", "c.é", "x" * 5000]
)
def test_a_token_that_is_no_cursor_is_refused(log: Log, cursor: str) -> None:
    with pytest.raises(BadParams, match="is no cursor"):
        log.find("Thing", cursor=cursor)


# -- types -------------------------------------------------------------------------------------------------


def test_types_are_sorted_and_come_in_pages(log: Log) -> None:
    names = ["Object", "Other", "Root", "Thing", "Tool"]
    assert read.types(log.state, TypesList(), 3).items == names
    seen: list[str] = []
    cursor = None
    while True:
        page = read.types(log.state, TypesList(limit=2, cursor=cursor), 3)
        seen += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == names
    with pytest.raises(TooLarge):
        read.types(log.state, TypesList(limit=4), 3)
    with pytest.raises(BadParams):
        read.types(log.state, TypesList(cursor=log.find("Object", limit=1).cursor or "x"), 3)


def test_a_field_is_known_through_inheritance(log: Log) -> None:
    assert read.field_get(log.state, FieldGet("Tool", "Age")).default == 7
    assert read.field_exists(log.state, FieldExists("Tool", "Age"))
    assert read.field_exists(log.state, FieldExists("Tool", "Name"))
    assert not read.field_exists(log.state, FieldExists("Tool", "Color"))
    assert not read.field_exists(log.state, FieldExists("Ghost", "Age"))
    with pytest.raises(NotFound):
        read.field_get(log.state, FieldGet("Tool", "Color"))


@pytest.mark.parametrize("text", ["x" * MAX_SIZE, "語" * (MAX_SIZE // 3 + 1)], ids=["ASCII", "three bytes each"])
def test_fields_that_are_too_much_together_are_refused_and_one_is_always_read(text: str) -> None:
    log = Log(type_of("Note", field("Text", Kind.String), field("Self", Kind.EntityReference)))
    note = log.create("Note", "n", Text=text)
    log.set(note, "Self", note)
    assert log.value(note, "Text") == text
    assert len(log.get(note, "Self", "Text")) == 2
    paths = ["->".join(["Self"] * hops + ["Text"]) for hops in range(1, 4)]
    with pytest.raises(TooLarge, match="ask for fewer at a time"):
        log.get(note, *paths)
