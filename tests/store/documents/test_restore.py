from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import Document, with_texts
from qcore.model.documents.password import verify_password
from qcore.model.documents.text import read_document
from qcore.model.errors import BadParams, BadValue, InUse, NotFound, TooLarge
from qcore.model.requests.commands import DEFAULT_MAX_DEPTH, Create, SchemaSet
from qcore.model.schema import EntitySchema
from qcore.model.values import Kind
from qcore.store.documents.plan import passwords, plan, prepare
from qcore.store.documents.restore import RESTORED
from qcore.store.state.state import State
from tests.store.document_samples import OTHER_SCHEMAS, restored, stores, take, taken
from tests.store.samples import Log, dump, field, full_digest, through, type_of

USER = type_of(
    "User",
    field("Age"),
    field("Boss", Kind.EntityReference),
    field("Team", Kind.EntityList),
    field("Secret", Kind.String),
    field("Seen", Kind.Int, storage_scope="Runtime"),
)


def document(
    *children: dict[str, Any], detached: tuple[dict[str, Any], ...] = (), next_id: int | None = None, **root: Any
) -> Document:
    text: dict[str, Any] = {
        "schemas": [json.loads(json.dumps({"entityType": "User", "fields": FIELDS}))],
        "tree": {"entityType": "Root", "Name": "Root", **root, "Children": list(children)},
    }
    if detached:
        text["detached"] = list(detached)
    if next_id is not None:
        text["nextId"] = next_id
    return read_document(json.dumps(text))


FIELDS = [
    {"name": "Age", "dataType": "Int"},
    {"name": "Boss", "dataType": "EntityReference"},
    {"name": "Team", "dataType": "EntityList"},
    {"name": "Secret", "dataType": "String"},
    {"name": "Seen", "dataType": "Int", "storageScope": "Runtime"},
]


def user(name: str, *children: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"entityType": "User", "Name": name, **fields, "Children": list(children)}


def names(log: Log, id: int = 1) -> list[str]:
    return [log.state.entities[child].name for child in log.state.children(id)]


class Undo(Exception):
    pass


def undo() -> None:
    raise Undo


# -- properties --------------------------------------------------------------------------------------------


@given(stores(), st.booleans(), st.booleans())
def test_a_file_taken_and_restored_into_an_empty_store_is_taken_again_as_the_same_file(
    log: Log, runtime: bool, ids: bool
) -> None:
    text, _ = take(log.state, runtime=runtime, ids=ids)
    state = State()
    restored(state, read_document(text))
    assert take(state, runtime=True, ids=ids)[0] == text
    assert state.digest() == full_digest(state)
    if ids:
        assert state.next_id == log.state.next_id
        assert state.entities.keys() == log.state.entities.keys()


@given(stores(), stores(OTHER_SCHEMAS), st.booleans(), st.booleans())
def test_restoring_twice_changes_nothing(log: Log, other: Log, prune: bool, ids: bool) -> None:
    given_document = taken(log.state, ids=ids)
    try:
        restored(other.state, given_document, prune=prune)
    except InUse:
        assert not prune
        return
    before = dump(other.state)
    assert plan(other.state, given_document, prune=prune).empty
    assert list(plan(other.state, given_document, prune=prune).lines()) == []
    assert not restored(other.state, given_document, prune=prune).changed
    assert dump(other.state) == before


@given(stores(), stores(), stores(OTHER_SCHEMAS), st.booleans())
def test_different_stores_become_the_same_by_restoring_with_prune(log: Log, near: Log, far: Log, ids: bool) -> None:
    wanted, _ = take(log.state, ids=False)
    for state in (near.state, far.state, log.state, State()):
        restored(state, taken(log.state, ids=ids), prune=True)
        assert take(state, ids=False)[0] == wanted
        assert state.digest() == full_digest(state)


@given(stores(), stores(OTHER_SCHEMAS) | stores() | st.builds(Log), st.booleans())
def test_a_restore_taken_back_leaves_no_trace(log: Log, other: Log, prune: bool) -> None:
    before = dump(other.state)
    with pytest.raises((Undo, InUse)):
        restored(other.state, taken(log.state), prune=prune, then=undo)
    assert dump(other.state) == before


@given(stores(), stores(OTHER_SCHEMAS))
def test_without_prune_no_entity_and_no_type_goes(log: Log, other: Log) -> None:
    entities, types = set(other.state.entities), set(other.state.types.own)
    try:
        restored(other.state, taken(log.state))
    except InUse:
        return
    assert entities <= other.state.entities.keys()
    assert types <= other.state.types.own.keys()


@given(stores(), stores(OTHER_SCHEMAS), st.booleans())
def test_the_plan_counts_what_the_restore_does(log: Log, other: Log, prune: bool) -> None:
    state = other.state
    work = plan(state, taken(log.state), prune=prune)
    counts, lines = work.counts(), list(work.lines())
    before, revision = set(state.entities), state.revision
    try:
        done = restored(state, taken(log.state), prune=prune)
    except InUse:
        return
    assert done.counts == counts
    assert done.revision == state.revision == revision + 1
    assert len(before - state.entities.keys()) == counts.get("delete", 0)
    assert len(state.entities.keys() - before) == counts.get("create", 0)
    assert sum(line.entities for line in lines if line.action == "delete") == counts.get("delete", 0)
    for action in ("set type", "delete type", "create", "update", "move"):
        assert sum(line.action == action for line in lines) == counts.get(action, 0)


def test_a_chain_as_deep_as_allowed_comes_back_from_its_file() -> None:
    log = Log(USER)
    parent = 1
    for number in range(DEFAULT_MAX_DEPTH - 1):
        parent = log.create("User", "a/b", parent, Age=number, Boss=parent)
    text, _ = take(log.state)
    state = State()
    restored(state, read_document(text))
    assert take(state)[0] == text
    with pytest.raises(TooLarge, match="100 levels deep, at most 99"):
        restored(State(), read_document(text), max_depth=DEFAULT_MAX_DEPTH - 1)


def test_names_are_found_as_before_when_a_restore_is_taken_back() -> None:
    log = Log(USER)
    for number in range(200):
        log.create("User", f"n{number % 70}")
    asked = [("new", 1), *[(f"n{number % 70}", number // 70 + 1) for number in range(210)]]

    def found() -> list[int | None]:
        return [log.state.child_named(1, name, twin) for name, twin in asked]

    before = found()
    wanted = document(user("new"), *[user(f"n{number}") for number in range(60, -1, -1)])
    for prune in (False, True):
        with pytest.raises(Undo):
            restored(log.state, wanted, prune=prune, then=undo)
        assert found() == before
    restored(log.state, wanted, prune=True)
    by_name = {(name, 1): id for name, id in zip(names(log), log.children(1), strict=True)}
    assert found() == [by_name.get(each) for each in asked]
    assert names(log) == ["new", *[f"n{number}" for number in range(60, -1, -1)]]


# -- matching ----------------------------------------------------------------------------------------------


def test_entities_match_by_place_and_keep_their_ids_and_runtime_values() -> None:
    log = Log(USER)
    a = log.create("User", "a", Age=1, Seen=9)
    restored(log.state, document(user("a", user("below"), Age=2)))
    assert log.value(a, "Age") == 2
    assert log.value(a, "Seen") == 9
    assert names(log, a) == ["below"]


def test_twins_match_in_their_order() -> None:
    log = Log(USER)
    first, second = log.create("User", "a"), log.create("User", "a")
    restored(log.state, document(user("a", Age=1), user("a", Age=2)))
    assert [log.value(id, "Age") for id in (first, second)] == [1, 2]


def test_an_entity_of_another_type_does_not_match() -> None:
    log = Log(USER, type_of("Folder"))
    folder = log.create("Folder", "a")
    restored(log.state, document(user("a")))
    assert [log.state.entities[id].type for id in log.children(1)] == ["Folder", "User"]
    restored(log.state, document(user("a")), prune=True)
    assert [log.state.entities[id].type for id in log.children(1)] == ["User"]
    assert folder not in log.state.entities


def test_detached_entities_match_among_themselves_and_take_the_documents_order() -> None:
    log = Log(USER)
    b, a = log.create("User", "b", None), log.create("User", "a", None)
    restored(log.state, document(detached=(user("a"), user("new"), user("b"))))
    assert [log.state.entities[id].name for id in log.state.top] == ["Root", "a", "new", "b"]
    assert [log.state.top[1], log.state.top[3]] == [a, b]


def test_the_root_takes_the_documents_name() -> None:
    log = Log(USER)
    restored(log.state, document(Name="Site"))
    assert log.value(1, "Name") == "Site"


def test_children_take_the_documents_order_and_others_come_behind() -> None:
    log = Log(USER)
    for name in ("x", "b", "a"):
        log.create("User", name)
    restored(log.state, document(user("a"), user("new"), user("b")))
    assert names(log) == ["a", "new", "b", "x"]


def test_children_in_the_documents_order_stay_where_they_are_among_others() -> None:
    log = Log(USER)
    for name in ("a", "x", "b"):
        log.create("User", name)
    restored(log.state, document(user("a"), user("b"), user("c")))
    assert names(log) == ["a", "x", "b", "c"]


# -- fields ------------------------------------------------------------------------------------------------


def test_a_field_the_document_does_not_write_is_unset() -> None:
    log = Log(USER)
    a = log.create("User", "a", Age=1)
    work = plan(log.state, document(user("a")))
    assert [str(line) for line in work.lines()] == ["update /Root/a (User): unset Age"]
    restored(log.state, document(user("a")))
    assert log.get(a, "Age")["Age"] == {"value": 0, "time": None, "writer": None, "revision": 0}


def test_what_does_not_change_keeps_time_and_revision() -> None:
    log = Log(USER)
    a = log.create("User", "a", Age=1, Secret="s")
    before = log.get(a)
    restored(log.state, document(user("a", Age=1, Secret="t")))
    after = log.get(a)
    assert {name for name in after if after[name] != before[name]} == {"Secret"}


def test_references_lead_to_entities_that_are_only_created() -> None:
    log = Log(USER)
    a = log.create("User", "a")
    restored(log.state, document(user("a", Boss="/Root/b#2", Team=["/Root/b", "/Root/b#2"]), user("b"), user("b")))
    _, first, second = log.children(1)
    assert log.value(a, "Boss") == second
    assert log.value(a, "Team") == [first, second]


def test_ids_of_a_document_lead_to_what_matches_them_and_not_to_the_stores_own() -> None:
    log = Log(USER)
    log.create("User", "stranger")
    a = log.create("User", "a")
    b = log.create("User", "b")
    restored(log.state, document(user("a", id=40, Boss=a), user("b", id=a, Age=5), next_id=50))
    assert log.value(a, "Boss") == b
    assert log.value(b, "Age") == 5


def test_a_missing_reference_keeps_its_id_where_nobody_has_it() -> None:
    log = Log(USER)
    gone = log.create("User", "gone")
    log.delete(gone)
    a = log.create("User", "a")
    restored(log.state, document(user("a", id=9, Boss=str(gone), Team=[gone]), next_id=10))
    assert log.value(a, "Boss") == {"missing": gone}
    assert log.value(a, "Team") == [{"missing": gone}]


@pytest.mark.parametrize("stranger", [2, 77])
def test_a_missing_reference_never_turns_to_a_stranger(stranger: int) -> None:
    log = Log(USER)
    log.create("User", "stranger")
    a = log.create("User", "a")
    restored(log.state, document(user("a", id=90, Boss=stranger, Team=[stranger, "/Root/a"]), next_id=99))
    assert log.value(a, "Boss") is None
    assert log.value(a, "Team") == [a]


def test_a_document_without_next_id_may_name_entities_of_the_store() -> None:
    log = Log(USER)
    other = log.create("User", "other")
    restored(log.state, document(user("a", Boss=other)))
    assert log.value(log.children(1)[1], "Boss") == other
    with pytest.raises(NotFound, match=r"\$\.tree\.Children\[0\]\.Boss: .* given 99 .*never given out"):
        plan(log.state, document(user("a", Boss=99)))


# -- types -------------------------------------------------------------------------------------------------


def test_a_label_may_go_with_the_values_that_hold_it() -> None:
    log = Log(type_of("T", field("Level", Kind.Choice, choices=["Low", "High"])))
    log.create("T", "a", Level="High")
    log.create("T", "b", Level="High")
    log.create("T", "c", Level="High")
    schemas = [{"entityType": "T", "fields": [{"name": "Level", "dataType": "Choice", "choices": ["Low", "Mid"]}]}]
    children = [{"entityType": "T", "Name": "a", "Level": "Mid"}, {"entityType": "T", "Name": "b"}]
    text = {"schemas": schemas, "tree": {"entityType": "Root", "Name": "Root", "Children": children}}
    wanted = read_document(json.dumps(text))
    with pytest.raises(InUse, match=r"label 'High' of T\.Level is in use"):
        restored(log.state, wanted)
    restored(log.state, wanted, prune=True)
    assert [log.value(id, "Level") for id in log.children(1)] == ["Mid", "Low"]


def test_types_that_say_the_same_are_left_alone() -> None:
    log = Log(USER)
    assert plan(log.state, document()).empty
    log.do(SchemaSet(EntitySchema("User", [], list(reversed(log.state.types.own["User"].fields)))))
    assert plan(log.state, document()).empty


def test_prune_takes_types_and_what_was_given_to_the_root() -> None:
    log = Log(USER, type_of("Old"), type_of("Older", inherits=["Old"]), type_of("Root", field("Site", Kind.String)))
    log.create("Older", "x")
    restored(log.state, document(), prune=True)
    assert log.state.types.names() == ["Object", "Root", "User"]
    assert log.state.types.own["Root"].fields == []


# -- ids, mark, limits -------------------------------------------------------------------------------------


def test_children_with_lower_ids_than_their_parents_find_their_place() -> None:
    state = State()
    wanted = document(
        user("p", user("x", user("deep", id=3), id=9), user("y", id=2), id=12), user("q", id=5), next_id=20
    )
    restored(state, wanted)
    assert take(state)[0] == take(state)[0]
    assert [list(state.children(id)) for id in (1, 12, 9)] == [[12, 5], [9, 2], [3]]
    assert state.next_id == 20
    assert state.digest() == full_digest(state)


def test_entities_without_id_get_one_that_no_other_has() -> None:
    state = State()
    restored(state, document(user("a"), user("b", id=2), user("c", id=7)))
    assert list(state.children(1)) == [8, 2, 7]
    assert state.next_id == 9


def test_ids_are_not_kept_where_any_were_given_out() -> None:
    log = Log(USER)
    log.delete(log.create("User", "gone"))
    restored(log.state, document(user("a", id=2), next_id=50))
    assert log.children(1) == [3]
    assert log.state.next_id == 4


def test_a_restored_store_bears_the_mark_and_keeps_one_it_had() -> None:
    state = State()
    assert restored(state, document()).changed
    assert state.mark == RESTORED
    state.set_mark("of a file")
    restored(state, document(user("a")))
    assert state.mark == "of a file"


def test_an_empty_document_marks_an_empty_store_once() -> None:
    state = State()
    nothing = read_document('{"tree": {"entityType": "Root", "Name": "Root"}}')
    assert restored(state, nothing).revision == 1
    assert not restored(state, nothing).changed
    assert state.revision == 1


def test_a_tree_deeper_than_allowed_is_refused() -> None:
    deep = document(user("a", user("b", user("c"))))
    restored(State(), deep, max_depth=4)
    with pytest.raises(TooLarge, match=r"Children\[0\]: the tree would be 4 levels deep, at most 3"):
        restored(State(), deep, max_depth=3)


def test_a_list_longer_than_allowed_is_refused() -> None:
    long = document(user("a", Team=["/Root", "/Root/a"]))
    with pytest.raises(TooLarge, match=r"\$\.tree\.Children\[0\]\.Team: .*at most 1 elements"):
        restored(State(), long, max_list=1)


def test_a_tree_of_many_levels_comes_back_as_it_was() -> None:
    log = Log(USER)
    parent = 1
    for _ in range(3000):
        parent = log.do(Create("User", "a", parent, max_depth=10_000)).id
    text, done = take(log.state)
    state = State()
    restored(state, read_document(text), max_depth=10_000)
    assert take(state)[0] == text
    assert done.entities == 3001


def test_a_document_with_problems_is_refused_with_all_of_them() -> None:
    wanted = document(user("a"))
    wanted.entities[1].fields["Nope"] = 1
    wanted.entities[1].fields["Age"] = "old"
    with pytest.raises(BadParams, match=r"\$\.tree\.Children\[0\]\.Nope.*and 1 more problems") as caught:
        restored(State(), wanted)
    assert [problem["path"][-4:] for problem in caught.value.data["problems"]] == ["Nope", ".Age"]


# -- passwords ---------------------------------------------------------------------------------------------


def test_a_password_is_stored_as_a_hash_and_restoring_it_again_changes_nothing() -> None:
    log = Log(USER)
    wanted = document(user("a", Secret="__hashpw__(open sesame)"))
    with pytest.raises(BadValue, match="not hashed yet"):
        restored(log.state, wanted)
    restored(log.state, _hashed(log.state, wanted, b"1" * 16))
    stored = log.value(log.children(1)[0], "Secret")
    assert verify_password(stored, "open sesame")
    assert plan(log.state, _hashed(log.state, wanted, b"2" * 16)).empty
    changed = document(user("a", Secret="__hashpw__(other)"))
    restored(log.state, _hashed(log.state, changed, b"3" * 16))
    assert verify_password(log.value(log.children(1)[0], "Secret"), "other")


def _hashed(state: State, wanted: Document, salt: bytes) -> Document:
    secrets = through(passwords(state, prepare(wanted)))
    texts = {(secret.place, secret.field): secret.hashed(salt) for secret in secrets}
    return with_texts(wanted, texts)
