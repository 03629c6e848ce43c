from __future__ import annotations

import gc

import pytest

from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.errors import BadParams, BadSchema, BadValue, Conflict, Forbidden, NotFound, TooLarge
from qcore.model.ids import MAX_GIVEN_ID
from qcore.model.requests.commands import Bootstrap, Command, Create, Delete, SetFields, TreeNode
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.results import Booted, Created, Deleted
from qcore.model.values import Kind
from qcore.store.apply import apply_entry
from qcore.store.state.state import State
from tests.store.samples import START, Log, dump, field, full_digest, replay, type_of

THING = type_of("Thing", field("Age", default=7), field("Boss", Kind.EntityReference), field("Parts", Kind.EntityList))


@pytest.fixture
def log() -> Log:
    return Log(THING)


# -- entries -----------------------------------------------------------------------------------------------


def test_each_command_of_an_entry_has_an_outcome_and_a_revision_of_its_own(log: Log) -> None:
    done, refused, again = log.entry(Create("Thing", "a"), Create("Ghost", "b"), Create("Thing", "c"))
    assert (done.result, again.result) == (Created(2, 2), Created(3, 3))
    assert isinstance(refused.error, NotFound)
    assert log.state.revision == 3


REFUSED: list[Command] = [
    SetFields(1, "Ghost", 1),
    SetFields("/Nowhere", "Name", "x"),
    Pipeline([Create("Ghost", "a"), SetFields(1, "Name", 5), SetFields("x", "Name", "y")]),
    Transaction([SetFields("/Nowhere", "Name", "x")]),
]


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: type(command).__name__)
def test_what_is_refused_leaves_nothing_to_the_garbage_collector(log: Log, command: Command) -> None:
    gc.collect()
    gc.disable()
    try:
        log.entry(command)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_entry_without_commands_moves_index_and_time_alone(log: Log) -> None:
    before = dump(log.state)
    body = EntryBody(FEATURE_LEVEL, log.time + 5, "blank")
    assert list(apply_entry(log.state, Entry(LogId(2, 65_536, 17), body))) == []
    after = dump(log.state)
    assert after.pop("counters")[:2] == (17, log.time + 5)
    before.pop("counters")
    assert after == before


def test_an_entry_counts_as_applied_only_when_it_is_through(log: Log) -> None:
    state = log.state
    applied, time = state.applied, state.time
    outcomes = apply_entry(state, log.next(Create("Thing", "a"), Create("Thing", "b")))
    next(outcomes)
    assert (state.applied, state.time) == (applied, time)
    assert len(list(outcomes)) == 1
    assert (state.applied, state.time) == (applied + 1, log.time)


def test_time_never_runs_backwards(log: Log) -> None:
    log.time += 10**12
    first = log.create("Thing", "a")
    late = log.state.time
    log.time -= 10**12
    second = log.create("Thing", "b")
    assert log.state.time == late
    times = [log.state.entities[id].time(0) for id in (first, second)]
    assert times == [late, late]


def test_a_defect_is_no_answer() -> None:
    """Anything but a `RequestError` must stop the node before the entry counts as applied."""
    log = Log(THING)
    before = dump(log.state)
    broken = Create("Thing", "x", 1, {"Age": 3})
    broken.max_depth = "deep"  # type: ignore[assignment]
    body = EntryBody(FEATURE_LEVEL, log.time + 1, "commands", [broken])
    with pytest.raises(TypeError):
        list(apply_entry(log.state, Entry(LogId(1, 65_536, 9), body)))
    assert dump(log.state) == before


# -- create ------------------------------------------------------------------------------------------------


def test_create_appends_to_the_children_of_the_parent(log: Log) -> None:
    a, b = log.create("Thing", "a"), log.create("Thing", "b")
    below = log.create("Thing", "below", "/Root/a")
    assert log.children(1) == [a, b]
    assert log.value(a, "Children") == [below]
    assert log.value(below, "Parent") == a


def test_create_writes_name_parent_and_fields_and_the_parents_children(log: Log) -> None:
    revision = log.state.revision + 1
    thing = log.create("Thing", "a", 1, Age="41")
    fields = log.get(thing)
    assert {name: f["revision"] for name, f in fields.items()} == {
        "Name": revision,
        "Parent": revision,
        "Age": revision,
        "Boss": 0,
        "Parts": 0,
        "Children": 0,
    }
    assert fields["Age"]["value"] == 41
    assert log.get(1)["Children"]["revision"] == revision


def test_an_entity_without_a_parent_stands_alone(log: Log) -> None:
    alone = log.create("Thing", "alone", None)
    assert log.state.top == [1, alone]
    assert log.get(alone)["Parent"] == {"value": None, "time": None, "writer": None, "revision": 0}
    assert log.value("/alone", "Name") == "alone"


def test_a_new_entity_may_refer_to_itself_by_its_path(log: Log) -> None:
    thing = log.create("Thing", "me", 1, Boss="/Root/me")
    assert log.value(thing, "Boss") == thing


def test_create_refuses_what_it_cannot_make(log: Log) -> None:
    for command, error, words in [
        (Create("Ghost", "x", 1), NotFound, "unknown type 'Ghost'"),
        (Create("Thing", "x", 99), NotFound, "entity 99 does not exist"),
        (Create("Root", "x"), Forbidden, "one Root"),
        (Create("Thing", "", 1), BadValue, "1..255 characters, 0 given"),
        (Create("Thing", "x" * 256, 1), BadValue, "256 given"),
        (Create("Thing", "a\nb", 1), BadValue, "U.000A"),
        (Create("Thing", "x", 1, {"Color": 1}), NotFound, "no field 'Color'"),
        (Create("Thing", "x", 1, {"Age": None}), BadValue, "field Age: expected an Int"),
        (Create("Thing", "x", 1, {"Boss": 99}), NotFound, "field Boss"),
        (Create("Thing", "x", 1, {"Parts": [1, 1]}), BadValue, "no duplicates"),
        (Create("Thing", "x", 1, {"Name": "y"}), BadParams, "field Name"),
        (Create("Thing", "x", 1, {"Boss->Age": 1}), NotFound, "Boss->Age"),
        (Create("Thing", "x", 1, {"Parts": [1, 1]}, max_list=1), TooLarge, "at most 1 "),
    ]:
        with pytest.raises(error, match=words):
            log.do(command)
    assert log.ids("Object") == [1]


def test_a_store_that_has_given_out_its_last_id_creates_nothing(log: Log) -> None:
    log.state.reserve_ids(MAX_GIVEN_ID)
    assert log.create("Thing", "last") == MAX_GIVEN_ID
    before = dump(log.state)
    with pytest.raises(TooLarge, match="given out all of its ids"):
        log.create("Thing", "one more")
    assert dump(log.state)["entities"] == before["entities"]
    assert log.state.next_id == MAX_GIVEN_ID + 1


def test_the_tree_is_no_deeper_than_the_limit_in_the_log(log: Log) -> None:
    below = 1
    for _ in range(3):
        below = log.do(Create("Thing", "x", below, max_depth=4)).id
    with pytest.raises(TooLarge, match="5 levels deep, at most 4"):
        log.do(Create("Thing", "x", below, max_depth=4))
    assert log.do(Create("Thing", "x", below, max_depth=5)).id


# -- delete ------------------------------------------------------------------------------------------------


def test_delete_takes_the_whole_subtree(log: Log) -> None:
    top = log.create("Thing", "top")
    below = [log.create("Thing", name, top) for name in "ab"]
    deepest = log.create("Thing", "c", below[1])
    beside = log.create("Thing", "beside")
    revision = log.state.revision + 1
    assert log.do(Delete(top)) == Deleted(4, revision)
    assert log.children(1) == [beside]
    assert log.get(1)["Children"]["revision"] == revision
    for id in (top, *below, deepest):
        with pytest.raises(NotFound):
            log.get(id)
        with pytest.raises(NotFound):
            log.set(id, "Age", 1)
        with pytest.raises(NotFound):
            log.delete(id)
    assert log.ids("Thing") == [beside]


def test_the_root_cannot_be_deleted(log: Log) -> None:
    for form in (1, "@1", "Root$1", "/Root"):
        with pytest.raises(Forbidden):
            log.delete(form)


def test_references_to_the_deleted_stay_and_read_as_missing(log: Log) -> None:
    gone, there = log.create("Thing", "gone"), log.create("Thing", "there")
    thing = log.create("Thing", "thing", 1, Boss=gone, Parts=[there, gone])
    stamps = {name: log.get(thing)[name]["revision"] for name in ("Boss", "Parts")}
    log.delete(gone)
    log.create("Thing", "a stranger")
    fields = log.get(thing)
    assert fields["Boss"]["value"] == {"missing": gone}
    assert fields["Parts"]["value"] == [there, {"missing": gone}]
    assert {name: fields[name]["revision"] for name in stamps} == stamps


def test_a_tree_a_hundred_deep_and_fifty_thousand_wide_is_moved_and_deleted_at_once() -> None:
    log = Log(THING)
    deep = [1]
    for _ in range(98):
        deep.append(log.create("Thing", "level", deep[-1]))
    wide = deep[-1]
    log.entry(*(Create("Thing", f"leaf {place}", wide) for place in range(50_000)))
    assert len(log.children(wide)) == 50_000
    with pytest.raises(TooLarge):
        log.create("Thing", "too deep", f"/Root{'/level' * 98}/leaf 7")
    shelf = log.create("Thing", "shelf", None)
    revision = log.state.revision
    log.set(deep[1], "Parent", shelf)
    with pytest.raises(TooLarge):
        log.set(shelf, "Parent", 1)
    assert log.children(1) == []
    log.set(wide, "Children", log.children(wide)[::-1])
    assert log.value(f"/shelf{'/level' * 98}/leaf 49999", "Parent") == wide
    assert log.delete(shelf) == 50_000 + 98 + 1
    assert log.state.revision == revision + 3
    assert log.ids("Object") == [1]
    assert log.state.digest() == full_digest(log.state)


# -- bootstrap ---------------------------------------------------------------------------------------------

FILE = Bootstrap(
    schemas=[type_of("Device", field("Parts", Kind.EntityList), inherits=["Part"]), type_of("Part", field("Size"))],
    tree=[
        TreeNode("Part", "stock", {"Size": 9}),
        TreeNode(
            "Root",
            "Home",
            children=[
                TreeNode("Device", "lamp", {"Parts": ["/Home/bulbs/bulb#2", "/stock"]}),
                TreeNode("Part", "bulbs", children=[TreeNode("Part", "bulb"), TreeNode("Part", "bulb", {"Size": "3"})]),
            ],
        ),
    ],
    file_hash="abc",
)


def test_a_schema_file_is_one_revision_and_may_refer_forwards() -> None:
    log = Log()
    assert log.do(FILE) == Booted(True, 1)
    assert log.state.mark == "abc"
    lamp = "/Home/lamp"
    assert log.value(lamp, "Parts->0->Size") == 3
    assert log.value(lamp, "Parts->1->Name") == "stock"
    assert log.value(1, "Name") == "Home"
    assert [log.value(id, "Name") for id in log.ids("Part")] == ["stock", "lamp", "bulbs", "bulb", "bulb"]
    assert {f["revision"] for id in log.ids("Object") for f in log.get(id).values()} <= {0, 1}
    assert log.state.digest() == full_digest(log.state)


def test_a_schema_file_is_loaded_once() -> None:
    log = Log()
    log.do(FILE)
    before = dump(log.state)
    assert log.do(Bootstrap([type_of("More")], [], "another")) == Booted(False, 1)
    after = dump(log.state)
    assert after["digest"] == before["digest"]
    assert after["entities"] == before["entities"]


def test_a_schema_file_does_not_change_types_that_clients_made() -> None:
    log = Log(type_of("Part"))
    with pytest.raises(Conflict, match="the types Part already"):
        log.do(FILE)
    assert log.state.mark == ""


def test_a_schema_file_that_fails_leaves_a_fresh_store() -> None:
    log = Log()
    below = [TreeNode("Part", "x", children=[TreeNode("Root", "second")])]
    for tree, error in [
        (below, BadSchema),
        ([TreeNode("Root", "Home", {"Color": 1})], NotFound),
        ([TreeNode("Ghost", "x")], NotFound),
        ([TreeNode("Part", "x", {"Size": "big"})], BadValue),
    ]:
        with pytest.raises(error):
            log.do(Bootstrap(FILE.schemas, tree, "abc"))
    fresh, state = dump(State()), dump(log.state)
    del fresh["counters"], state["counters"]
    assert state == fresh


# -- the whole log -----------------------------------------------------------------------------------------


def test_the_same_log_gives_the_same_state() -> None:
    log = Log()
    log.do(FILE)
    log.entry(Create("Device", "a", 1), Create("Ghost", "b"), SetFields("/Home/a", "Parts", ["/stock"]))
    log.delete("/Home/bulbs")
    assert dump(replay(log.records)) == dump(log.state)
    assert log.state.time == START + 3_000_000
