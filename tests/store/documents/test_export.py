"""Writing the state as a document: the text to the byte, what is left out, pauses, and an independent writer beside."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.path import MAX_PATH
from qcore.model.requests.commands import Create, SchemaSet
from qcore.model.schema import Types
from qcore.model.times import format_time
from qcore.model.values import INT_MAX, INT_MIN, Kind
from qcore.store.documents.export import Exported, export, listed_types
from qcore.store.state.entity import Entity
from qcore.store.state.state import State
from tests.store.document_samples import SCHEMAS, Watched, stores, take
from tests.store.samples import Log, field, type_of

THING = type_of(
    "Thing",
    field("Blob", Kind.Blob),
    field("Bool", Kind.Bool),
    field("Choice", Kind.Choice, choices=["Low", "1"]),
    field("Float", Kind.Float),
    field("Int", Kind.Int),
    field("String", Kind.String),
    field("Timestamp", Kind.Timestamp),
    field("Link", Kind.EntityReference),
    field("Links", Kind.EntityList),
    field("Seen", Kind.Int, storage_scope="Runtime"),
)


def text(state: State, **kwargs: Any) -> str:
    return take(state, **kwargs)[0].decode()


def tree(log: Log, **kwargs: Any) -> Any:
    return json.loads(text(log.state, **kwargs))["tree"]


def thing(log: Log, **fields: Any) -> Any:
    """The only child of the Root as the text has it, with these fields."""
    log.create("Thing", "a", **fields)
    return tree(log, runtime=True)["Children"][0]


# -- the text ----------------------------------------------------------------------------------------------


def test_an_empty_store_is_its_root() -> None:
    assert text(State()) == '{"schemas":[],"tree":{"entityType":"Root","id":1,"Name":"Root"},"nextId":2}'
    assert text(State(), ids=False) == '{"schemas":[],"tree":{"entityType":"Root","Name":"Root"}}'


def test_the_text_has_one_form() -> None:
    log = Log(
        type_of("T", field("B", Kind.Int, rank=1), field("A", Kind.Float, 2, rank=1), field("C", Kind.Bool, rank=0))
    )
    a = log.create("T", "a", B=1, C=True)
    log.create("T", "b", a, A=0.5)
    log.create("T", "é/", None)
    log.create("T", "alone", None)
    assert text(log.state) == (
        '{"schemas":[{"entityType":"T","inheritsFrom":["Object"],"fields":['
        '{"name":"C","dataType":"Bool","default":false,"rank":0,"choices":[],"storageScope":"Configuration"},'
        '{"name":"A","dataType":"Float","default":2.0,"rank":1,"choices":[],"storageScope":"Configuration"},'
        '{"name":"B","dataType":"Int","default":0,"rank":1,"choices":[],"storageScope":"Configuration"}]}],'
        '"tree":{"entityType":"Root","id":1,"Name":"Root","Children":['
        '{"entityType":"T","id":2,"Name":"a","C":true,"B":1,"Children":['
        '{"entityType":"T","id":3,"Name":"b","A":0.5}]}]},'
        '"detached":[{"entityType":"T","id":4,"Name":"é/"},{"entityType":"T","id":5,"Name":"alone"}],"nextId":6}'
    )


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("Blob", "", '""'),
        ("Blob", "AP8=", '"AP8="'),
        ("Bool", False, "false"),
        ("Choice", "1", '"1"'),
        ("Float", 3, "3.0"),
        ("Float", -0.0, "-0.0"),
        ("Float", 5e-324, "5e-324"),
        ("Float", 1e22, "1e22"),
        ("Int", INT_MIN, str(INT_MIN)),
        ("Int", INT_MAX, str(INT_MAX)),
        ("String", "", '""'),
        ("String", 'a"\\\n\x00é\U0001f600', '"a\\"\\\\\\n\\u0000é\U0001f600"'),
        ("String", "__hashpw__(x)", '"\\\\__hashpw__(x)"'),
        ("String", "\\__hashpw__(x)", '"\\\\\\\\__hashpw__(x)"'),
        ("Timestamp", 0, '"1970-01-01T00:00:00Z"'),
        ("Timestamp", INT_MAX, '"2262-04-11T23:47:16.854775807Z"'),
        ("Link", None, "null"),
        ("Link", 1, '"/Root"'),
        ("Links", [], "[]"),
        ("Links", [2, 1], '["/Root/a","/Root"]'),
    ],
)
def test_a_value_is_written_as_its_kind_is(name: str, value: Any, written: str) -> None:
    log = Log(THING)
    log.create("Thing", "a")
    log.set(2, name, value)
    assert f'"Name":"a","{name}":{written}}}' in text(log.state)


def test_only_what_is_set_is_written() -> None:
    log = Log(THING)
    assert thing(log) == {"entityType": "Thing", "id": 2, "Name": "a"}
    log.set(2, "Int", 0)
    assert tree(log)["Children"][0]["Int"] == 0


def test_fields_called_like_parts_of_an_entity_are_escaped() -> None:
    log = Log(type_of("T", field("id", Kind.String), field("entityType")))
    log.create("T", "a", id="x", entityType=5)
    assert '"Name":"a","\\\\id":"x","\\\\entityType":5}' in text(log.state)


def test_the_root_may_have_fields_and_children_stand_in_their_order() -> None:
    log = Log(THING, type_of("Root", field("Site", Kind.String)))
    ids = [log.create("Thing", name) for name in "abc"]
    log.set(1, "Site", "x")
    log.set(1, "Children", [ids[2], ids[0], ids[1]])
    assert tree(log, ids=False) == {
        "entityType": "Root",
        "Name": "Root",
        "Site": "x",
        "Children": [{"entityType": "Thing", "Name": name} for name in "cab"],
    }


# -- types -------------------------------------------------------------------------------------------------


def test_types_are_listed_parents_first_and_else_by_name() -> None:
    log = Log(type_of("D"), type_of("B", inherits=["Z", "D"]), type_of("A", inherits=["B"]), type_of("Z"), type_of("C"))
    assert listed_types(log.state.types) == ["C", "D", "Z", "B", "A"]


def test_the_root_type_is_listed_only_where_it_was_changed() -> None:
    log = Log(type_of("T"), type_of("Root", inherits=["T"]))
    assert listed_types(log.state.types) == ["T", "Root"]
    log.do(SchemaSet(type_of("Root")))
    assert listed_types(log.state.types) == ["T"]


@given(st.permutations([schema.entity_type for schema in SCHEMAS]))
def test_the_order_in_which_types_were_set_does_not_show(order: list[str]) -> None:
    one, other = Log(*SCHEMAS), Log(*[schema for name in order for schema in SCHEMAS if schema.entity_type == name])
    assert text(one.state) == text(other.state)
    listed = listed_types(one.state.types)
    above = {name: one.state.types.own[name].inherits_from for name in listed}
    assert all(
        listed.index(parent) < listed.index(name) for name in listed for parent in above[name] if parent in listed
    )


def test_three_hundred_types_in_one_chain_are_listed() -> None:
    names = [f"T{number:03d}" for number in range(300)]
    types = Types().with_schemas(
        [type_of(name, inherits=[above]) for name, above in zip(names, [*names[1:], "Object"], strict=True)]
    )
    assert listed_types(types) == names[::-1]


# -- what is left out --------------------------------------------------------------------------------------


def test_runtime_fields_are_left_out_and_counted_unless_asked_for() -> None:
    log = Log(THING)
    log.create("Thing", "a", Seen=1, Int=2)
    log.create("Thing", "b", Seen=0)
    log.create("Thing", "c")
    without, done = take(log.state)
    assert done == Exported(entities=4, runtime=2)
    assert b'"Seen":' not in without
    whole, done = take(log.state, runtime=True)
    assert done == Exported(entities=4)
    assert b'"Int":2,"Seen":1}' in whole


def test_missing_references_are_ids_and_counted_where_there_are_none() -> None:
    log = Log(THING)
    log.create("Thing", "a", Link=1, Links=[1])
    gone = log.create("Thing", "gone")
    log.set(2, "Link", gone)
    log.set(2, "Links", [gone, 1, 2])
    log.delete(gone)
    text, done = take(log.state)
    assert b'"Link":"3","Links":["3","/Root","/Root/a"]' in text
    assert done.missing == 0
    text, done = take(log.state, ids=False)
    assert b'"Link":null,"Links":["/Root","/Root/a"]' in text
    assert done.missing == 2


def test_references_are_paths_with_escapes_and_twins() -> None:
    log = Log(THING)
    for name in ("a", "a", "a/b", "#2"):
        log.create("Thing", name)
    log.create("Thing", "alone", None)
    log.set(2, "Links", [2, 3, 4, 5, 6, 1])
    assert tree(log)["Children"][0]["Links"] == ["/Root/a", "/Root/a#2", "/Root/a\\/b", "/Root/\\#2", "/alone", "/Root"]


def test_what_lies_deeper_than_any_path_reaches_is_an_id() -> None:
    log = Log(THING)
    parent = 1
    for _ in range(130):
        parent = log.do(Create("Thing", "#" * 255, parent, max_depth=10_000)).id
    log.set(1, "Name", "r")
    log.set(2, "Link", parent)
    log.set(3, "Link", parent - 4)
    log.set(4, "Links", [parent, 1])
    written, done = take(log.state)
    assert b'"Link":"131"' in written
    assert len(json.loads(written)["tree"]["Children"][0]["Children"][0]["Link"]) <= MAX_PATH
    assert done.missing == 0
    written, done = take(log.state, ids=False)
    assert b'"Link":null' in written
    assert b'"Links":["/r"]' in written
    assert done.missing == 2


# -- beside an independent writer --------------------------------------------------------------------------


class Plain:
    """The document of a state, written by recursion into Python values."""

    def __init__(self, state: State, runtime: bool, ids: bool) -> None:
        self._state, self._runtime, self._ids = state, runtime, ids

    def document(self) -> dict[str, Any]:
        detached = [self.entity(id) for id in self._state.children(0) if id != 1]
        return {
            "tree": self.entity(1),
            **({"detached": detached} if detached else {}),
            **({"nextId": self._state.next_id} if self._ids else {}),
        }

    def entity(self, id: int) -> dict[str, Any]:
        entity = self._state.entities[id]
        found = {"entityType": entity.type, **({"id": id} if self._ids else {}), "Name": entity.name}
        for each in sorted(entity.schema.slots, key=lambda each: (each.schema.rank, each.name)):
            value = entity.values[each.slot]
            left_out = each.schema.storage_scope == "Runtime" and not self._runtime
            if value is not None and each.slot > 2 and not left_out:
                found["\\" + each.name if each.name in ("id", "entityType") else each.name] = self.value(
                    each.kind, value
                )
        below = [self.entity(child) for child in self._state.children(id)]
        return {**found, **({"Children": below} if below else {})}

    def value(self, kind: Kind, value: Any) -> Any:
        match kind:
            case Kind.Blob:
                return base64.b64encode(value).decode()
            case Kind.Timestamp:
                return format_time(value)
            case Kind.EntityReference:
                return self.reference(value)
            case Kind.EntityList:
                return [self.reference(id) for id in value if self._ids or id in self._state.entities]
            case Kind.String if value.lstrip("\\").startswith("__hashpw__(") and value.endswith(")"):
                return "\\" + value
            case _:
                return value

    def reference(self, id: int) -> str | None:
        if id not in self._state.entities:
            return str(id) if id and self._ids else None
        return self.path(self._state.entities[id])

    def path(self, entity: Entity) -> str:
        siblings = [self._state.entities[id] for id in self._state.children(entity.parent)]
        twin = [each.id for each in siblings if each.name == entity.name].index(entity.id) + 1
        step = "/" + entity.name.replace("\\", "\\\\").replace("/", "\\/").replace("#", "\\#")
        above = self.path(self._state.entities[entity.parent]) if entity.parent else ""
        return above + step + (f"#{twin}" if twin > 1 else "")


@given(stores(), st.booleans(), st.booleans())
def test_the_text_says_what_an_independent_writer_says(log: Log, runtime: bool, ids: bool) -> None:
    written = json.loads(text(log.state, runtime=runtime, ids=ids))
    del written["schemas"]
    assert json.dumps(written) == json.dumps(Plain(log.state, runtime, ids).document())


# -- pauses ------------------------------------------------------------------------------------------------


def test_many_entities_are_written_with_pauses() -> None:
    log = Log(THING)
    for number in range(5000):
        log.create("Thing", f"n{number}", Int=number)
    view = Watched(log.state)
    assert view.most_between(export(view)) < 100


def test_long_lists_are_written_with_pauses_missing_ones_too() -> None:
    log = Log(THING)
    ids = [log.create("Thing", f"n{number % 7}") for number in range(5000)]
    log.create("Thing", "a", Links=ids)
    log.create("Thing", "b", Links=ids)
    for id in ids[::2]:
        log.delete(id)
    for with_ids in (True, False):
        view = Watched(log.state)
        assert view.most_between(export(view, ids=with_ids)) < 2500


def test_siblings_are_counted_with_pauses_where_a_reference_needs_it() -> None:
    log = Log(THING, type_of("Root", field("First", Kind.EntityReference)))
    for number in range(10_000):
        log.create("Thing", f"n{number % 7}")
    log.set(1, "First", log.children(1)[-1])
    view = Watched(log.state)
    assert view.most_between(export(view)) < 2500
    assert f'"First":"/Root/n{9999 % 7}#{9999 // 7 + 1}"' in text(log.state)


def test_large_values_are_handed_out_one_by_one() -> None:
    log = Log(type_of("T", field("A", Kind.String), field("B", Kind.String), field("C", Kind.String)))
    for name in ("a", "b"):
        log.create("T", name, A="x" * 1_000_000, B="y" * 1_000_000, C="z")
    sizes = [len(chunk) for chunk in export(log.state)]
    assert max(sizes) < 1_001_000
    assert sum(sizes) == len(text(log.state).encode())


@given(stores())
def test_a_chunk_ends_between_two_characters(log: Log) -> None:
    assert "".join(chunk.decode() for chunk in export(log.state)) == text(log.state)
