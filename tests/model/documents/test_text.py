"""From text to a document: what is read, every problem of form with its JSON path, hostile texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import MOST_PROBLEMS, Document, DocumentEntity
from qcore.model.documents.text import check, parse, read_document
from qcore.model.errors import BadParams
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind

ROOT = {"entityType": "Root", "Name": "Root"}
CHILD = "$.tree.Children[0]"
TYPE = {"entityType": "T", "fields": [{"name": "F", "dataType": "Float"}, {"name": "id", "dataType": "Int"}]}


def text(*children: Any, **keys: Any) -> str:
    return json.dumps({"schemas": [TYPE], "tree": {**ROOT, "Children": list(children)}, **keys})


def entity(name: str = "a", *children: Any, **keys: Any) -> dict[str, Any]:
    return {"entityType": "T", "Name": name, **keys, "Children": list(children)}


def problems(data: bytes | str) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in check(data)[1]]


def problem(data: bytes | str) -> tuple[str, str]:
    (only,) = problems(data)
    return only


# -- what is read ------------------------------------------------------------------------------------------


def test_a_root_alone_is_a_document() -> None:
    root = Document([], [DocumentEntity("Root", "Root")])
    assert read_document('{"tree":{"entityType":"Root","Name":"Root"}}') == root
    assert read_document(b' {"tree":{"entityType":"Root","Name":"Root"}}\n') == root
    everything = {**ROOT, "id": None, "Children": None}
    assert read_document(json.dumps({"schemas": None, "tree": everything, "detached": None, "nextId": None})) == root


def test_a_text_becomes_a_list_with_parents_first_and_siblings_in_their_order() -> None:
    below = [entity("a", entity("b"), entity("c", entity("d")), id=2), entity("e")]
    document = read_document(text(*below, detached=[entity("f", entity("g")), entity("h")], nextId=9))
    found = [(each.name, each.parent) for each in document.entities]
    assert found == [
        ("Root", None),
        ("a", 0),
        ("b", 1),
        ("c", 1),
        ("d", 3),
        ("e", 0),
        ("f", None),
        ("g", 6),
        ("h", None),
    ]
    assert document.entities[1].id == 2
    assert document.next_id == 9
    assert document.schemas == [
        EntitySchema("T", [], [FieldSchema("F", Kind.Float, rank=0), FieldSchema("id", Kind.Int, rank=1)])
    ]


def test_fields_are_as_the_text_writes_them() -> None:
    (_, read) = read_document(text({**entity(id=5), "\\id": "7", "F": -0.0})).entities
    assert read.id == 5
    assert repr(read.fields) == "{'id': '7', 'F': -0.0}"


@pytest.mark.parametrize(
    "encode", [str, str.encode, lambda text: b"\xef\xbb\xbf" + text.encode(), lambda text: "\ufeff" + text]
)
def test_a_text_is_utf_8_with_or_without_a_byte_order_mark(encode: Any) -> None:
    assert read_document(encode(text(entity("é\U0001f600")))).entities[1].name == "é\U0001f600"


@given(st.integers(0, 6), st.integers(0, 6))
def test_an_escaped_key_is_never_the_entitys_own(id: int, field: int) -> None:
    (_, read) = read_document(text({"entityType": "T", "Name": "a", "id": id + 2, "\\id": field})).entities
    assert (read.id, read.fields) == (id + 2, {"id": field})


# -- no JSON -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"{}\n{}", "line 2 column 1"),
        (b'{"tree":\n NaN}', "Expected a value, given 'NaN': line 2 column 2"),
        (b'{"tree":Infinity}', "Expected a value, given 'Infinity': line 1 column 9"),
        (b'{"tree":-Infinity}', "Expected a value, given '-Infinity': line 1 column 9"),
        (b'{"tree":NaN}', "Expected a value, given 'NaN': line 1 column 9"),
        (b'{"tree":"\\ud800"}', "line 1 column 9"),
        (b'{"tree":"\\udc00 "}', "line 1 column 9"),
        (b'{"tree":"a\n"}', "line 1 column 11"),
        (b'{"tree":1,}', "line 1 column 1"),
        (b"{'tree':1}", "line 1 column 2"),
        (b"\xff\xfe{\x00}\x00", "byte 0 is not UTF-8"),
        (b'{"tree":"abc\xff"}', "byte 12 is not UTF-8"),
        (b'{"tree":"\xed\xa0\x80"}', "byte 9 is not UTF-8"),
        ('{"tree":"\ud800"}', "character 9 is half of a surrogate pair"),
        ("[" * 100_000, "end of the text"),
        (b"[" * 2000 + b'"\xff"', "byte 2001 is not UTF-8"),
    ],
)
def test_what_is_no_json_is_the_only_problem(data: Any, words: str) -> None:
    document, (found,) = check(data)
    assert document is None
    assert found.path == "$"
    assert found.message.startswith("no JSON: ")
    assert words in found.message


@pytest.mark.parametrize(
    ("data", "given_value"),
    [("[]", "a list"), ("null", "None"), ("5", "5"), ('"x"', "'x'"), ("[" * 5000 + "]" * 5000, "a list")],
)
def test_what_is_no_object_is_the_only_problem(data: str, given_value: str) -> None:
    assert problem(data) == ("$", f"expected an object, given {given_value}")
    assert check(data)[0] is None


# -- problems of form --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ("{}", "$", "no Root: the document has no tree"),
        ('{"tree":null}', "$.tree", "expected an entity (an object), given None"),
        ('{"tree":[]}', "$.tree", "expected an entity (an object), given a list"),
        (text(version=2), "$.version", "unknown key; expected origin, schemas, tree, detached, nextId"),
        (text(**{"next id": 2}), '$["next id"]', "unknown key; expected origin, schemas, tree, detached, nextId"),
        (text(nextId="5"), "$.nextId", "expected a whole number, given '5'"),
        (text(nextId=5.0), "$.nextId", "expected a whole number, given 5.0"),
        (text(nextId=True), "$.nextId", "expected a whole number, given True"),
        (text(detached={}), "$.detached", "expected a list, given an object"),
        (text(detached=[entity(), 5]), "$.detached[1]", "expected an entity (an object), given 5"),
        (text("a"), CHILD, "expected an entity (an object), given 'a'"),
        (text({"Name": "a"}), CHILD, "entityType is missing"),
        (text({"entityType": "T"}), CHILD, "Name is missing"),
        (text({"entityType": "T", "name": "a"}), CHILD, "Name is missing"),
        (text(entity("")), f"{CHILD}.Name", "expected text that is not empty, given ''"),
        (text({**entity(), "Name": None}), f"{CHILD}.Name", "expected text that is not empty, given None"),
        (text({**entity(), "entityType": 5}), f"{CHILD}.entityType", "expected text that is not empty, given 5"),
        (text({**entity(), "entityType": ""}), f"{CHILD}.entityType", "expected text that is not empty, given ''"),
        (text(entity(id="5")), f"{CHILD}.id", "expected a whole number, given '5'"),
        (text(entity(id=5.0)), f"{CHILD}.id", "expected a whole number, given 5.0"),
        (text(entity(id=True)), f"{CHILD}.id", "expected a whole number, given True"),
        (text({**entity(), "Children": {}}), f"{CHILD}.Children", "expected a list of entities, given an object"),
        (
            text(entity("a", entity("b", entity("c"), 7))),
            f"{CHILD}.Children[0].Children[1]",
            "expected an entity (an object), given 7",
        ),
    ],
)
def test_a_document_of_the_wrong_form(data: str, path: str, message: str) -> None:
    found = problems(data)
    assert (path, message) in found
    if message != "Name is missing":
        assert len(found) == 1


def test_problems_beyond_a_hundred_thousand_are_not_noted() -> None:
    children = ",".join(["{}"] * 60_000)
    assert len(problems(f'{{"tree":{{"entityType":"Root","Name":"Root","Children":[{children}]}}}}')) == MOST_PROBLEMS


def test_a_text_with_problems_is_refused_with_all_of_them() -> None:
    with pytest.raises(BadParams) as caught:
        read_document(text(entity(id="x", F="y"), version=1))
    assert caught.value.message.startswith(
        "$.version: unknown key; expected origin, schemas, tree, detached, nextId (and 2 more"
    )
    paths = [problem["path"] for problem in caught.value.data["problems"]]
    assert paths == ["$.version", f"{CHILD}.id", f"{CHILD}.F"]
    with pytest.raises(BadParams, match=r"\$: no JSON"):
        read_document("")


# -- twins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ('{"tree":{"entityType":"Root","Name":"Root"},"tree":{"entityType":"Root","Name":"Root"}}', "$.tree"),
        ('{"tree":{"entityType":"Root","Name":"Root","Children":[],"Children":[]}}', "$.tree.Children"),
        ('{"tree":{"entityType":"Root","Name":"a","N\\u0061me":"Root"}}', "$.tree.Name"),
        ('{ "tree" : { "entityType" : "Root" , "Name" : "Root" , "Name" : ":\\":" } }', "$.tree.Name"),
        (text(entity(F=1)).replace('"F": 1', '"F": 1, "F": 2'), f"{CHILD}.F"),
        (text().replace('"entityType": "T"', '"entityType": "U", "entityType": "T"'), "$.schemas[0].entityType"),
    ],
)
def test_a_key_that_stands_twice_is_a_problem_as_one_of_the_values_would_be_lost(data: str, path: str) -> None:
    for form in (data, data.encode()):
        assert problem(form) == (path, "the key stands in its object twice")
        with pytest.raises(BadParams, match="the key stands in its object twice"):
            read_document(form)


def test_colons_and_quotes_in_texts_are_no_keys() -> None:
    names = [":", '":', '"a":', "\\", '\\":', "a\\\\", '\\\\":"', "{", '{"a":1}']
    children = [entity(name) for name in names]
    assert [each.name for each in read_document(text(*children)).entities[1:]] == names


# -- all at once -------------------------------------------------------------------------------------------


def test_all_problems_are_found_at_once() -> None:
    data = {
        "schemas": [{"entityType": "T", "fields": [{"name": "F", "dataType": "?"}]}, 5],
        "tree": {
            **ROOT,
            "Children": [entity(id="x", F=1, G=2), "a", entity("\x00", {"Name": "b"}, Parent=1), {"entityType": "U"}],
        },
        "detached": [7, {**entity(), "entityType": "U", "Children": 5}],
        "nextId": "x",
        "more": 1,
    }
    assert [path for path, _ in problems(json.dumps(data))] == [
        "$.more",
        "$.schemas[0].fields[0].dataType",
        "$.schemas[1]",
        "$.nextId",
        "$.tree.Children[0].id",
        "$.tree.Children[1]",
        "$.tree.Children[2].Children[0]",
        "$.tree.Children[3]",
        "$.detached[0]",
        "$.detached[1].Children",
        "$.tree.Children[2].Name",
        "$.tree.Children[2].Parent",
        "$.tree.Children[3].entityType",
        "$.detached[1].entityType",
    ]


def test_places_match_the_text_whatever_could_not_be_read() -> None:
    found = problems(
        text(5, entity("b", None, entity("d", F="x")), entity("c", F="x"), detached=["x", entity("e", F="x")])
    )
    assert [path for path, _ in found] == [
        CHILD,
        "$.tree.Children[1].Children[0]",
        "$.detached[0]",
        "$.tree.Children[1].Children[1].F",
        "$.tree.Children[2].F",
        "$.detached[1].F",
    ]


def test_what_could_be_read_comes_with_the_problems() -> None:
    parsed = parse(text(5, entity(id="x"), nextId=1.5))
    assert parsed.document is not None
    assert parsed.document.entities[1:] == [DocumentEntity("", "", 0), DocumentEntity("T", "a", 0)]
    assert parsed.document.next_id is None
    assert [problem.path for problem in parsed.problems] == ["$.nextId", CHILD, "$.tree.Children[1].id"]


# -- hostile texts -----------------------------------------------------------------------------------------


def chain(levels: int, keys: str = "") -> str:
    opening = f'{{"entityType":"Object","Name":"a"{keys},"Children":['
    return f'{{"tree":{{"entityType":"Root","Name":"Root","Children":[{opening * levels}{"]}" * levels}]}}}}'


def test_a_tree_of_a_hundred_thousand_levels_is_read() -> None:
    document = read_document(chain(100_000))
    assert len(document.entities) == 100_001
    assert document.entities[-1].parent == 99_999


def test_a_problem_at_each_of_a_hundred_thousand_levels_is_found() -> None:
    found = problems(chain(100_000, ',"id":"x","F":1'))
    assert len(found) == 200_000
    assert found[0][0] == f"{CHILD}.id"
    assert found[-1] == (f"$.tree{'.Children[0]' * 48} ... {'.Children[0]' * 12}.F", "type Object has no field 'F'")


def test_keys_that_stand_twice_are_found_at_any_depth() -> None:
    assert problem(chain(5000).replace('"Name":"a"', '"Name":"a","Name":"a"', 1)) == (
        f"{CHILD}.Name",
        "the key stands in its object twice",
    )


def test_ten_thousand_problems_are_all_found() -> None:
    found = problems(text(*[entity(id="x") for _ in range(10_000)]))
    assert [path for path, _ in found] == [f"$.tree.Children[{place}].id" for place in range(10_000)]


def test_values_that_are_nested_deeply_are_problems_wherever_they_stand() -> None:
    deep = "[" * 5000 + "]" * 5000
    data = text(entity(F=0.25)).replace("0.25", deep)
    assert problem(data) == (f"{CHILD}.F", "field F: expected a value of kind Float, given a nested one")
    assert problem(text(nextId=0.25).replace("0.25", deep)) == ("$.nextId", "expected a whole number, given a list")


def test_a_text_of_ten_million_characters_is_read() -> None:
    schema = {"entityType": "T", "fields": [{"name": "S", "dataType": "String"}]}
    document = read_document(text(entity(S='":\\' * 3_000_000), schemas=[schema]))
    assert len(document.entities[1].fields["S"]) == 9_000_000


# -- numbers that no field can hold ------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1e400", "-1E+999", "9" * 5000, "9" * 400 + ".5"])
def test_a_number_that_no_field_can_hold_is_a_problem_of_its_place_and_quoted(number: str) -> None:
    whole = text(entity(F="@"), entity("b", F=1, id="@"), nextId="@").replace('"@"', number)
    given = number if len(number) < 80 else f"{number[:77]}..."
    assert problems(whole) == [
        ("$.nextId", f"expected a whole number, given {given}"),
        ("$.tree.Children[1].id", f"expected a whole number, given {given}"),
        (f"{CHILD}.F", f"field F: expected a finite Float, given {given}"),
    ]


def test_such_a_number_is_found_in_schemas_and_beside_keys_that_stand_twice() -> None:
    default = {"entityType": "T", "fields": [{"name": "F", "dataType": "Int", "default": "@"}]}
    twice = '"x":1,"x":2,'
    whole = json.dumps({"schemas": [default], "tree": ROOT}).replace('"@"', "1e400")
    (found,) = problems(whole)
    assert found[0] == "$.schemas[0].fields[0].default"
    assert found[1].endswith("given 1e400")
    assert found in problems("{" + twice + whole[1:])


@pytest.mark.parametrize("kind", Kind)
def test_it_fits_no_kind(kind: Kind) -> None:
    schema = {"entityType": "K", "fields": [{"name": "F", "dataType": kind, "choices": ["a"] * (kind is Kind.Choice)}]}
    for value in ("1e400", "[1e400]"):
        child = {"entityType": "K", "Name": "a", "F": "@"}
        whole = json.dumps({"schemas": [schema], "tree": {**ROOT, "Children": [child]}}).replace('"@"', value)
        (found,) = problems(whole)
        assert found[0].startswith(f"{CHILD}.F")
