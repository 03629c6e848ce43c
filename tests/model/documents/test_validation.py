"""What a document says, checked by itself: every kind of problem with its path, all at once, hostile documents."""

from __future__ import annotations

from typing import Any

import pytest

from qcore.model.documents.document import MOST_PROBLEMS, Document, DocumentEntity, Problem
from qcore.model.documents.validation import document_types, validate
from qcore.model.errors import BadSchema
from qcore.model.ids import MAX_GIVEN_ID
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind
from qcore.model.work import run_whole

CHILD = "$.tree.Children[0]"
TYPES = [
    EntitySchema("Root", ["Base"], [FieldSchema("Site", Kind.String)]),
    EntitySchema("T", ["Base"], [FieldSchema("id", Kind.Int)]),
    EntitySchema(
        "Base", [], [FieldSchema(f"F{kind}", kind, choices=["x"] if kind is Kind.Choice else []) for kind in Kind]
    ),
]


def root(**fields: Any) -> DocumentEntity:
    return DocumentEntity("Root", "Root", None, 1, fields)


def document(*entities: DocumentEntity, next_id: int | None = None, **fields: Any) -> Document:
    return Document(TYPES, [root(**fields), *entities], next_id)


def entity(
    name: str = "a", parent: int | None = 0, id: int | None = None, type: str = "T", **fields: Any
) -> DocumentEntity:
    return DocumentEntity(type, name, parent, id, fields)


def problems(document: Document) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in validate(document)]


def problem(document: Document) -> tuple[str, str]:
    (only,) = problems(document)
    return only


# -- nothing wrong -----------------------------------------------------------------------------------------


def test_a_root_alone_is_a_document() -> None:
    assert validate(Document([], [DocumentEntity("Root", "Root")])) == []
    assert validate(Document([], [DocumentEntity("Root", "Any name", None, 1)], 2)) == []


def test_a_document_may_say_everything() -> None:
    fields = {
        "FBlob": [0, 255],
        "FBool": "true",
        "FChoice": 0,
        "FEntityList": ["/Root/a#2", 7, "@3", "/b"],
        "FEntityReference": "/Root/a/a\\/b",
        "FFloat": 3,
        "FInt": "7",
        "FString": "__hashpw__(x)",
        "FTimestamp": 1.5,
        "id": 5,
    }
    below = [
        DocumentEntity("T", "a", 0, 3, fields),
        entity("a/b", 1, id=6),
        entity(id=4),
        entity("b", None, 5, "Object"),
    ]
    assert validate(document(*below, next_id=8, Site="x", FEntityReference=None)) == []


def test_the_types_of_a_document_come_with_the_built_in_ones() -> None:
    assert run_whole(document_types(document())).names() == ["Base", "Object", "Root", "T"]


# -- entities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        (document(entity(type="Usr")), f"{CHILD}.entityType", "unknown type 'Usr'"),
        (document(entity(type="Root")), f"{CHILD}.entityType", "a second Root; given 'Root'"),
        (document(entity("a", None, type="Root")), "$.detached[0].entityType", "a second Root; given 'Root'"),
        (
            Document(TYPES, [entity("Root", None)]),
            "$.tree.entityType",
            "the tree begins with the Root, an entity of type Root; given 'T'",
        ),
        (document(entity("a\n")), f"{CHILD}.Name", "an entity name has no control characters; U+000A in 'a\\n'"),
        (document(entity("\u2028")), f"{CHILD}.Name", "an entity name has no control characters; U+2028 in '\\u2028'"),
        (document(entity("x" * 256)), f"{CHILD}.Name", "an entity name has 1..255 characters, 256 given"),
        (document(entity("")), f"{CHILD}.Name", "an entity name has 1..255 characters, 0 given"),
        (document(entity(type="")), f"{CHILD}.entityType", "unknown type ''"),
        (document(entity(id=0)), f"{CHILD}.id", f"expected 1..{MAX_GIVEN_ID}, given 0"),
        (document(entity(id=-1)), f"{CHILD}.id", f"expected 1..{MAX_GIVEN_ID}, given -1"),
        (document(entity(id=2**63 - 1)), f"{CHILD}.id", f"expected 1..{MAX_GIVEN_ID}, given {2**63 - 1}"),
        (document(entity(id=2**63)), f"{CHILD}.id", f"expected 1..{MAX_GIVEN_ID}, given {2**63}"),
        (document(entity(id=10**30)), f"{CHILD}.id", f"expected 1..{MAX_GIVEN_ID}, given {10**30}"),
        (document(entity(id=1)), f"{CHILD}.id", "1 is the id of the Root and of no other entity, given 1"),
        (
            Document([], [DocumentEntity("Root", "Root", None, 5)]),
            "$.tree.id",
            "1 is the id of the Root and of no other entity, given 5",
        ),
        (
            document(entity(id=5), entity("b", 1, 6), entity("c", None, 6)),
            "$.detached[0].id",
            "the id 6 is given twice, first at $.tree.Children[0].Children[0]",
        ),
    ],
)
def test_an_entity_that_cannot_be(wrong: Document, path: str, message: str) -> None:
    assert problem(wrong) == (path, message)


@pytest.mark.parametrize(
    ("id", "next_id", "lowest"),
    [
        (5, 5, 6),
        (5, 0, 6),
        (5, -1, 6),
        (None, 1, 2),
        (None, 0, 2),
        (MAX_GIVEN_ID, MAX_GIVEN_ID, MAX_GIVEN_ID + 1),
        (5, 2**63, 6),
        (5, 10**30, 6),
    ],
)
def test_the_next_id_is_above_every_id(id: int | None, next_id: int, lowest: int) -> None:
    message = f"expected a number above every id, {lowest}..{2**63 - 1}, given {next_id}"
    assert problem(document(entity(id=id), next_id=next_id)) == ("$.nextId", message)


@pytest.mark.parametrize(
    ("id", "next_id"), [(5, 6), (5, None), (None, 2), (MAX_GIVEN_ID, 2**63 - 1), (MAX_GIVEN_ID, None)]
)
def test_ids_go_up_to_what_leaves_room_for_a_next_one(id: int | None, next_id: int | None) -> None:
    assert problems(document(entity(id=id), next_id=next_id)) == []


@pytest.mark.parametrize("id", [-5, 0, 2**63])
def test_an_id_that_cannot_be_says_nothing_about_the_next_one(id: int) -> None:
    assert [path for path, _ in problems(document(entity(id=id), next_id=2))] == [f"{CHILD}.id"]


# -- fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "step", "message"),
    [
        ({"Age": 5}, ".Age", "type T has no field 'Age'"),
        ({"Site": "x"}, ".Site", "type T has no field 'Site'"),
        ({"a b": 5}, '["a b"]', "type T has no field 'a b'"),
        ({"": 5}, '[""]', "type T has no field ''"),
        ({"entityType": 5}, '["\\\\entityType"]', "type T has no field 'entityType'"),
        ({"Parent": "/Root"}, ".Parent", "Parent is no field to give: the place of an entity says it"),
        ({"Name": "x"}, '["\\\\Name"]', "Name is no field to give: the place of an entity says it"),
        ({"Children": []}, '["\\\\Children"]', "Children is no field to give: the place of an entity says it"),
        ({"id": "x"}, '["\\\\id"]', "field id: expected an Int (signed 64-bit), given 'x'"),
        ({"FInt": 2**63}, ".FInt", f"field FInt: expected an Int (signed 64-bit), given {2**63}"),
        ({"FInt": None}, ".FInt", "field FInt: expected an Int (signed 64-bit), given None"),
        ({"FFloat": "nan"}, ".FFloat", "field FFloat: expected a finite Float, given 'nan'"),
        ({"FBool": 1}, ".FBool", "field FBool: expected a Bool (true, false, 1 or 0), given 1"),
        ({"FString": 5}, ".FString", "field FString: expected a String, given 5"),
        ({"FString": "__hashpw__()"}, ".FString", "the password to hash is empty"),
        ({"FChoice": "y"}, ".FChoice", "field FChoice: expected one of the labels x or an index 0..0, given 'y'"),
        ({"FBlob": [256]}, ".FBlob", "field FBlob: a Blob as a list has numbers 0..255 only"),
        ({"FBlob": "?"}, ".FBlob", "field FBlob: expected a Blob as padded base64, given '?'"),
        (
            {"FTimestamp": 10**18},
            ".FTimestamp",
            "field FTimestamp: expected a Timestamp (RFC 3339, or seconds since 1970, of the years 1677-2262), "
            f"given {10**18}",
        ),
        ({"FInt": {}}, ".FInt", "field FInt: expected a value of kind Int, given a nested one"),
    ],
)
def test_a_field_that_cannot_be(fields: Any, step: str, message: str) -> None:
    assert problem(document(DocumentEntity("T", "a", 0, None, fields))) == (CHILD + step, message)


def test_a_field_of_the_root_is_checked_too() -> None:
    assert problem(document(Site=5)) == ("$.tree.Site", "field Site: expected a String, given 5")


# -- references --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("/Root/c", "the document has no 'c' there"),
        ("/Root/a#2", "the document has no 'a' number 2 there"),
        ("/", "path '/' has an empty step"),
        ("Alice", "a reference in a document is a path /Root/Name or a decimal id"),
        ("T$5", "a reference in a document is a path /Root/Name or a decimal id"),
        (8, "no entity of the document has the id 8, and its nextId is 8"),
        (2**63, f"an id in a document is 1..{MAX_GIVEN_ID}, {2**63} given"),
    ],
)
def test_a_reference_that_leads_nowhere(form: Any, why: str) -> None:
    message = f"expected an entity that exists, given {form!r} ({why})"
    one = document(entity(id=5, FEntityReference=form), next_id=8)
    assert problem(one) == (f"{CHILD}.FEntityReference", f"field FEntityReference: {message}")
    listed = document(entity(id=5, FEntityList=["/Root", form, 6]), next_id=8)
    assert problem(listed) == (f"{CHILD}.FEntityList[1]", f"field FEntityList: {message}")


@pytest.mark.parametrize("value", [True, 1.0, {"missing": 5}, [5]])
def test_what_is_no_reference(value: Any) -> None:
    path, _ = problem(document(entity(FEntityReference=value)))
    assert path == f"{CHILD}.FEntityReference"
    path, _ = problem(document(entity(FEntityList=["/Root", value])))
    assert path == f"{CHILD}.FEntityList[1]"


@pytest.mark.parametrize("value", [5, None, "x", {}, "[[1]]"])
def test_what_is_no_list(value: Any) -> None:
    path, _ = problem(document(entity(FEntityList=value)))
    assert path == f"{CHILD}.FEntityList"


def test_every_element_that_is_wrong_is_named() -> None:
    found = problems(document(entity(FEntityList=["/a", "/Root", None, "/Root/a", 0])))
    assert [path for path, _ in found] == [f"{CHILD}.FEntityList[{place}]" for place in (0, 2, 4)]


def test_an_entity_that_stands_twice_is_a_problem_of_the_list() -> None:
    found = problem(document(entity(id=5, FEntityList=["/Root/a", 5])))
    assert found == (f"{CHILD}.FEntityList", "field FEntityList: an entity stands twice in the list")


# -- all at once -------------------------------------------------------------------------------------------


def test_all_problems_are_found_at_once_in_the_order_of_the_entities() -> None:
    wrong = document(
        entity("\x00", 0, 0, "Usr", Age=1),
        entity("b", 1, 7, FInt="x", Age=1, FEntityList=["/a", 5.0]),
        entity("c", None, 7, FString="__hashpw__()"),
        next_id=3,
        Site=1,
    )
    assert [path for path, _ in problems(wrong)] == [
        "$.tree.Site",
        "$.tree.Children[0].id",
        "$.tree.Children[0].Name",
        "$.tree.Children[0].entityType",
        "$.tree.Children[0].Children[0].FInt",
        "$.tree.Children[0].Children[0].Age",
        "$.tree.Children[0].Children[0].FEntityList[0]",
        "$.tree.Children[0].Children[0].FEntityList[1]",
        "$.detached[0].id",
        "$.detached[0].FString",
        "$.nextId",
    ]


def test_types_that_were_not_read_whole_are_not_held_against_entities() -> None:
    wrong = document(entity(type="Usr"), entity(Age=5, FInt="x"), entity("b", type="Base", Age=5))
    found = validate(wrong, {"Usr", "T"})
    assert [problem.path for problem in found] == ["$.tree.Children[1].FInt", "$.tree.Children[2].Age"]
    assert [problem.path for problem in validate(wrong, {"Usr", "Base"})] == ["$.tree.Children[1].FInt"]


def test_entities_that_were_not_read_whole_are_noted_by_who_read_them() -> None:
    wrong = document(DocumentEntity("", "", 0), entity("", type=""), entity(Age=1))
    assert [problem.path for problem in validate(wrong, {""})] == ["$.tree.Children[2].Age"]
    assert len(validate(wrong)) == 5


def test_types_that_cannot_be_set_are_the_only_problem() -> None:
    wrong = Document([EntitySchema("T", ["Usr"])], [root(Age=1)])
    assert validate(wrong) == [Problem("$.schemas", "type T inherits the unknown type 'Usr'")]
    with pytest.raises(BadSchema):
        run_whole(document_types(wrong))


@pytest.mark.parametrize(
    "entities",
    [
        [],
        [entity("Root", 0)],
        [root(), entity(parent=1)],
        [root(), entity(parent=2), entity()],
        [root(), entity(parent=-1)],
    ],
)
def test_a_list_of_entities_that_is_no_tree_is_the_only_problem(entities: list[DocumentEntity]) -> None:
    message = "the entities of a document begin with the Root, and each stands behind its parent"
    assert validate(Document([], entities)) == [Problem("$", message)]


# -- hostile documents -------------------------------------------------------------------------------------


def test_a_problem_at_each_of_a_hundred_thousand_levels_is_found() -> None:
    found = validate(document(*[entity("a", place, type="Usr") for place in range(100_000)]))
    assert len(found) == 100_000
    assert found[0].path == f"{CHILD}.entityType"
    assert found[-1].path == f"$.tree{'.Children[0]' * 48} ... {'.Children[0]' * 12}.entityType"


def test_problems_beyond_a_hundred_thousand_are_not_noted() -> None:
    assert len(validate(document(*[entity("", type="Usr") for _ in range(60_000)]))) == MOST_PROBLEMS


def test_ten_thousand_wrong_elements_among_a_million_are_found() -> None:
    references = ["/Root/a#2" if place % 100 else "/b" for place in range(1_000_000)]
    found = validate(document(entity(), entity(), entity("c", FEntityList=references)))
    assert len(found) == 10_000
    assert found[-1].path == "$.tree.Children[2].FEntityList[999900]"


def test_a_million_bytes_and_ten_million_characters_are_fine() -> None:
    texts: dict[str, Any] = {"FString": "x" * 10_000_000, "FBlob": [255] * 1_000_000}
    assert validate(document(entity(**texts))) == []
    (problem,) = validate(document(entity(FInt="x" * 10_000_000)))
    assert len(problem.message) < 200
