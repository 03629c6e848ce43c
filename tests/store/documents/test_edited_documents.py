"""What people do to a document before they restore it: the answers are clear, and nothing is lost in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.text import check, read_document
from qcore.model.errors import RequestError
from qcore.model.values import Kind
from qcore.store.documents.plan import plan
from qcore.store.state.state import State
from tests.store.document_samples import OTHER_SCHEMAS, restored, stores, take
from tests.store.samples import Log, dump, field, full_digest, type_of

Json = dict[str, Any]

USER = type_of(
    "User",
    field("Age"),
    field("Boss", Kind.EntityReference),
    field("Team", Kind.EntityList),
    field("Seen", storage_scope="Runtime"),
)


@pytest.fixture
def log() -> Log:
    """Alice (2) with Carol (3) below her, Bob (4) and a reference of his to Dave (5), who is gone."""
    log = Log(USER, type_of("Folder"))
    alice = log.create("User", "Alice", Age=34, Seen=7)
    carol = log.create("User", "Carol", alice, Boss=alice)
    dave = log.create("User", "Dave")
    bob = log.create("User", "Bob", Boss=carol, Team=[alice, dave])
    log.create("Folder", "Attic", None)
    log.delete(dave)
    assert (alice, carol, dave, bob) == (2, 3, 4, 5)
    return log


def taken(log: Log, **kwargs: Any) -> Json:
    return json.loads(take(log.state, **kwargs)[0])  # type: ignore[no-any-return]


def entities(document: Json) -> list[Json]:
    found = [document["tree"], *document.get("detached", [])]
    for each in found:
        found.extend(each.get("Children", []))
    return found


def named(document: Json, name: str) -> Json:
    (found,) = [each for each in entities(document) if each["Name"] == name]
    return found


def problems(document: Json | str) -> list[str]:
    text = document if isinstance(document, str) else json.dumps(document)
    return [str(problem) for problem in check(text)[1]]


def lines(log: Log, document: Json, **kwargs: Any) -> list[str]:
    return [str(line) for line in plan(log.state, read_document(json.dumps(document)), **kwargs).lines()]


def replaced(document: Json, old: str, new: str) -> Json:
    return json.loads(json.dumps(document).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))  # type: ignore[no-any-return]


# -- ids ---------------------------------------------------------------------------------------------------


def test_without_next_id_a_reference_to_nobody_is_asked_about(log: Log) -> None:
    document = taken(log)
    del document["nextId"]
    assert problems(document) == [
        "$.tree.Children[1].Team[1]: field Team: expected an entity that exists, given '4' "
        "(no entity of the document has the id 4, and without nextId it may be anyone's)"
    ]
    del named(document, "Bob")["Team"][1]
    assert lines(log, document) == ["update /Root/Bob (User): Team"]


def test_without_any_ids_the_same_store_is_meant(log: Log) -> None:
    document = taken(log)
    del document["nextId"]
    for each in entities(document):
        del each["id"]
    assert lines(log, document) == []


def test_without_some_ids_entities_still_match(log: Log) -> None:
    document = taken(log)
    del named(document, "Alice")["id"]
    assert lines(log, document) == []
    state = State()
    restored(state, read_document(json.dumps(document)))
    assert state.entities[3].name == "Carol"
    assert state.entities[document["nextId"]].name == "Alice"


def test_an_id_beyond_next_id_is_a_problem(log: Log) -> None:
    document = taken(log)
    named(document, "Bob")["id"] = 70
    assert problems(document) == [f"$.nextId: expected a number above every id, 71..{2**63 - 1}, given 7"]


def test_a_copy_of_an_entity_is_a_problem_until_it_has_no_id(log: Log) -> None:
    document = taken(log)
    copy = json.loads(json.dumps(named(document, "Alice")))
    document["tree"]["Children"].append(copy)
    assert problems(document) == [
        "$.tree.Children[2].id: the id 2 is given twice, first at $.tree.Children[0]",
        "$.tree.Children[2].Children[0].id: the id 3 is given twice, first at $.tree.Children[0].Children[0]",
    ]
    for each in (copy, copy["Children"][0]):
        del each["id"]
    assert lines(log, document) == [
        "create /Root/Alice#2 (User)",
        "create /Root/Alice#2/Carol (User)",
    ]


# -- names, places, order ----------------------------------------------------------------------------------


def test_a_new_name_breaks_the_references_that_use_the_old_one(log: Log) -> None:
    document = taken(log)
    named(document, "Carol")["Name"] = "Carla"
    assert problems(document) == [
        "$.tree.Children[1].Boss: field Boss: expected an entity that exists, given '/Root/Alice/Carol' "
        "(the document has no 'Carol' there)"
    ]
    assert lines(log, replaced(taken(log), "Carol", "Carla")) == [
        "create /Root/Alice/Carla (User)",
        "update /Root/Bob (User): Boss",
    ]


def test_with_prune_what_had_the_old_name_goes(log: Log) -> None:
    document = replaced(taken(log), "Carol", "Carla")
    restored(log.state, read_document(json.dumps(document)), prune=True)
    assert log.value(5, "Boss->Name") == "Carla"
    assert 3 not in log.state.entities


def test_entities_that_change_places_keep_their_ids(log: Log) -> None:
    document = taken(log)
    document["tree"]["Children"].reverse()
    assert lines(log, document) == ["move the children of /Root into the document's order"]
    restored(log.state, read_document(json.dumps(document)))
    assert log.children(1) == [5, 2]


def test_what_is_taken_out_stays_in_the_store_unless_pruned(log: Log) -> None:
    document = taken(log)
    del document["detached"]
    assert lines(log, document) == []
    assert lines(log, document, prune=True) == ["delete /Attic (Folder)"]


# -- types -------------------------------------------------------------------------------------------------


def test_a_type_renamed_in_one_place_only_is_named_wherever_it_is_missed(log: Log) -> None:
    document = taken(log)
    document["schemas"][1]["entityType"] = "Person"
    assert problems(document) == [
        "$.tree.Children[0].entityType: unknown type 'User'",
        "$.tree.Children[0].Children[0].entityType: unknown type 'User'",
        "$.tree.Children[1].entityType: unknown type 'User'",
    ]


def test_a_type_renamed_everywhere_is_another_one(log: Log) -> None:
    document = json.loads(json.dumps(taken(log)).replace('"User"', '"Person"'))
    created = ["/Root/Alice", "/Root/Alice/Carol", "/Root/Bob"]
    assert lines(log, document) == ["set type Person", *(f"create {path} (Person)" for path in created)]
    assert lines(log, document, prune=True)[:4] == [
        "set type Person",
        "delete type User",
        "delete /Root/Alice (User) and 1 below it",
        "delete /Root/Bob (User)",
    ]
    restored(log.state, read_document(json.dumps(document)))
    assert [log.state.entities[id].type for id in log.children(1)] == ["User", "User", "Person", "Person"]
    assert log.value(2, "Seen") == 7


def test_a_field_taken_out_of_its_type_is_named_where_it_is_written(log: Log) -> None:
    document = taken(log)
    del document["schemas"][1]["fields"][0]
    assert problems(document) == ["$.tree.Children[0].Age: type User has no field 'Age'"]
    del named(document, "Alice")["Age"]
    assert lines(log, document) == ["set type User"]
    restored(log.state, read_document(json.dumps(document)))
    assert log.value(2, "Seen") == 7


def test_a_kind_that_no_longer_fits_is_named_where_it_is_written(log: Log) -> None:
    document = taken(log)
    document["schemas"][1]["fields"][0].update(dataType="Bool", default=None)
    assert problems(document) == ["$.tree.Children[0].Age: field Age: expected a Bool (true, false, 1 or 0), given 34"]


# -- files of other stores ---------------------------------------------------------------------------------


def test_two_files_put_together_say_what_they_have_twice(log: Log) -> None:
    document, other = taken(log), taken(log)
    document["schemas"] += other["schemas"]
    document["tree"]["Children"] += other["tree"]["Children"]
    assert [problem.partition(":")[0] for problem in problems(document)] == [
        "$.schemas[2].entityType",
        "$.schemas[3].entityType",
        "$.tree.Children[2].id",
        "$.tree.Children[2].Children[0].id",
        "$.tree.Children[3].id",
    ]
    text = json.dumps(taken(log))
    assert [problem.partition(":")[0] for problem in problems(text[:-1] + "," + text[1:])] == [
        "$.schemas",
        "$.tree",
        "$.detached",
        "$.nextId",
    ]


def test_a_file_of_a_newer_version_is_refused_with_everything_it_adds(log: Log) -> None:
    document = taken(log)
    document["format"] = 2
    document["schemas"][0]["abstract"] = True
    document["schemas"][1]["fields"][0]["unit"] = "years"
    document["schemas"][1]["fields"][1]["dataType"] = "EntityMap"
    document["schemas"][1]["fields"][3]["storageScope"] = "Memory"
    named(document, "Alice")["expires"] = "2030-01-01T00:00:00Z"
    named(document, "Bob")["Team"] = {"/Root/Alice": 1}
    assert [problem.partition(":")[0] for problem in problems(document)] == [
        "$.format",
        "$.schemas[0].abstract",
        "$.schemas[1].fields[0].unit",
        "$.schemas[1].fields[1].dataType",
        "$.schemas[1].fields[3].storageScope",
        "$.tree.Children[1].Team",
    ]


def test_a_file_of_another_store_never_makes_strangers_meet(log: Log) -> None:
    other = Log(USER)
    for name in ("x", "y", "z", "w"):
        other.create("User", name)
    restored(other.state, read_document(json.dumps(taken(log))))
    bob = other.children(1)[-1]
    assert other.value(bob, "Team") == [other.children(1)[-2]]
    assert other.value(bob, "Boss->Name") == "Carol"


# -- anything ----------------------------------------------------------------------------------------------


class Undo(Exception):
    pass


def undo() -> None:
    raise Undo


def _drop(document: Json, chance: Random) -> None:
    each = chance.choice([document, chance.choice(entities(document))])
    each.pop(chance.choice(sorted(each.keys() - {"entityType", "Name", "tree"}) or [""]), None)


def _rename(document: Json, chance: Random) -> None:
    chance.choice(entities(document))["Name"] = chance.choice(["a", "b", "new", "a/b", "#2"])


def _retype(document: Json, chance: Random) -> None:
    if document.get("schemas"):
        old = chance.choice(document["schemas"])["entityType"]
        if old != "Root":
            document.update(json.loads(json.dumps(document).replace(f'"{old}"', f'"New{old}"')))


def _exchange(document: Json, chance: Random) -> None:
    parents = [each for each in entities(document) if each.get("Children")]
    if parents:
        one, other = chance.choice(parents)["Children"], chance.choice(parents)["Children"]
        place, another = chance.randrange(len(one)), chance.randrange(len(other))
        moved = [json.loads(json.dumps(each)) for each in (one[place], other[another])]
        other[another], one[place] = moved


def _shuffle(document: Json, chance: Random) -> None:
    chance.shuffle(chance.choice(entities(document)).get("Children", []))


def _number(document: Json, chance: Random) -> None:
    number = chance.choice([1, 2, 9, 60, 2**63 - 2])
    if chance.random() < 0.5:
        document["nextId"] = number
    else:
        chance.choice(entities(document))["id"] = number


def _forget_ids(document: Json, chance: Random) -> None:
    document.pop("nextId", None)
    for each in entities(document):
        each.pop("id", None)


def _refer(document: Json, chance: Random) -> None:
    forms = [None, "/Root", "/Root/a", "/a", "7", 3, "/Root/a#2"]
    each = chance.choice(entities(document))
    each[chance.choice(["Link", "Home", "Peers"])] = chance.choice([chance.choice(forms), chance.sample(forms[1:], 2)])


def _change_field(document: Json, chance: Random) -> None:
    fields = [each for schema in document.get("schemas", []) for each in schema.get("fields", [])]
    if fields:
        changes: list[Json] = [
            {"dataType": chance.choice(list(Kind)), "default": None},
            {"storageScope": chance.choice(["Runtime", "Configuration"])},
            {"rank": chance.randint(-3, 9)},
            {"choices": chance.sample(["Low", "1", "High", "New"], 2), "default": None},
            {"default": chance.choice([None, 0, -0.0, "x"])},
        ]
        chance.choice(fields).update(chance.choice(changes))


EDITS: list[Callable[[Json, Random], None]] = [
    *(_drop, _rename, _retype, _exchange, _shuffle, _number, _forget_ids, _refer, _change_field)
]


@given(
    stores(),
    stores() | stores(OTHER_SCHEMAS) | st.builds(Log),
    st.lists(st.sampled_from(EDITS), max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_an_edited_document_is_refused_or_becomes_true(
    log: Log, other: Log, edits: list[Callable[[Json, Random], None]], chance: Random, prune: bool
) -> None:
    document = taken(log, runtime=chance.random() < 0.5, ids=chance.random() < 0.7)
    for edit in edits:
        edit(document, chance)
    read, found = check(json.dumps(document))
    assert (read is None) <= bool(found)
    if read is None or found:
        return
    state, before = other.state, dump(other.state)
    try:
        wanted = plan(state, read, prune=prune).counts()
        with pytest.raises(Undo):
            restored(state, read, prune=prune, then=undo)
        assert dump(state) == before
        done = restored(state, read, prune=prune)
    except RequestError:
        assert dump(state) == before
        return
    assert done.counts == wanted
    assert state.digest() == full_digest(state)
    assert max(state.entities) < state.next_id
    assert prune or state.entities.keys() >= before["entities"].keys()
    assert plan(state, read, prune=prune).empty
    again, text = State(), take(state, runtime=True)[0]
    restored(again, read_document(text))
    assert take(again, runtime=True)[0] == text
