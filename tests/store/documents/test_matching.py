"""Which entity of the store each entity of a document is: by name, type and place, never by id."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.documents.tree import DocumentTree
from qcore.store.documents.matching import Matching
from qcore.store.state.view import View
from tests.store.document_samples import OTHER_SCHEMAS, Watched, stores, taken
from tests.store.samples import Log, type_of

TYPES = (type_of("T"), type_of("U", inherits=["T"]))


def matched(view: View, document: Document) -> Matching:
    matching = Matching(view, document, DocumentTree(document))
    for _ in matching.run():
        pass
    return matching


def document(*entities: tuple[str, int | None], type: str = "T") -> Document:
    """Entities as name and parent's place; place 0 is the Root."""
    return Document(
        [], [DocumentEntity("Root", "Root"), *(DocumentEntity(type, name, above) for name, above in entities)]
    )


def test_the_root_is_the_root_whatever_it_is_called() -> None:
    log = Log(*TYPES)
    log.set(1, "Name", "Site")
    assert matched(log.state, document()).ids == [1]


def test_entities_match_by_name_below_parents_that_match() -> None:
    log = Log(*TYPES)
    a, b = log.create("T", "a"), log.create("T", "b")
    below = log.create("T", "x", a)
    found = matched(log.state, document(("b", 0), ("a", 0), ("x", 1), ("x", 2), ("y", 2)))
    assert found.ids == [1, b, a, 0, below, 0]
    assert found.extra == {}


def test_twins_match_in_their_order_and_the_rest_is_extra() -> None:
    log = Log(*TYPES)
    first, second, third = (log.create("T", "a") for _ in range(3))
    assert matched(log.state, document(("a", 0), ("a", 0))).extra == {1: [third]}
    assert matched(log.state, document(*[("a", 0)] * 4)).ids == [1, first, second, third, 0]


def test_twins_of_another_type_are_counted_apart() -> None:
    log = Log(*TYPES)
    other, same = log.create("U", "a"), log.create("T", "a")
    found = matched(log.state, document(("a", 0)))
    assert found.ids == [1, same]
    assert found.extra == {1: [other]}


def test_what_stands_below_something_extra_is_no_extra_of_its_own() -> None:
    log = Log(*TYPES)
    top = log.create("T", "gone")
    log.create("T", "a", top)
    assert matched(log.state, document(("a", 0))).extra == {1: [top]}


def test_detached_entities_match_among_themselves() -> None:
    log = Log(*TYPES)
    log.create("T", "a")
    alone, other = log.create("T", "a", None), log.create("T", "b", None)
    found = matched(log.state, document(("a", None), ("c", None)))
    assert found.ids == [1, alone, 0]
    assert found.extra[0] == [other]


def test_ids_play_no_part() -> None:
    log = Log(*TYPES)
    a, b = log.create("T", "a"), log.create("T", "b")
    swapped = document(("a", 0), ("b", 0))
    swapped.entities[1].id, swapped.entities[2].id = b, a
    assert matched(log.state, swapped).ids == [1, a, b]


@given(stores())
def test_every_entity_of_a_store_matches_its_own_document(log: Log) -> None:
    document = taken(log.state)
    found = matched(log.state, document)
    assert found.ids == [entity.id for entity in document.entities]
    assert found.extra == {}


@given(stores(), stores() | stores(OTHER_SCHEMAS))
def test_what_matches_has_name_type_place_and_number(log: Log, other: Log) -> None:
    document, state = taken(log.state), other.state
    found = matched(state, document)
    ids = [id for id in found.ids if id]
    assert len(set(ids)) == len(ids)
    numbers: Counter[tuple[int, str, str]] = Counter()
    for place, id in enumerate(found.ids):
        entity = document.entities[place]
        parent = 0 if entity.parent is None else found.ids[entity.parent]
        if place == 0 or (entity.parent is not None and not parent):
            assert (id == 1) is (place == 0)
            continue
        twins = [
            child
            for child in state.children(parent)
            if child != 1 and (state.entities[child].name, state.entities[child].type) == (entity.name, entity.type)
        ]
        number = numbers[parent, entity.name, entity.type]
        numbers[parent, entity.name, entity.type] += 1
        assert id == (twins[number] if number < len(twins) else 0)


@given(stores(), stores())
def test_every_child_of_what_matches_is_matched_or_extra(log: Log, other: Log) -> None:
    state = other.state
    found = matched(state, taken(log.state))
    matching = set(found.ids) - {0}
    for parent in {0, *matching}:
        assert found.extra.get(parent, []) == [id for id in state.children(parent) if id not in matching]
    assert found.extra.keys() <= {0, *matching}


def test_matching_pauses_over_many_entities() -> None:
    log = Log(*TYPES)
    for number in range(5000):
        log.create("T", f"n{number % 100}")
    document = taken(log.state)
    view = Watched(log.state)
    assert view.most_between(Matching(view, document, DocumentTree(document)).run()) <= 500
