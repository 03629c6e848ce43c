"""The tree of a document: children, paths there and back, JSON paths, and what references lead to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.documents.tree import DocumentTree
from qcore.model.errors import BadParams, BadValue, NotFound, TooLarge
from qcore.model.ids import MAX_GIVEN_ID
from qcore.model.path import MAX_PATH

NAMES = st.sampled_from(["a", "b", "a/b", "#2", "a#2", "\\", "Root", "é\U0001f600", "12", "null"])


def entity(name: str, parent: int | None = 0, id: int | None = None) -> DocumentEntity:
    return DocumentEntity("Root" if parent is None and name == "Root" else "T", name, parent, id)


ROOT = entity("Root", None)


def tree(*entities: DocumentEntity, next_id: int | None = None) -> DocumentTree:
    return DocumentTree(Document([], [ROOT, *entities], next_id))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    entities = [ROOT]
    for place in range(1, draw(st.integers(1, 25))):
        parent = draw(st.none() | st.integers(0, place - 1))
        entities.append(DocumentEntity("T", draw(NAMES), parent))
    return Document([], entities)


# -- places ------------------------------------------------------------------------------------------------


def test_children_and_tops_stand_in_the_documents_order() -> None:
    drawn = tree(entity("a"), entity("b", 1), entity("c"), entity("d", None), entity("e", 1), entity("f", 4))
    assert drawn.top == [0, 4]
    assert drawn.children == [[1, 3], [2, 5], [], [], [6], [], []]


@given(documents())
def test_every_path_leads_back_to_its_entity(document: Document) -> None:
    drawn = DocumentTree(document)
    paths = [drawn.path(place) for place in range(len(document.entities))]
    assert [drawn.find(path) for path in paths] == [~place for place in range(len(paths))]
    assert len(set(paths)) == len(paths)


@given(documents())
def test_every_json_path_leads_to_its_entity_in_the_text(document: Document) -> None:
    drawn = DocumentTree(document)

    def shape(place: int) -> dict[str, Any]:
        return {"place": place, "Children": [shape(child) for child in drawn.children[place]]}

    text = {"tree": shape(0), "detached": [shape(place) for place in drawn.top[1:]]}
    for place in range(len(document.entities)):
        value: Any = text
        for step in drawn.json_path(place).removeprefix("$.").replace("[", ".").replace("]", "").split("."):
            value = value[int(step)] if isinstance(value, list) else value[step]
        assert value["place"] == place


def test_twins_are_numbered_among_siblings_of_the_name_whatever_their_type() -> None:
    entities = [
        entity("a"),
        entity("b"),
        DocumentEntity("U", "a", 0),
        entity("a", None),
        entity("a", 1),
        entity("Root", None),
    ]
    drawn = tree(*entities)
    paths = ["/Root", "/Root/a", "/Root/b", "/Root/a#2", "/a", "/Root/a/a", "/Root#2"]
    assert [drawn.path(place) for place in range(7)] == paths


def test_names_are_escaped_in_paths() -> None:
    drawn = tree(entity("a/b#2\\"), entity("a/b#2\\"))
    assert drawn.path(2) == "/Root/a\\/b\\#2\\\\#2"
    assert drawn.find("/Root/a\\/b\\#2\\\\#2") == ~2


# -- depth -------------------------------------------------------------------------------------------------


def test_a_json_path_of_sixty_levels_is_whole_and_a_longer_one_lacks_its_middle() -> None:
    drawn = tree(*[entity("a", place) for place in range(100_000)])
    assert drawn.json_path(60) == "$.tree" + ".Children[0]" * 60
    assert drawn.json_path(61) == "$.tree" + ".Children[0]" * 48 + " ... " + ".Children[0]" * 12
    assert [drawn.json_path(place) for place in range(61, 100_001)] == [drawn.json_path(61)] * 99_940


def test_a_long_json_path_names_either_end() -> None:
    above = [entity("x", None), *[entity("a", place) for place in range(1, 70)]]
    drawn = tree(*above, entity("b", 70), entity("c", 70), entity("d", 72))
    assert drawn.json_path(73) == (
        "$.detached[0]" + ".Children[0]" * 48 + " ... " + ".Children[0]" * 10 + ".Children[1].Children[0]"
    )


def test_a_path_of_any_depth_is_written() -> None:
    drawn = tree(*[entity("a", place) for place in range(1000)])
    assert drawn.path(1000) == "/Root" + "/a" * 1000
    assert drawn.find("/Root" + "/a" * 1000) == ~1000


# -- references --------------------------------------------------------------------------------------------

HOUSE = tree(entity("a", 0, 7), entity("a", 0, 8), entity("b", None, 9), next_id=20)


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ("/Root", 0),
        ("/Root/a", 1),
        ("/Root/a#1", 1),
        ("/Root/a#2", 2),
        ("/b", 3),
        (1, 0),
        ("@1", 0),
        (7, 1),
        ("8", 2),
        ("@9", 3),
        ("007", 1),
    ],
)
def test_a_reference_leads_to_an_entity_of_the_document(form: Any, place: int) -> None:
    assert HOUSE.find(form) == ~place


@pytest.mark.parametrize("form", [2, "2", "19", 19])
def test_an_id_that_no_entity_bears_is_one_that_is_missing(form: Any) -> None:
    assert HOUSE.find(form) == int(form)


@pytest.mark.parametrize("form", [20, "20", MAX_GIVEN_ID])
def test_an_id_that_was_never_given_out_is_refused(form: Any) -> None:
    with pytest.raises(NotFound, match=f"no entity of the document has the id {form}, and its nextId is 20"):
        HOUSE.find(form)


@pytest.mark.parametrize("form", [0, -1, 2**63 - 1, 2**63, 2**64, "0", "99999999999999999999"])
def test_what_cannot_be_an_id_is_refused(form: Any) -> None:
    with pytest.raises(BadValue, match=f"an id in a document is 1..9223372036854775806, {form} given"):
        HOUSE.find(form)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("/Root/c", "the document has no 'c' there"),
        ("/a", "the document has no 'a' there"),
        ("/Root/a/a", "the document has no 'a' there"),
        ("/Root/a#3", "the document has no 'a' number 3 there"),
        ("/Root/A", "the document has no 'A' there"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(form: str, words: str) -> None:
    for _ in range(2):
        with pytest.raises(NotFound) as caught:
            HOUSE.find(form)
        assert caught.value.message == words


@pytest.mark.parametrize(
    "form", ["", "a", "Root", "T$7", "$1", "-1", "1.0", "+7", "null ", "100000000000000000000000", "Root/a"]
)
def test_what_is_no_reference_is_refused(form: str) -> None:
    with pytest.raises(BadParams, match="a reference in a document is a path /Root/Name or a decimal id"):
        HOUSE.find(form)


@pytest.mark.parametrize("form", ["/", "//", "/Root/", "/Root//a", "/Root/a#0", "/Root/a#x", "/Root\\"])
def test_what_is_no_path_is_refused(form: str) -> None:
    with pytest.raises(BadParams, match="path"):
        HOUSE.find(form)


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(TooLarge):
        HOUSE.find("/" + "a" * MAX_PATH)


# -- documents without ids ---------------------------------------------------------------------------------


def test_without_any_ids_an_id_may_be_one_of_the_store() -> None:
    assert tree(entity("a")).find(7) == 7
    assert DocumentTree(Document([], [entity("Root", None, 1), entity("a")])).find("7") == 7


def test_with_ids_but_without_next_id_nobody_knows_whose_another_id_is() -> None:
    drawn = tree(entity("a", 0, 5))
    assert drawn.find(5) == ~1
    assert drawn.find(1) == ~0
    with pytest.raises(NotFound, match="no entity of the document has the id 7, and without nextId it may be anyone's"):
        drawn.find(7)


def test_the_first_of_two_entities_with_one_id_bears_it() -> None:
    assert tree(entity("a", 0, 5), entity("b", 0, 5)).by_id == {1: 0, 5: 1}
