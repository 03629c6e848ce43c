from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, NotFound, RequestError, WrongKind
from qcore.model.values import Kind
from qcore.store.resolve import Place, entity_at, known_id, reach, resolve_id, walk
from tests.store.samples import Log, field, type_of

THING = type_of("Thing", field("Age"), field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList))


@pytest.fixture
def log() -> Log:
    return Log(THING, type_of("Tool", inherits=["Thing"]))


def follow(log: Log, id: int, path: str) -> Place:
    return walk(log.state, log.state.entities[id], path)


# -- ids ---------------------------------------------------------------------------------------------------


def test_every_form_names_the_same_entity(log: Log) -> None:
    tool = log.create("Tool", "hammer")
    for form in (tool, f"{tool}", f"@{tool}", f"Tool${tool}", f"Thing${tool}", f"Object${tool}", "/Root/hammer"):
        assert resolve_id(log.state, form) == tool


def test_a_typed_id_of_another_type_says_which_it_is(log: Log) -> None:
    thing = log.create("Thing", "x")
    with pytest.raises(WrongKind, match=f"entity {thing} is a Thing, not a Tool"):
        resolve_id(log.state, f"Tool${thing}")
    with pytest.raises(WrongKind, match="not a Ghost"):
        resolve_id(log.state, f"Ghost${thing}")


@pytest.mark.parametrize("form", [0, 99, -1, "0", "99", "@99", "Thing$99", 2**64, "99999999999999999999"])
def test_an_id_of_nothing_is_not_found(log: Log, form: Any) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        resolve_id(log.state, form)


@pytest.mark.parametrize(
    "form", ["", "@", "@@1", "x", "Root", "Thing$", "$", "1.5", "-1", "+1", "٣", "1 ", "@" + "9" * 30]
)
def test_what_is_no_id_in_any_form_says_what_would_be(log: Log, form: str) -> None:
    with pytest.raises(BadParams):
        resolve_id(log.state, form)


def test_an_id_that_lost_its_dollar_gets_a_hint(log: Log) -> None:
    with pytest.raises(BadParams, match=r"a shell eats the \$ in Thing\$"):
        resolve_id(log.state, "Thing23")


def test_a_deleted_entity_is_known_by_its_number_alone(log: Log) -> None:
    gone = log.create("Thing", "gone")
    log.delete(gone)
    assert [known_id(log.state, form) for form in (gone, str(gone), f"@{gone}")] == [gone] * 3
    for form in (0, -1, gone + 1, f"Thing${gone}", "/Root/gone"):
        with pytest.raises(NotFound):
            known_id(log.state, form)


# -- paths -------------------------------------------------------------------------------------------------


def test_twins_are_told_apart_by_their_number(log: Log) -> None:
    first, other, second = (log.create("Thing", name) for name in ("a", "b", "a"))
    for path, id in [("/Root/a", first), ("/Root/a#1", first), ("/Root/a#2", second), ("/Root/b", other)]:
        assert entity_at(log.state, path).id == id
    with pytest.raises(NotFound, match="entity 1 has no child named 'a' number 3"):
        entity_at(log.state, "/Root/a#3")


def test_names_with_separators_are_escaped(log: Log) -> None:
    for name, step in [("a/b", r"a\/b"), ("a#2", r"a\#2"), ("a\\", r"a\\"), ("/", r"\/"), ("#", r"\#"), (" ", " ")]:
        id = log.create("Thing", name)
        assert entity_at(log.state, f"/Root/{step}").id == id


def test_a_path_begins_at_any_entity_without_a_parent(log: Log) -> None:
    alone, second = log.create("Thing", "Root", None), log.create("Thing", "alone", None)
    assert entity_at(log.state, "/Root#2").id == alone
    assert entity_at(log.state, "/alone").id == second
    with pytest.raises(NotFound, match="no entity without a parent named 'Alone'"):
        entity_at(log.state, "/Alone")


@pytest.mark.parametrize("path", ["/", "//", "/Root/", "/Root//a", "/Root/a#", "/Root/a#0", "/Root/a#x", "/Root/a\\"])
def test_a_path_that_is_none_is_refused(log: Log, path: str) -> None:
    log.create("Thing", "a")
    with pytest.raises(BadParams, match="path"):
        entity_at(log.state, path)


# -- field paths -------------------------------------------------------------------------------------------


def test_hops_follow_references_and_lists(log: Log) -> None:
    boss = log.create("Thing", "boss")
    thing = log.create("Thing", "thing", 1, Boss=boss, Parts=[1, boss])
    log.set(boss, "Boss", thing)
    assert follow(log, thing, "Age").entity.id == thing
    for path in ("Boss->Age", "Parts->1->Age", "Boss->Boss->Boss->Age", "Parent->Children->0->Age"):
        place = follow(log, thing, path)
        assert (place.entity.id, place.field.name, place.item) == (boss, "Age", None)


def test_a_path_may_end_in_an_element(log: Log) -> None:
    thing = log.create("Thing", "thing", 1, Parts=[1])
    place = follow(log, thing, "Parts->0")
    assert (place.entity.id, place.field.name, place.item) == (thing, "Parts", 1)


def test_the_hop_that_fails_is_named(log: Log) -> None:
    boss, gone = log.create("Thing", "boss"), log.create("Thing", "gone")
    thing = log.create("Thing", "thing", 1, Boss=boss, Parts=[gone])
    log.delete(gone)
    for path, error, words in [
        ("Color", NotFound, "type Thing has no field 'Color'"),
        ("Boss->Color", NotFound, "type Thing has no field 'Color'"),
        ("Boss->0", NotFound, "type Thing has no field '0'"),
        ("Boss->Boss->Age", NotFound, f"Boss of entity {boss} is null"),
        ("Parts->0->Age", NotFound, f"Parts of entity {thing} refers to {gone}, which is missing"),
        ("Parts->1->Age", NotFound, f"Parts of entity {thing} has 1 elements, none at 1"),
        ("Parts->1", NotFound, "none at 1"),
        ("Parts->9999999999", NotFound, "none at 9999999999"),
        ("Age->Age", WrongKind, "Age of type Thing is a Int, no reference"),
        ("Parts->Age", WrongKind, "an index must follow a list"),
        ("Parts->-1", WrongKind, "an index must follow a list"),
        ("Boss->", BadParams, "an empty hop"),
        ("->Age", BadParams, "an empty hop"),
        ("", BadParams, "an empty hop"),
    ]:
        with pytest.raises(error, match=words):
            follow(log, thing, path)


def maze() -> tuple[Log, list[int]]:
    log = Log(THING, type_of("Tool", inherits=["Thing"]))
    boss, gone = log.create("Tool", "boss"), log.create("Thing", "gone")
    thing = log.create("Thing", "thing", 1, Boss=boss, Parts=[gone, boss])
    log.create("Thing", "lost", thing, Boss=gone, Parts=[thing])
    log.set(boss, "Boss", thing)
    log.delete(gone)
    return log, sorted(log.state.entities)


MAZE, DWELLERS = maze()
HOPS = ["Boss", "Boss", "Parts", "Children", "Parent", "0", "1", "2", "01", "9999999999", "-1", "Age", "Color"]


@given(st.sampled_from(DWELLERS), st.lists(st.sampled_from(HOPS), min_size=1, max_size=6))
def test_reach_ends_where_walk_does_and_nowhere_where_walk_raises(id: int, hops: list[str]) -> None:
    entity = MAZE.state.entities[id]
    try:
        place: Place | None = walk(MAZE.state, entity, "->".join(hops))
    except RequestError:
        place = None
    assert reach(MAZE.state, entity, hops) == place
