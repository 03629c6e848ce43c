"""The types of a document: what is read, every problem with its path, all of them at once, hostile ones too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import Problem
from qcore.model.documents.schemas import DocumentSchemas, known_keys, shown
from qcore.model.schema import EntitySchema, FieldSchema, Types
from qcore.model.values import Kind

PREFIX = "$.schemas[0]"
FIELD = f"{PREFIX}.fields[0]"


class Read:
    """What was read of a list of schemas, and its problems as path and message."""

    def __init__(self, value: Any) -> None:
        found: list[Problem] = []
        schemas = DocumentSchemas(found)
        self.schemas = schemas.read(value)
        self.unsure = schemas.unsure
        self.problems = [(problem.path, problem.message) for problem in found]


def type_of(name: str, *inherits: str, fields: Any = ()) -> dict[str, Any]:
    return {"entityType": name, "inheritsFrom": list(inherits), "fields": list(fields)}


def read_field(**keys: Any) -> FieldSchema:
    read = Read([type_of("T", fields=[{"name": "F", **keys}])])
    assert read.problems == []
    (schema,) = read.schemas
    return schema.fields[0]


def problem(value: Any) -> tuple[str, str]:
    (only,) = Read(value).problems
    return only


def field_problem(**keys: Any) -> tuple[str, str]:
    path, message = problem([type_of("T", fields=[{"name": "F", "dataType": "Int", **keys}])])
    assert path.startswith(FIELD)
    return path.removeprefix(FIELD), message


# -- what is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, []])
def test_there_may_be_no_types(value: Any) -> None:
    read = Read(value)
    assert (read.schemas, read.problems, read.unsure) == ([], [], set())


def test_a_type_needs_nothing_but_its_name() -> None:
    read = Read([{"entityType": "T"}, {"entityType": "U", "inheritsFrom": None, "fields": None}])
    assert read.schemas == [EntitySchema("T"), EntitySchema("U")]
    assert read.problems == []


def test_types_are_read_in_any_order() -> None:
    read = Read([type_of("A", "B", "C"), type_of("B", "C"), type_of("C", "Object"), type_of("Root", "A")])
    assert [schema.entity_type for schema in read.schemas] == ["A", "B", "C", "Root"]
    assert read.problems == []
    Types().with_schemas(read.schemas)


def test_a_field_needs_nothing_but_name_and_kind() -> None:
    assert read_field(dataType="Int") == FieldSchema("F", Kind.Int, None, 0, [], "Configuration")
    read = Read([type_of("T", fields=[{"name": name, "dataType": "Bool"} for name in "cab"])])
    assert [(field.name, field.rank) for field in read.schemas[0].fields] == [("c", 0), ("a", 1), ("b", 2)]


def test_a_field_may_say_everything() -> None:
    field = read_field(dataType="Choice", default="b", rank=-7, choices=["a", "b"], storageScope="Runtime")
    assert field == FieldSchema("F", Kind.Choice, "b", -7, ["a", "b"], "Runtime")


@pytest.mark.parametrize(
    ("kind", "default", "stored"),
    [
        ("Timestamp", 1.5, "1970-01-01T00:00:01.5Z"),
        ("Timestamp", "1970-01-01T00:00:01.5Z", "1970-01-01T00:00:01.5Z"),
        ("Blob", [0, 255], "AP8="),
        ("Blob", "AP8=", "AP8="),
        ("Int", "7", 7),
        ("Float", 3, 3.0),
        ("Bool", "true", True),
        ("String", "__hashpw__(x)", "__hashpw__(x)"),
        ("String", "\\__hashpw__(x)", "\\__hashpw__(x)"),
        ("EntityReference", None, None),
        ("EntityList", [], []),
    ],
)
def test_a_default_takes_the_forms_of_a_document(kind: str, default: Any, stored: Any) -> None:
    field = read_field(dataType=kind, default=default)
    types = Types().with_schemas([EntitySchema("T", [], [field])])
    assert types.get("T").fields[0].default == stored


def test_a_choice_takes_an_index_as_its_default() -> None:
    field = read_field(dataType="Choice", default=1, choices=["a", "b"])
    assert Types().with_schemas([EntitySchema("T", [], [field])]).get("T").fields[0].default == "b"


@given(st.permutations(["Base", "Leaf", "A", "Root"]))
def test_what_the_store_writes_is_read_as_the_same(order: list[str]) -> None:
    types = Types().with_schemas(
        [
            EntitySchema(
                "Base",
                [],
                [FieldSchema(f"F{kind}", kind, choices=["x"] if kind is Kind.Choice else []) for kind in Kind],
            ),
            EntitySchema(
                "Leaf", ["Base"], [FieldSchema("id", Kind.Timestamp, -1, rank=-(2**31), storage_scope="Runtime")]
            ),
            EntitySchema(
                "A", ["Leaf", "Base"], [FieldSchema("Name", Kind.String), FieldSchema("FInt", Kind.Int, 2**63 - 1)]
            ),
            EntitySchema("Root", ["Leaf"], [FieldSchema("F", Kind.Float, -0.0, rank=2**31 - 1)]),
        ]
    )
    read = Read([msgspec.to_builtins(types.get(name)) for name in order])
    assert read.problems == []
    again = Types().with_schemas(read.schemas)
    assert repr([again.get(name) for name in order]) == repr([types.get(name) for name in order])


# -- problems of form --------------------------------------------------------------------------------------

UNKNOWN = "unknown key; expected "


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({}, "$.schemas", "expected a list, given an object"),
        ("x", "$.schemas", "expected a list, given 'x'"),
        (False, "$.schemas", "expected a list, given False"),
        (["x"], PREFIX, "expected an object, given 'x'"),
        ([[]], PREFIX, "expected an object, given a list"),
        ([None], PREFIX, "expected an object, given None"),
        ([{}], PREFIX, "entityType is missing"),
        ([{"entityType": 5}], f"{PREFIX}.entityType", "expected text, given 5"),
        ([{"entityType": None}], f"{PREFIX}.entityType", "expected text, given None"),
        (
            [{"entityType": "T", "entity_type": "T"}],
            f"{PREFIX}.entity_type",
            UNKNOWN + "entityType, inheritsFrom, fields",
        ),
        ([{"entityType": "T", "a b": 1}], f'{PREFIX}["a b"]', UNKNOWN + "entityType, inheritsFrom, fields"),
        ([{"entityType": "T", "inheritsFrom": "Object"}], f"{PREFIX}.inheritsFrom", "expected a list, given 'Object'"),
        ([{"entityType": "T", "inheritsFrom": ["Object", 5]}], f"{PREFIX}.inheritsFrom[1]", "expected text, given 5"),
        ([{"entityType": "T", "fields": {}}], f"{PREFIX}.fields", "expected a list, given an object"),
        ([{"entityType": "T", "fields": [5]}], FIELD, "expected an object, given 5"),
    ],
)
def test_a_type_of_the_wrong_form(value: Any, path: str, message: str) -> None:
    assert problem(value) == (path, message)


KINDS = "Blob, Bool, Choice, EntityList, EntityReference, Float, Int, String, Timestamp"


@pytest.mark.parametrize(
    ("keys", "step", "message"),
    [
        ({"name": 5}, ".name", "expected text, given 5"),
        ({"dataType": None}, ".dataType", "expected text, given None"),
        ({"dataType": "Integer"}, ".dataType", f"expected one of {KINDS}, given 'Integer'"),
        ({"dataType": "int"}, ".dataType", f"expected one of {KINDS}, given 'int'"),
        ({"rank": "1"}, ".rank", "expected a whole number, given '1'"),
        ({"rank": 1.0}, ".rank", "expected a whole number, given 1.0"),
        ({"rank": True}, ".rank", "expected a whole number, given True"),
        ({"choices": "a"}, ".choices", "expected a list, given 'a'"),
        ({"choices": [1]}, ".choices[0]", "expected text, given 1"),
        ({"storageScope": "runtime"}, ".storageScope", "expected Configuration or Runtime, given 'runtime'"),
        ({"storageScope": None}, ".storageScope", "expected Configuration or Runtime, given None"),
        ({"storageScope": []}, ".storageScope", "expected Configuration or Runtime, given a list"),
        ({"Default": 5}, ".Default", UNKNOWN + "name, dataType, default, rank, choices, storageScope"),
    ],
)
def test_a_field_of_the_wrong_form(keys: Any, step: str, message: str) -> None:
    assert field_problem(**keys) == (step, message)


@pytest.mark.parametrize("key", ["name", "dataType"])
def test_a_field_without_what_it_needs(key: str) -> None:
    field = {"name": "F", "dataType": "Int"}
    del field[key]
    assert problem([type_of("T", fields=[field])]) == (FIELD, f"{key} is missing")


# -- problems of sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "step", "words"),
    [
        (type_of("9"), ".entityType", "type name '9': expected letters, digits and _, no digit first"),
        (type_of(""), ".entityType", "type name ''"),
        (type_of("a" * 256), ".entityType", "at most 255 characters, 256 given"),
        (type_of("Object"), ".entityType", "the built-in type Object cannot be changed"),
        (type_of("T", "Root"), ".inheritsFrom", "type T cannot inherit Root"),
        (type_of("T", "Object", "Object"), ".inheritsFrom", "type T names a parent twice: Object, Object"),
        (type_of("T", "Object", "Usr"), ".inheritsFrom[1]", "type T inherits the unknown type 'Usr'"),
        (type_of("T", "T"), ".inheritsFrom", "types inherit each other: T -> T"),
    ],
)
def test_a_type_that_cannot_be(schema: Any, step: str, words: str) -> None:
    path, message = problem([schema])
    assert path == PREFIX + step
    assert words in message


@pytest.mark.parametrize(
    ("keys", "step", "words"),
    [
        ({"name": "a b"}, ".name", "field name 'a b' of type T: expected letters, digits and _"),
        ({"name": ""}, ".name", "field name ''"),
        ({"name": "in"}, ".name", "the name in is reserved"),
        ({"name": "EntityId"}, ".name", "the name EntityId is reserved"),
        ({"name": "Name"}, ".dataType", "field T.Name is built in as String, not Int"),
        ({"name": "Children", "dataType": "String"}, ".dataType", "built in as EntityList, not String"),
        ({"rank": 2**31}, ".rank", "a rank is a 32-bit number, 2147483648 given"),
        ({"choices": ["a"]}, ".choices", "only a Choice has labels, this is a Int"),
        ({"dataType": "Choice"}, ".choices", "a Choice needs at least one label"),
        (
            {"dataType": "Choice", "choices": ["a", "a"]},
            ".choices",
            "labels are different and not empty, given ['a', 'a']",
        ),
        ({"dataType": "Choice", "choices": [""]}, ".choices", "labels are different and not empty"),
        ({"dataType": "Choice", "choices": ["a"], "default": "b"}, ".default", "expected one of the labels a"),
        ({"default": "x"}, ".default", "expected an Int (signed 64-bit), given 'x'"),
        ({"default": 2**63}, ".default", "expected an Int (signed 64-bit)"),
        ({"default": [[1]]}, ".default", "given a nested one"),
        ({"default": {}}, ".default", "given a nested one"),
        (
            {"dataType": "Timestamp", "default": "5"},
            ".default",
            "expected a Timestamp (RFC 3339, or seconds since 1970",
        ),
        ({"dataType": "Blob", "default": [256]}, ".default", "a Blob as a list has numbers 0..255 only"),
        ({"dataType": "EntityReference", "default": 1}, ".default", "a default cannot refer to an entity"),
        ({"dataType": "EntityList", "default": ["/Root"]}, ".default", "a default cannot refer to an entity"),
    ],
)
def test_a_field_that_cannot_be(keys: Any, step: str, words: str) -> None:
    path, message = field_problem(**keys)
    assert path == step
    assert words in message


def test_what_is_given_twice_names_the_first() -> None:
    assert problem([type_of("T"), type_of("U"), type_of("T")]) == (
        "$.schemas[2].entityType",
        "type T is given twice, first at $.schemas[0]",
    )
    fields = [{"name": name, "dataType": "Int"} for name in "aba"]
    assert problem([type_of("T", fields=fields)]) == (f"{PREFIX}.fields[2].name", "type T has the field a twice")


# -- rings -------------------------------------------------------------------------------------------------


def test_a_ring_is_named_from_its_first_type_on() -> None:
    read = Read([type_of("X", "C"), type_of("B", "A"), type_of("C", "B"), type_of("A", "C", "Object"), type_of("Y")])
    assert read.problems == [("$.schemas[1].inheritsFrom", "types inherit each other: B -> A -> C -> B")]
    assert read.unsure == {"A", "B", "C"}
    Types().with_schemas(read.schemas)


def test_every_ring_is_found() -> None:
    read = Read(
        [type_of("A", "B", "A"), type_of("B", "C", "A"), type_of("C", "B"), type_of("P", "Q"), type_of("Q", "P")]
    )
    assert sorted(message.removeprefix("types inherit each other: ") for _, message in read.problems) == [
        "A -> A",
        "A -> B -> A",
        "B -> C -> B",
        "P -> Q -> P",
    ]
    Types().with_schemas(read.schemas)


@given(st.lists(st.lists(st.integers(0, 7), max_size=4, unique=True), min_size=8, max_size=8))
def test_without_what_closes_rings_any_types_can_be_set(parents: list[list[int]]) -> None:
    read = Read([type_of(f"T{place}", *(f"T{parent}" for parent in above)) for place, above in enumerate(parents)])
    types = Types().with_schemas(read.schemas)
    reaches = {place: {place} for place in range(8)}
    for _ in range(8):
        reaches = {place: {place}.union(*(reaches[parent] for parent in parents[place])) for place in range(8)}
    in_rings = {place for place in range(8) if any(place in reaches[parent] for parent in parents[place])}
    assert bool(read.problems) == bool(in_rings)
    assert {f"T{place}" for place in in_rings} >= read.unsure
    if not in_rings:
        assert all(types.get(f"T{n}").inherits_from == ([f"T{p}" for p in parents[n]] or ["Object"]) for n in range(8))


def test_a_ring_of_fifty_thousand_types_is_one_problem() -> None:
    many = 50_000
    read = Read([type_of(f"T{place}", f"T{(place + 1) % many}") for place in range(many)])
    ring, size = read.problems
    assert ring[0] == "$.schemas[0].inheritsFrom"
    assert ring[1].endswith(
        "T0 -> T1 -> T2 -> T3 -> T4 -> T5 -> " + " -> ".join(f"T{n}" for n in range(6, 20)) + " -> ... -> T0"
    )
    assert size == ("$.schemas", "all types, each with what it inherits, have at most 250000 fields and ancestors")
    assert len(read.unsure) == many


def test_after_a_hundred_rings_the_rest_is_not_looked_for() -> None:
    read = Read([type_of(f"T{place}", f"T{place ^ 1}") for place in range(20_000)])
    assert len(read.problems) == 101
    assert read.problems[-1] == ("$.schemas", "more than 100 rings of types that inherit each other")
    assert read.unsure == {f"T{place}" for place in range(20_000)}


# -- all at once -------------------------------------------------------------------------------------------


def test_all_problems_are_found_at_once_in_the_order_of_the_text() -> None:
    fields = [
        {"name": "a", "dataType": "Choice", "rank": 2**31, "choices": ["x", "x"]},
        {"name": "b", "dataType": "Int", "rank": "x", "storageScope": "y", "other": 1, "default": []},
        {"name": "b", "dataType": "Number"},
        {"dataType": "Int"},
        7,
    ]
    first = {"entityType": "T", "inheritsFrom": ["Usr", 5], "fields": fields}
    paths = [path for path, _ in Read([first, {"entityType": "9", "fields": 1}]).problems]
    assert paths == [
        "$.schemas[0].inheritsFrom[1]",
        "$.schemas[0].fields[0].rank",
        "$.schemas[0].fields[0].choices",
        "$.schemas[0].fields[1].other",
        "$.schemas[0].fields[1].rank",
        "$.schemas[0].fields[1].storageScope",
        "$.schemas[0].fields[1].default",
        "$.schemas[0].fields[2].dataType",
        "$.schemas[0].fields[3]",
        "$.schemas[0].fields[4]",
        "$.schemas[1].fields",
        "$.schemas[1].entityType",
        "$.schemas[0].inheritsFrom[0]",
    ]


def test_what_follows_from_a_problem_is_no_problem() -> None:
    read = Read(
        [type_of("Bad", fields=[{"name": "F", "dataType": "?"}]), type_of("9"), type_of("T", "9"), type_of("U", "Bad")]
    )
    assert [path for path, _ in read.problems] == ["$.schemas[0].fields[0].dataType", "$.schemas[1].entityType"]
    assert read.unsure == {"Bad", "9", "T"}
    assert [schema.entity_type for schema in read.schemas] == ["Bad", "T", "U"]


def test_ten_thousand_problems_are_all_found() -> None:
    read = Read([type_of("T", fields=[{"name": "F", "dataType": "?"}] * 10_000)])
    assert [path for path, _ in read.problems] == [f"{PREFIX}.fields[{place}].dataType" for place in range(10_000)]


def test_a_nested_value_is_no_danger_where_it_does_not_belong() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    keys = dict.fromkeys(("name", "dataType", "default", "rank", "storageScope"), deep)
    read = Read(
        [
            {
                "entityType": deep,
                "inheritsFrom": [deep],
                "fields": [keys, {"name": "F", "dataType": "Int", "default": deep}],
            }
        ]
    )
    assert [path for path, _ in read.problems] == [
        f"{PREFIX}.entityType",
        f"{PREFIX}.inheritsFrom[0]",
        *(f"{FIELD}.{key}" for key in ("name", "dataType", "rank", "storageScope")),
        f"{PREFIX}.fields[1].default",
    ]


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [([], "a list"), ({}, "an object"), ("a", "'a'"), (5, "5"), (None, "None"), ("a" * 100, "'" + "a" * 76 + "...")],
)
def test_a_value_is_quoted_briefly(value: Any, text: str) -> None:
    assert shown(value) == text


def test_known_keys_are_kept_and_others_noted() -> None:
    problems: list[Problem] = []
    assert known_keys({"b": 1, "c": 2, "a": 3}, "$.x", ("a", "b"), problems) == {"a": 3, "b": 1}
    assert problems == [Problem("$.x.c", "unknown key; expected a, b")]
