"""Schemas: inheritance, order, what is refused and by what words, and what a careless client could send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadSchema, Cycle, InUse, NotFound, RequestError, TooLarge
from qcore.model.schema import (
    BUILTIN,
    MAINTAINED,
    MAX_COMPLETE,
    EntitySchema,
    FieldSchema,
    Types,
    check_schema,
    fits_maintained,
)
from qcore.model.values import Kind


def schema(name: str, /, *parents: str, **ints: int) -> EntitySchema:
    """A type with Int fields by keyword; their defaults tell them apart."""
    return with_fields(
        name, *(FieldSchema(field, Kind.Int, default) for field, default in ints.items()), inherits=parents
    )


def with_fields(name: str, *fields: FieldSchema, inherits: Sequence[str] = ()) -> EntitySchema:
    return EntitySchema(name, list(inherits), list(fields))


def one(**options: Any) -> EntitySchema:
    """A type with one field `F`, an Int unless told otherwise."""
    return with_fields("T", FieldSchema(**({"name": "F", "data_type": Kind.Int} | options)))


def defaults(types: Types, name: str) -> dict[str, Any]:
    return {field.name: field.default for field in types.of(name).slots if field.name not in MAINTAINED}


def refusal(*schemas: EntitySchema) -> str:
    with pytest.raises(BadSchema) as caught:
        Types().with_schemas(schemas)
    return caught.value.message


# -- built in ----------------------------------------------------------------------------------------------


def test_object_and_root_are_built_in() -> None:
    types = Types()
    assert types.names() == ["Object", "Root"]
    assert [(field.name, field.kind) for field in types.of("Root").fields] == [
        ("Name", Kind.String),
        ("Parent", Kind.EntityReference),
        ("Children", Kind.EntityList),
    ]
    assert types.of("Root").ancestors == {"Root", "Object"}


def test_every_type_inherits_object_directly_or_not() -> None:
    types = Types().with_schemas([schema("A"), schema("B", "A"), schema("C", "Object")])
    assert all("Object" in types.of(name).ancestors for name in types.names())
    assert types.get("A").inherits_from == ["Object"]
    assert types.get("B").inherits_from == ["A"]


def test_name_parent_and_children_have_the_first_slots_of_every_type() -> None:
    types = Types().with_schemas([schema("A", Aardvark=1), schema("B", "A", Zebra=2)])
    for name in types.names():
        assert tuple(field.name for field in types.of(name).slots[:3]) == MAINTAINED
        assert [field.slot for field in types.of(name).slots] == list(range(len(types.of(name).slots)))


def test_object_cannot_be_changed() -> None:
    assert refusal(schema("Object", Extra=1)) == "the built-in type Object cannot be changed"


def test_root_may_be_given_fields() -> None:
    types = Types().with_schemas([schema("Root", Site=1)])
    assert defaults(types, "Root") == {"Site": 1}


def test_nothing_inherits_root_because_there_is_one_root() -> None:
    assert refusal(schema("Base", "Root")) == "type Base cannot inherit Root: there is one Root and no other"


@pytest.mark.parametrize("name", ["Object", "Root"])
def test_built_in_types_cannot_be_deleted(name: str) -> None:
    with pytest.raises(InUse, match=f"type {name} is built in"):
        Types().without(name)


def test_setting_types_leaves_the_types_before_as_they_were() -> None:
    before = Types()
    before.with_schemas([schema("A"), schema("Root", Site=1)])
    assert before.names() == ["Object", "Root"]
    assert defaults(before, "Root") == {}
    assert BUILTIN["Root"].fields == []


@pytest.mark.parametrize("name", MAINTAINED)
def test_a_maintained_field_keeps_its_kind(name: str) -> None:
    kinds = {"Name": Kind.String, "Parent": Kind.EntityReference, "Children": Kind.EntityList}
    for kind in Kind:
        field = FieldSchema(name, kind, None, None, ["x"] if kind is Kind.Choice else [])
        assert fits_maintained(field) is (kind is kinds[name])
        if kind is not kinds[name]:
            assert refusal(with_fields("T", field)) == f"field T.{name} is built in as {kinds[name]}, not {kind}"


def test_a_complete_schema_may_be_set_as_an_own_one() -> None:
    types = Types().with_schemas([schema("A", X=1), schema("B", "A", Y=2)])
    complete = types.of("B").as_schema(types.own["B"])
    again = types.with_schemas([complete])
    assert defaults(again, "B") == defaults(types, "B")
    assert [field.name for field in again.of("B").fields] == [field.name for field in types.of("B").fields]


# -- inheritance -------------------------------------------------------------------------------------------


def test_own_fields_come_first_then_those_of_the_parents_breadth_first_in_listed_order() -> None:
    types = Types().with_schemas(
        [
            schema("Left", "LeftTop", l=1),
            schema("Right", "RightTop", r=1),
            schema("LeftTop", lt=1),
            schema("RightTop", rt=1),
            schema("Both", "Right", "Left", own=1),
        ]
    )
    assert list(defaults(types, "Both")) == ["own", "r", "l", "rt", "lt"]
    assert [types.of("Both").field(name).origin for name in ("own", "r", "l", "rt", "lt", "Name")] == [
        "Both",
        "Right",
        "Left",
        "RightTop",
        "LeftTop",
        "Object",
    ]


def test_a_name_already_present_is_never_replaced() -> None:
    types = Types().with_schemas(
        [schema("A", x=1, y=1, z=1), schema("B", x=2, y=2, w=2), schema("C", "A", "B", x=3), schema("D", "B", "A")]
    )
    assert defaults(types, "C") == {"x": 3, "y": 1, "z": 1, "w": 2}
    assert defaults(types, "D") == {"x": 2, "y": 2, "w": 2, "z": 1}


def test_breadth_goes_before_depth() -> None:
    types = Types().with_schemas([schema("Deep", x=1), schema("A", "Deep"), schema("B", x=2), schema("C", "A", "B")])
    assert defaults(types, "C") == {"x": 2}


def test_a_field_may_be_shadowed_with_another_kind() -> None:
    text = FieldSchema("x", Kind.String, "s")
    types = Types().with_schemas([schema("A", x=1), with_fields("B", text, inherits=["A"])])
    assert types.of("B").field("x").kind is Kind.String
    assert types.of("A").field("x").kind is Kind.Int


def test_a_diamond_brings_its_top_once() -> None:
    types = Types().with_schemas(
        [schema("Top", x=1), schema("A", "Top", y=1), schema("B", "Top", y=2), schema("C", "A", "B")]
    )
    assert defaults(types, "C") == {"y": 1, "x": 1}
    assert types.of("C").ancestors == {"A", "B", "C", "Object", "Top"}
    assert types.descendants["Top"] == ["A", "B", "C", "Top"]


def test_parents_may_be_given_after_their_heirs() -> None:
    types = Types().with_schemas([schema("C", "B"), schema("B", "A"), schema("A", x=1)])
    assert defaults(types, "C") == {"x": 1}


def test_a_change_reaches_every_descendant() -> None:
    types = Types().with_schemas([schema("A", x=1), schema("B", "A"), schema("C", "B")])
    changed = types.with_schemas([schema("A", y=2)])
    assert defaults(changed, "C") == {"y": 2}
    assert defaults(types, "C") == {"x": 1}


def test_complete_schemas_that_did_not_change_stay_the_same_objects() -> None:
    types = Types().with_schemas([schema("A", x=1), schema("B", "A"), schema("Other")])
    changed = types.with_schemas([schema("A", x=2), schema("Other")])
    assert changed.of("Other") is types.of("Other")
    assert changed.of("Root") is types.of("Root")
    assert changed.of("A") is not types.of("A")
    assert changed.of("B") is not types.of("B")
    assert types.with_schemas([schema("New")]).of("B") is types.of("B")
    assert types.with_schemas([schema("B", "A", "Object")]).of("B") is types.of("B")


@pytest.mark.parametrize(
    "schemas",
    [
        [schema("A", "A")],
        [schema("A", "B"), schema("B", "A")],
        [schema("A", "B"), schema("B", "C"), schema("C", "A")],
        [schema("A", "Object", "B"), schema("B", "Object", "A")],
        [schema("Heir", "A"), schema("A", "B"), schema("B", "A")],
    ],
)
def test_types_that_inherit_each_other_are_refused(schemas: list[EntitySchema]) -> None:
    with pytest.raises(Cycle, match="would inherit itself through"):
        Types().with_schemas(schemas)


def test_a_cycle_closed_by_a_later_change_is_refused() -> None:
    types = Types().with_schemas([schema("A"), schema("B", "A"), schema("C", "B")])
    with pytest.raises(Cycle):
        types.with_schemas([schema("A", "C")])


def test_root_cannot_inherit_its_heirs_in_a_circle() -> None:
    with pytest.raises((Cycle, BadSchema)):
        Types().with_schemas([schema("Root", "A"), schema("A", "Root")])


def test_an_unknown_parent_is_named() -> None:
    assert refusal(schema("A", "Ghost")) == "type A inherits the unknown type 'Ghost'"


def test_a_parent_named_twice_is_refused() -> None:
    assert refusal(schema("B"), schema("A", "B", "B")) == "type A names a parent twice: B, B"


def test_a_type_given_twice_is_refused() -> None:
    assert refusal(schema("A"), schema("A", x=1)) == "type A is given twice"


def test_a_type_that_is_inherited_cannot_be_deleted() -> None:
    types = Types().with_schemas([schema("A"), schema("B", "A"), schema("C", "B")])
    with pytest.raises(InUse, match="type A is inherited by B, C"):
        types.without("A")
    assert types.without("C").without("B").without("A").names() == ["Object", "Root"]


@pytest.mark.parametrize("ask", [Types.of, Types.get, Types.without])
def test_an_unknown_type_is_named(ask: Any) -> None:
    with pytest.raises(NotFound, match="unknown type 'Ghost'"):
        ask(Types(), "Ghost")


def test_an_unknown_field_is_named_with_its_type() -> None:
    with pytest.raises(NotFound, match="type Root has no field 'Ghost'"):
        Types().of("Root").field("Ghost")


# -- order -------------------------------------------------------------------------------------------------


def test_fields_are_listed_by_rank_and_name() -> None:
    fields = [FieldSchema(name, Kind.Int, None, rank) for name, rank in (("d", 5), ("c", -1), ("b", 5), ("a", 9))]
    types = Types().with_schemas([with_fields("T", *fields)])
    assert [field.name for field in types.get("T").fields] == ["c", "b", "d", "a"]
    assert [field.name for field in types.of("T").fields] == ["c", "Name", "Parent", "Children", "b", "d", "a"]
    listed = types.of("T").as_schema(types.own["T"])
    assert [field.name for field in listed.fields] == ["c", "Name", "Parent", "Children", "b", "d", "a"]


def test_a_rank_not_given_is_the_place_among_the_own_fields_and_given_ranks_stay() -> None:
    fields = [FieldSchema("a", Kind.Int), FieldSchema("b", Kind.Int, None, 70), FieldSchema("c", Kind.Int)]
    assert [field.rank for field in check_schema(with_fields("T", *fields)).fields] == [0, 70, 2]


@pytest.mark.parametrize("rank", [-(2**31) - 1, 2**31, 10**30])
def test_a_rank_is_a_32_bit_number(rank: int) -> None:
    assert refusal(one(rank=rank)) == f"field T.F: a rank is a 32-bit number, {rank} given"


# -- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "1A", "A B", "A-B", "A$", "ä", "A\n", "Ａ", "A->B"])
def test_type_and_field_names_are_letters_digits_and_underscores(name: str) -> None:
    assert f"type name {name!r}: expected letters, digits and _" in refusal(schema(name))
    assert f"field name {name!r} of type T: expected letters, digits and _" in refusal(one(name=name))


def test_names_are_not_longer_than_255_characters() -> None:
    Types().with_schemas([schema("T" * 255, **{"F" * 255: 1})])
    assert refusal(schema("T" * 256)) == f"type name {'T' * 20}...: at most 255 characters, 256 given"
    assert refusal(one(name="F" * 256)) == f"field name {'F' * 20}... of type T: at most 255 characters, 256 given"


@pytest.mark.parametrize("name", ["true", "false", "null", "in", "EntityId", "EntityType"])
def test_words_of_the_filter_language_are_no_field_names(name: str) -> None:
    assert refusal(one(name=name)) == f"field T.{name}: the name {name} is reserved"


def test_names_are_case_sensitive() -> None:
    types = Types().with_schemas([schema("t", f=1, F=2), schema("T", name=1, True_=2)])
    assert defaults(types, "t") == {"f": 1, "F": 2}
    assert defaults(types, "T") == {"name": 1, "True_": 2}


def test_a_field_given_twice_is_refused() -> None:
    twice = [FieldSchema("F", Kind.Int), FieldSchema("F", Kind.Int)]
    assert refusal(with_fields("T", *twice)) == "type T has the field F twice"


# -- labels and defaults -----------------------------------------------------------------------------------


def test_a_choice_needs_labels() -> None:
    assert refusal(one(data_type=Kind.Choice)) == "field T.F: a Choice needs at least one label"


@pytest.mark.parametrize("labels", [["a", "a"], [""], ["a", ""]])
def test_labels_are_different_and_not_empty(labels: list[str]) -> None:
    assert refusal(one(data_type=Kind.Choice, choices=labels)) == (
        f"field T.F: labels are different and not empty, given {labels}"
    )


def test_only_a_choice_has_labels() -> None:
    assert refusal(one(choices=["a"])) == "field T.F: only a Choice has labels, this is a Int"


@pytest.mark.parametrize(
    ("kind", "given", "normal"),
    [
        (Kind.Blob, None, ""),
        (Kind.Blob, "YQ==", "YQ=="),
        (Kind.Bool, None, False),
        (Kind.Bool, "1", True),
        (Kind.Choice, None, "Low"),
        (Kind.Choice, "High", "High"),
        (Kind.Choice, 1, "High"),
        (Kind.EntityList, None, []),
        (Kind.EntityList, "[]", []),
        (Kind.EntityReference, None, None),
        (Kind.EntityReference, "null", None),
        (Kind.Float, None, 0.0),
        (Kind.Float, 5, 5.0),
        (Kind.Float, "2.5", 2.5),
        (Kind.Int, None, 0),
        (Kind.Int, "42", 42),
        (Kind.String, None, ""),
        (Kind.String, "42", "42"),
        (Kind.Timestamp, None, "1970-01-01T00:00:00Z"),
        (Kind.Timestamp, 1, "1970-01-01T00:00:00.000000001Z"),
        (Kind.Timestamp, "1970-01-01T02:00:00+02:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_default_is_kept_in_the_form_in_which_it_would_be_read(kind: Kind, given: Any, normal: Any) -> None:
    labels = ["Low", "High"] if kind is Kind.Choice else []
    (field,) = check_schema(one(data_type=kind, default=given, choices=labels)).fields
    assert field.default == normal
    assert type(field.default) is type(normal)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Kind.Int, "x", "expected an Int (signed 64-bit), given 'x'"),
        (Kind.Int, 2**63, "expected an Int (signed 64-bit), given 9223372036854775808"),
        (Kind.Bool, 1, "expected a Bool"),
        (Kind.Float, "nan", "expected a finite Float, given 'nan'"),
        (Kind.Choice, "Ghost", "expected one of the labels Low, High or an index 0..1, given 'Ghost'"),
        (Kind.Choice, 2, "index 0..1, given 2"),
        (Kind.EntityReference, 1, "given 1 (a default cannot refer to an entity)"),
        (Kind.EntityReference, "/Root", "given '/Root' (a default cannot refer to an entity)"),
        (Kind.EntityList, [1], "given 1 (a default cannot refer to an entity)"),
    ],
)
def test_a_default_that_does_not_fit_is_refused(kind: Kind, given: Any, said: str) -> None:
    labels = ["Low", "High"] if kind is Kind.Choice else []
    message = refusal(one(data_type=kind, default=given, choices=labels))
    assert message.startswith("field T.F: the default does not fit: field F: expected ")
    assert said in message


def test_a_default_of_which_only_the_sign_changes_is_another_one() -> None:
    types = Types().with_schemas([one(data_type=Kind.Float, default=0.0), schema("Heir", "T")])
    types = types.with_schemas([one(data_type=Kind.Float, default=-0.0)])
    assert [str(types.of(name).field("F").default) for name in ("T", "Heir")] == ["-0.0", "-0.0"]


def test_checking_a_schema_does_not_change_what_was_given() -> None:
    given = with_fields("T", FieldSchema("F", Kind.Float, "5"))
    check_schema(given)
    assert given == with_fields("T", FieldSchema("F", Kind.Float, "5"))


# -- hostile sizes -----------------------------------------------------------------------------------------


def test_a_chain_of_types_that_would_fill_the_memory_is_refused() -> None:
    chain = [schema("T0"), *(schema(f"T{place}", f"T{place - 1}") for place in range(1, 3000))]
    with pytest.raises(TooLarge, match=f"all types, each with what it inherits, have at most {MAX_COMPLETE}"):
        Types().with_schemas(chain)


def test_wide_types_with_many_heirs_are_refused_before_they_fill_the_memory() -> None:
    wide = schema("Wide", **{f"f{place}": place for place in range(2000)})
    with pytest.raises(TooLarge, match=f"at most {MAX_COMPLETE}"):
        Types().with_schemas([wide, *(schema(f"T{place}", "Wide") for place in range(2000))])


def test_many_parents_are_no_burden() -> None:
    many = [schema(f"P{place}", x=place) for place in range(20_000)]
    types = Types().with_schemas([*many, schema("T", *(parent.entity_type for parent in many))])
    assert defaults(types, "T") == {"x": 0}


# -- any set of types --------------------------------------------------------------------------------------

NAMES = ["A", "B", "C", "D", "E"]
ANY_SCHEMAS = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(
        st.lists(st.sampled_from([*NAMES, "Object"]), unique=True, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(0, 9), max_size=3),
    ),
    min_size=1,
)


def expected_defaults(given: dict[str, tuple[list[str], dict[str, int]]], name: str) -> dict[str, int]:
    """Breadth first by hand: level after level of the parents, the first to bring a name wins."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    level = [name]
    while level:
        below: list[str] = []
        for current in level:
            if current not in seen and current in given:
                seen.add(current)
                parents, fields = given[current]
                found = {**fields, **found}
                below.extend(parents)
        level = below
    return found


@given(ANY_SCHEMAS)
def test_inheritance_is_what_the_rule_says(given: dict[str, tuple[list[str], dict[str, int]]]) -> None:
    schemas = [schema(name, *parents, **fields) for name, (parents, fields) in given.items()]
    try:
        types = Types().with_schemas(schemas)
    except RequestError:
        return
    for name in given:
        assert defaults(types, name) == expected_defaults(given, name)
    assert types.names() == sorted([*given, "Object", "Root"])


@given(ANY_SCHEMAS, st.randoms())
def test_the_order_in_which_types_are_given_does_not_matter(
    given: dict[str, tuple[list[str], dict[str, int]]], random: Any
) -> None:
    schemas = [schema(name, *parents, **fields) for name, (parents, fields) in given.items()]
    shuffled = list(schemas)
    random.shuffle(shuffled)
    outcomes: list[Any] = []
    for order in (schemas, shuffled):
        try:
            types = Types().with_schemas(order)
        except RequestError as error:
            outcomes.append(error.message)
        else:
            outcomes.append({name: types.get(name) for name in types.names()})
    assert outcomes[0] == outcomes[1]


@given(ANY_SCHEMAS)
def test_types_set_one_after_another_are_those_set_together(
    given: dict[str, tuple[list[str], dict[str, int]]],
) -> None:
    schemas = [schema(name, *parents, **fields) for name, (parents, fields) in given.items()]
    try:
        together = Types().with_schemas(schemas)
    except RequestError:
        return
    after = Types().with_schemas([EntitySchema(name) for name in given])
    try:
        for each in schemas:
            after = after.with_schemas([each])
    except Cycle:
        return
    for name in together.names():
        assert after.of(name).equals(together.of(name))
        assert after.descendants[name] == together.descendants[name]


def test_heirs_share_what_may_be_long() -> None:
    """A default of megabytes that thousands of types inherit is there once, also after a change of another field."""
    data = FieldSchema("Data", Kind.Blob, "eHh4" * 1000)
    mood = FieldSchema("Mood", Kind.Choice, choices=[f"l{number}" for number in range(100)])
    types = Types().with_schemas([EntitySchema("Base", [], [data, mood]), EntitySchema("A", ["Base"])])
    later = types.with_schemas([EntitySchema("B", ["A"])])
    again = later.with_schemas([EntitySchema("Base", [], [data, mood, FieldSchema("Last", Kind.Int)])])
    fields = [each.of(name).by_name for each in (types, later, again) for name in ("Base", "A")] + [
        again.of("B").by_name
    ]
    assert len({id(each["Data"].default) for each in fields}) == 1
    assert len({id(each["Mood"].labels) for each in fields}) == 1
    assert [field.slot for field in again.of("B").slots] == list(range(6))
    assert [again.of("B").by_name[name].slot for name in ("Data", "Mood", "Last")] == [3, 4, 5]
