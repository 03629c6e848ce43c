"""Plans: what a restore would do and in which words, what it refuses; nothing is changed, and pauses are made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcore.model.documents.document import Document
from qcore.model.documents.password import hash_password
from qcore.model.documents.text import read_document
from qcore.model.errors import BadParams, BadValue, NotFound, RequestError, TooLarge
from qcore.model.ids import MAX_GIVEN_ID
from qcore.model.requests.restore import Password
from qcore.model.schema import EntitySchema
from qcore.model.values import Kind
from qcore.store.documents.plan import Plan, passwords, plan, planning, prepare
from qcore.store.state.state import State
from tests.store.document_samples import OTHER_SCHEMAS, SCHEMAS, Watched, random_store, stores, taken
from tests.store.samples import Log, dump, field, through, type_of

USER = type_of(
    "User",
    field("Age"),
    field("Boss", Kind.EntityReference),
    field("Team", Kind.EntityList),
    field("Secret", Kind.String),
    field("Level", Kind.Choice, choices=["Low", "High"]),
    field("Height", Kind.Float),
    field("Seen", Kind.Choice, choices=["On", "Off"], storage_scope="Runtime"),
)


def schema_json(schema: EntitySchema) -> dict[str, Any]:
    fields = [
        {
            "name": each.name,
            "dataType": each.data_type,
            "default": each.default,
            "choices": each.choices,
            "storageScope": each.storage_scope,
        }
        for each in schema.fields
    ]
    return {"entityType": schema.entity_type, "inheritsFrom": schema.inherits_from, "fields": fields}


def document(*children: dict[str, Any], types: tuple[EntitySchema, ...] = (USER,), **keys: Any) -> Document:
    root = {"entityType": "Root", "Name": "Root", **keys.pop("root", {}), "Children": list(children)}
    return read_document(json.dumps({"schemas": [schema_json(each) for each in types], "tree": root, **keys}))


def user(name: str, *children: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"entityType": "User", "Name": name, **fields, "Children": list(children)}


def lines(work: Plan) -> list[str]:
    return [str(line) for line in work.lines()]


# -- the lines ---------------------------------------------------------------------------------------------


def test_the_lines_stand_in_the_order_of_what_is_done() -> None:
    log = Log(USER, type_of("Old"))
    a, b = log.create("User", "a", Age=1, Secret="x"), log.create("User", "b")
    old = log.create("Old", "old", a)
    log.create("Old", "below", old)
    log.create("User", "c")
    wanted = document(user("b", user("new", Age=3)), user("a", Age=2), user("a"), types=(USER, type_of("New")))
    work = plan(log.state, wanted, prune=True)
    assert lines(work) == [
        "set type New",
        "delete type Old",
        "delete /Root/c (User)",
        "delete /Root/a/old (Old) and 1 below it",
        "create /Root/b/new (User)",
        "create /Root/a#2 (User)",
        "update /Root/a (User): Age; unset Secret",
        "move the children of /Root into the document's order",
    ]
    counts = {"set type": 1, "delete type": 1, "delete": 3, "create": 2, "update": 1, "move": 1}
    assert work.counts() == counts
    assert work.length == 8
    assert work.ids[:4] == [1, b, log.state.next_id, a]


def test_a_line_says_that_only_the_next_id_changes() -> None:
    work = plan(Log(USER).state, document(nextId=7))
    assert lines(work) == ["give out ids from 7 on"]
    assert (work.counts(), work.length, work.empty) == ({}, 1, False)
    created = document(user("a", id=3), nextId=7, root={"id": 1})
    assert lines(plan(Log(USER).state, created)) == ["create /Root/a (User)"]


@given(stores(), stores(OTHER_SCHEMAS) | stores(), st.booleans())
@example(random_store(SCHEMAS, 4, 822), Log(*SCHEMAS), False)  # nothing changes but `nextId`
@example(random_store(SCHEMAS, 4, 822), random_store(SCHEMAS, 0, 0), True)
def test_a_plan_counts_its_lines_and_changes_nothing(log: Log, other: Log, prune: bool) -> None:
    before = dump(other.state)
    work = plan(other.state, taken(log.state), prune=prune)
    found = list(work.lines())
    assert len(found) == work.length
    assert work.empty is not bool(found)
    assert sum(line.entities for line in found) == sum(work.counts().values())
    assert dump(other.state) == before


@given(stores(), st.booleans(), st.booleans())
def test_a_store_is_what_its_own_document_says(log: Log, prune: bool, ids: bool) -> None:
    if ids:
        assert plan(log.state, taken(log.state), prune=prune).empty
        assert plan(log.state, taken(log.state, runtime=True), prune=prune).empty


# -- types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        field("F", Kind.Float, 0.0),
        field("F", Kind.Float, 1.0),
        field("F", Kind.Float, -0.0, rank=1),
        field("F", Kind.Float, -0.0, storage_scope="Runtime"),
        field("F", Kind.Int, 0),
        field("G", Kind.Float, -0.0),
    ],
)
def test_a_type_that_differs_in_anything_is_set(changed: Any) -> None:
    log = Log(type_of("T", changed))
    wanted = document(types=(type_of("T", field("F", Kind.Float, -0.0)),))
    work = plan(log.state, wanted)
    assert work.set_types == ["T"]
    assert work.types is not None
    assert str(work.types.of("T").field("F").default) == "-0.0"
    assert plan(Log(*wanted.schemas).state, wanted).empty


def test_prune_sets_the_root_type_back_if_it_is_not_listed() -> None:
    log = Log(type_of("Root", field("Site", Kind.String)))
    assert plan(log.state, document(types=())).empty
    work = plan(log.state, document(types=()), prune=True)
    assert lines(work) == ["set type Root"]
    assert work.types is not None
    assert work.types.own["Root"].fields == []


def test_types_that_others_need_may_change_below_them() -> None:
    log = Log(type_of("Base"), type_of("Heir", inherits=["Base"]))
    work = plan(log.state, document(types=(type_of("Base", field("F")),)))
    assert work.types is not None
    assert work.types.of("Heir").field("F").origin == "Base"


# -- fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "written", "changes"),
    [
        ({"Age": 1}, {"Age": 1}, []),
        ({"Age": 1}, {"Age": "1"}, []),
        ({"Age": 0}, {}, [("Age", None)]),
        ({}, {"Age": 0}, [("Age", 0)]),
        ({"Height": 0.0}, {"Height": -0.0}, [("Height", -0.0)]),
        ({"Height": 3.0}, {"Height": 3}, []),
        ({"Level": "High"}, {"Level": 1}, []),
        ({"Boss": 1}, {"Boss": "/Root"}, []),
        ({"Boss": 1}, {"Boss": None}, [("Boss", 0)]),
        ({"Team": [1, 2]}, {"Team": ["/Root/a", 1]}, [("Team", (2, 1))]),
        ({"Team": []}, {"Team": []}, []),
        ({"Seen": "Off"}, {}, []),
        ({"Seen": "Off"}, {"Seen": "On"}, [("Seen", "On")]),
        ({"Secret": "\\__hashpw__(x)"}, {"Secret": "\\\\__hashpw__(x)"}, []),
    ],
)
def test_a_field_is_written_where_it_differs(stored: Any, written: Any, changes: Any) -> None:
    log = Log(USER)
    log.create("User", "a")
    for name, value in stored.items():
        log.set(2, name, value)
    work = plan(log.state, document(user("a", id=2, **written)))
    assert repr(work.writes) == repr({1: changes} if changes else {})


def test_a_runtime_value_goes_only_with_its_label() -> None:
    log = Log(USER)
    log.create("User", "a", Seen="Off", Level="High")
    narrow = type_of("User", field("Seen", Kind.Choice, choices=["On"], storage_scope="Runtime"))
    assert lines(plan(log.state, document(user("a"), types=(narrow,)))) == [
        "set type User",
        "update /Root/a (User): unset Seen",
    ]


def test_a_value_of_another_kind_is_none() -> None:
    log = Log(type_of("User", field("Age", Kind.String)))
    log.create("User", "a", Age="1")
    assert plan(log.state, document(user("a"))).writes == {}
    assert plan(log.state, document(user("a", Age=1))).writes == {1: [("Age", 1)]}


def test_the_root_is_renamed() -> None:
    assert lines(plan(State(), document(root={"Name": "Site"}, types=()))) == ["update /Site (Root): Name"]


# -- ids ---------------------------------------------------------------------------------------------------


def test_a_store_that_only_ever_held_its_root_takes_the_ids() -> None:
    work = plan(State(), document(user("a", id=9), user("b"), user("c", id=4), nextId=20))
    assert work.keeps_ids
    assert (work.ids, work.next_id) == ([1, 9, 20, 4], 21)


def test_any_other_store_gives_its_own() -> None:
    log = Log(USER)
    log.delete(log.create("User", "gone"))
    work = plan(log.state, document(user("a", id=9), user("b"), nextId=20))
    assert not work.keeps_ids
    assert (work.ids, work.next_id) == ([1, 3, 4], 5)


@pytest.mark.parametrize(("given_id", "next_id"), [(MAX_GIVEN_ID, None), (5, MAX_GIVEN_ID + 1)])
def test_a_document_that_leaves_no_ids_is_refused(given_id: int, next_id: int | None) -> None:
    keys: dict[str, Any] = {} if next_id is None else {"nextId": next_id}
    assert plan(State(), document(user("a", id=given_id), **keys)).next_id == MAX_GIVEN_ID + 1
    with pytest.raises(TooLarge, match=f"the store would run out of ids: they end at {MAX_GIVEN_ID}"):
        plan(State(), document(user("a", id=given_id), user("b"), **keys))


def test_a_reference_of_a_document_with_ids_never_means_a_stranger() -> None:
    log = Log(USER)
    stranger = log.create("User", "stranger")
    gone = log.create("User", "gone")
    log.delete(gone)
    a = log.create("User", "a")
    ids = [stranger, gone, a, 40]
    work = plan(log.state, document(user("a", id=70, Boss=stranger, Team=ids), nextId=90))
    assert work.writes == {1: [("Boss", 0), ("Team", (gone,))]}
    work = plan(log.state, document(user("a", id=70, Boss=stranger, Team=ids), nextId=90), prune=True)
    assert work.writes == {1: [("Boss", stranger), ("Team", (stranger, gone))]}


def test_without_next_id_a_document_with_ids_is_asked_whose_another_id_is() -> None:
    log = Log(USER)
    log.create("User", "stranger")
    with pytest.raises(BadParams, match=r"Boss: .*no entity of the document has the id 2, and without nextId"):
        document(user("a", id=9, Boss=2))
    assert plan(log.state, document(user("a", Boss=2))).writes == {1: [("Boss", 2)]}


def test_an_id_that_was_never_given_out_is_refused() -> None:
    for state in (State(), Log(USER).state):
        with pytest.raises(
            NotFound, match=r"\$\.tree\.Children\[0\]\.Team: field Team: .* given 7 \(the id 7 was never"
        ):
            plan(state, document(user("a", Team=["/Root", 7])))


# -- order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "wanted", "prune", "order"),
    [
        ("abc", "abc", False, None),
        ("abc", "ac", False, None),
        ("abc", "ac", True, None),
        ("abc", "cba", False, "cba"),
        ("abcd", "db", False, "dbac"),
        ("abcd", "db", True, "db"),
        ("ab", "abx", False, None),
        ("ab", "xab", False, "xab"),
        ("ab", "axb", False, "axb"),
        ("ab", "x", False, None),
    ],
)
def test_children_are_moved_only_where_their_order_is_another(
    there: str, wanted: str, prune: bool, order: str | None
) -> None:
    log = Log(USER)
    names = {log.create("User", name): name for name in there} | {log.state.next_id: "x"}
    work = plan(log.state, document(*[user(name) for name in wanted]), prune=prune)
    assert {parent: "".join(names[id] for id in ids) for parent, ids in work.orders.items()} == (
        {1: order} if order else {}
    )


# -- refused -----------------------------------------------------------------------------------------------


def test_a_tree_that_is_too_deep_and_a_list_that_is_too_long_are_refused() -> None:
    deep = document(user("a", user("b", Team=["/Root", "/Root/a"])))
    assert plan(State(), deep, max_depth=3, max_list=2).length == 3
    with pytest.raises(
        TooLarge, match=r"\$\.tree\.Children\[0\]\.Children\[0\]: the tree would be 3 levels deep, at most 2"
    ):
        plan(State(), deep, max_depth=2)
    with pytest.raises(TooLarge, match=r"\$\.tree\.Children\[0\]\.Children\[0\]\.Team: .*at most 1 elements, 2 given"):
        plan(State(), deep, max_list=1)


def test_a_tree_of_a_hundred_thousand_levels_is_refused_briefly() -> None:
    levels = 100_000
    opening = '{"entityType":"Object","Name":"a","Children":['
    text = f'{{"tree":{{"entityType":"Root","Name":"Root","Children":[{opening * levels}{"]}" * levels}]}}}}'
    with pytest.raises(TooLarge) as caught:
        plan(State(), read_document(text))
    assert len(caught.value.message) <= 1000
    assert "101 levels deep, at most 100" in caught.value.message


def test_a_document_with_problems_is_refused_with_all_of_them() -> None:
    wanted = document(user("a"))
    wanted.entities[1].fields = {"Nope": 1, "Age": "old"}
    with pytest.raises(BadParams) as caught:
        prepare(wanted)
    paths = [problem["path"] for problem in caught.value.data["problems"]]
    assert paths == ["$.tree.Children[0].Nope", "$.tree.Children[0].Age"]


@pytest.mark.parametrize(
    "change", [{"type": ""}, {"name": ""}, {"type": "Usr"}, {"name": "a\n"}, {"id": 2**63}, {"parent": 7}]
)
def test_a_document_that_no_reader_has_checked_is_refused(change: dict[str, Any]) -> None:
    wanted = document(user("a"))
    for name, value in change.items():
        setattr(wanted.entities[1], name, value)
    with pytest.raises(BadParams):
        plan(State(), wanted)


# -- passwords ---------------------------------------------------------------------------------------------


def test_passwords_are_found_with_what_the_store_holds() -> None:
    log = Log(USER)
    stored = hash_password("x", b"s" * 16)
    log.create("User", "a", Secret=stored)
    log.create("User", "b")
    asked = [user(name, Secret="__hashpw__(x)") for name in ("b", "a", "c")]
    wanted = document(*asked, user("d", Secret="\\__hashpw__(x)"))
    found = through(passwords(log.state, prepare(wanted)))
    assert found == [
        Password(1, "Secret", "x", None),
        Password(2, "Secret", "x", stored),
        Password(3, "Secret", "x", None),
    ]
    with pytest.raises(
        BadValue, match=r"\$\.tree\.Children\[0\]\.Secret: field Secret: the password is not hashed yet"
    ):
        plan(log.state, wanted)
    assert through(passwords(log.state, prepare(document(user("a", Secret="x"))))) == []


def test_only_a_string_is_a_password() -> None:
    types = (type_of("User", field("Secret", Kind.Choice, choices=["__hashpw__(x)"])),)
    wanted = document(user("a", Secret="__hashpw__(x)"), types=types)
    assert prepare(wanted).passwords == []
    assert plan(State(), wanted).writes == {1: [("Secret", "__hashpw__(x)")]}


def test_a_field_of_another_kind_held_no_password() -> None:
    log = Log(type_of("User", field("Secret")))
    log.create("User", "a", Secret=5)
    (found,) = through(passwords(log.state, prepare(document(user("a", Secret="__hashpw__(x)")))))
    assert found.stored is None


# -- pauses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", [False, True])
def test_planning_pauses_over_many_entities(prune: bool) -> None:
    log, other = Log(USER), Log(USER)
    for number in range(3000):
        log.create("User", f"n{number % 100}", Age=1)
        other.create("User", f"n{number % 70}", Age=2)
    extra = other.create("User", "extra")
    for _ in range(1000):
        other.create("User", "below", extra)
    view = Watched(other.state)
    work = planning(view, prepare(taken(log.state)), prune=prune)
    assert view.most_between(work) < 1500
    assert plan(other.state, taken(log.state), prune=prune).sizes.get(extra) == (1001 if prune else None)


@given(stores(), stores(OTHER_SCHEMAS), st.booleans())
def test_a_plan_in_slices_is_the_plan_at_once(log: Log, other: Log, prune: bool) -> None:
    wanted = taken(log.state)

    def outcome(work: Any) -> Any:
        try:
            made = work()
        except RequestError as exc:
            return exc.message
        return lines(made), made.ids, made.writes, made.orders, made.next_id

    at_once = outcome(lambda: plan(other.state, wanted, prune=prune))
    assert outcome(lambda: through(planning(other.state.pin(), prepare(wanted), prune=prune))) == at_once
