"""The store against a plain model of it: the same commands, and after each one everything compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qcore.model.errors import RequestError
from qcore.model.requests.commands import (
    Create,
    Delete,
    Expect,
    FieldChange,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SessionOpen,
    SetFields,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Exists, Find, TypesList
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind
from qcore.store import read
from qcore.store.apply import Outcome, apply_entry
from qcore.store.search import find as search
from qcore.store.sessions.sessions import IDLE_LIMIT
from qcore.store.state import name_index as names
from tests.store.plain import Plain, Refused
from tests.store.samples import START, Log, dump, field, full_digest, full_rest, replay, through, type_of

MAX_DEPTH = 4
MAX_LIST = 2

TYPES = ["A", "B", "C", "D"]
FIELDS = ["Count", "Ratio", "Text", "Flag", "Data", "When", "Mood", "Friend", "Friends"]
NAMES = st.sampled_from(["a", "a", "b", "x/y", "n#2", "back\\slash", "ä ö", "", "tab\t", "long" * 70])
MODES: list[Any] = ["set", "set", "add", "subtract"]

WIDE = 2**63
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Blob": st.binary(max_size=3).map(lambda data: msgspec.to_builtins(data)),
    "Bool": st.sampled_from([True, False, "true", "false", "1", "0"]),
    "Choice": st.sampled_from(["Happy", "Sad", "Calm", 0, 1, 2, "1"]),
    "Float": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 7, "2.5", "-3", 1e308]),
    "Int": st.integers(-5, 5) | st.sampled_from([WIDE - 1, -WIDE, WIDE, 10**20, "12", "-7"]),
    "String": st.text("ab ä€\U0001f600\n", max_size=3) | st.sampled_from(["42", "true", "nan", "null"]),
    "Timestamp": st.integers(START - 5, START + 5) | st.sampled_from([0, -1, WIDE, str(START)]),
}
JUNK = st.sampled_from([None, True, 3, 2.5, "word", "nan", "[1", "@", [], [1, None], ["x"], [2.5]])

FIELD_FORMS = {
    "Count": [field("Count", default=5), field("Count", Kind.Float, 1.5), field("Count", Kind.String, "five")],
    "Ratio": [field("Ratio", Kind.Float, 0.5, rank=9), field("Ratio", Kind.Int, "nonsense")],
    "Text": [field("Text", Kind.String, "t", rank=1), field("Text", Kind.Blob)],
    "Flag": [field("Flag", Kind.Bool), field("Flag", Kind.Bool, True)],
    "Data": [field("Data", Kind.Blob, "AAE="), field("Data", Kind.String)],
    "When": [field("When", Kind.Timestamp), field("When", Kind.Timestamp, 7), field("When", Kind.Int)],
    "Mood": [
        field("Mood", Kind.Choice, choices=["Happy", "Sad", "Calm"]),
        field("Mood", Kind.Choice, "Calm", choices=["Calm", "Happy"]),
        field("Mood", Kind.Choice, "Sad", choices=["Happy"]),
        field("Mood", Kind.String),
    ],
    "Friend": [field("Friend", Kind.EntityReference), field("Friend", Kind.EntityList)],
    "Friends": [field("Friends", Kind.EntityList), field("Friends", Kind.EntityReference)],
}

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Machine(RuleBasedStateMachine):
    """Small pools of types, fields and names, so that commands often meet."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(names, "_CROWDED", 2)  # so that small families have an index, too
        self.log = Log()
        self.through = True
        self.plain = Plain()
        self.numbered: list[Any] = []
        self.pages: list[tuple[str, bool, int, str | None]] = []

    def teardown(self) -> None:
        """The whole log once more, into a fresh state."""
        self.patch.undo()
        if self.through:
            assert dump(replay(self.log.records)) == dump(self.log.state)

    # -- rules ---------------------------------------------------------------------------------------------

    @initialize()
    def types(self) -> None:
        first = [forms[0] for forms in FIELD_FORMS.values()]
        self.run(
            SchemaSet(
                schemas=[
                    type_of("B", field("Extra"), field("Text", Kind.String, "b"), inherits=["A"]),
                    type_of("A", *first),
                    type_of("C"),
                ]
            )
        )
        self.run(*(Create(kind, name, parent) for kind, name, parent in [("A", "a", 1), ("B", "b", 2), ("A", "a", 1)]))
        self.run(*(Create(kind, name, parent) for kind, name, parent in [("C", "c", 1), ("B", "b", None)]))
        self.run(SetFields(2, fields={"Friend": 3, "Friends": [4, 2], "Mood": "Sad"}))

    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        self.run(self.a_create(data.draw))

    @rule(data=st.data())
    def set(self, data: st.DataObject) -> None:
        self.run(self.a_set(data.draw))

    @rule(data=st.data())
    def set_again(self, data: st.DataObject) -> None:
        self.run(self.a_set(data.draw))

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        self.run(self.a_move(data.draw))

    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        self.run(self.a_reorder(data.draw))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.run(self.a_delete(data.draw))

    @rule(data=st.data())
    def change_schemas(self, data: st.DataObject) -> None:
        self.run(self.a_schema(data.draw))

    @rule(data=st.data())
    def several_in_one_entry(self, data: st.DataObject) -> None:
        self.run(*self.some(data.draw))

    @rule(data=st.data())
    def pipeline(self, data: st.DataObject) -> None:
        self.run(Pipeline(self.some(data.draw)))

    @rule(data=st.data())
    def transaction(self, data: st.DataObject) -> None:
        self.run(self.a_transaction(data.draw))

    @rule(data=st.data())
    def undone(self, data: st.DataObject) -> None:
        """Whatever the first steps do, the last one takes it back."""
        makers = [self.a_create, self.a_set, self.a_move, self.a_move, self.a_reorder, self.a_delete, self.a_schema]
        steps = [data.draw(st.sampled_from(makers))(data.draw) for _ in range(data.draw(st.integers(1, 3)))]
        self.run(Transaction([*steps, Delete(1)]))

    @rule()
    def open_session(self) -> None:
        self.run(SessionOpen())

    @precondition(lambda self: self.plain.sessions)
    @rule(data=st.data())
    def numbered_write(self, data: st.DataObject) -> None:
        makers = [self.a_create, self.a_set, self.a_delete, self.a_transaction]
        command = data.draw(st.sampled_from(makers))(data.draw)
        command.session = data.draw(st.sampled_from([*sorted(self.plain.sessions) * 4, self.plain.next_session]))
        command.seq = data.draw(st.integers(0, 6))
        command.acked = data.draw(st.sampled_from([0, 0, 0, 1, 3]))
        command.hash = str(len(self.numbered))
        self.numbered.append(command)
        self.run(command)

    @precondition(lambda self: self.numbered)
    @rule(data=st.data(), other=st.booleans())
    def retry(self, data: st.DataObject, other: bool) -> None:
        command = msgspec.structs.replace(data.draw(st.sampled_from(self.numbered)))
        if other:
            command.hash += "'"
        self.run(command)

    @rule(hours=st.sampled_from([0, 0, 1]), ns=st.integers(-(10**10), 10**10))
    def time_goes_on(self, hours: int, ns: int) -> None:
        """Also backwards, as with the clock of a new leader: the store's time never does."""
        self.log.time += hours * IDLE_LIMIT + ns

    @rule(type_name=st.sampled_from(["Object", "A", "B"]), exact=st.booleans(), limit=st.integers(1, 3))
    def first_page(self, type_name: str, exact: bool, limit: int) -> None:
        if type_name in self.plain.types:
            self.page(type_name, exact, 0, None, limit)

    @precondition(lambda self: self.pages)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def next_page(self, data: st.DataObject, limit: int) -> None:
        type_name, exact, last, cursor = self.pages.pop(data.draw(st.integers(0, len(self.pages) - 1)))
        if type_name in self.plain.types:
            self.page(type_name, exact, last, cursor, limit)

    # -- what is compared ----------------------------------------------------------------------------------

    def run(self, *commands: Any) -> None:
        """Apply one entry to both, and compare answer and state after each command."""
        state = self.log.state
        self.log.time = max(self.log.time, START)
        entry = self.log.next(*commands)
        now = max(entry.body.time, state.time)
        before = dump(state)
        self.through = False
        for command, outcome in zip(commands, apply_entry(state, entry), strict=True):
            try:
                expected = self.plain.apply(command, now)
            except Refused as exc:
                expected = exc
            check_answer(outcome, expected)
            after = dump(state)
            if outcome.error is not None or outcome.before is not None:
                before["sessions"], before["rest"] = after["sessions"], after["rest"]
                assert {**after, "counters": before["counters"]} == before, "a refused command left a trace"
                assert after["counters"][2:] == before["counters"][2:]
            before = after
            self.check()
        self.through = True
        assert state.time == now
        assert state.applied == entry.id.index

    def check(self) -> None:
        """Every entity, every type, every count and the digest."""
        state, plain = self.log.state, self.plain
        assert (state.revision, state.next_id) == (plain.revision, plain.next_id)
        assert state.digest() == full_digest(state)
        assert state.rest().digest() == full_rest(state)
        assert state.top == plain.top
        assert sorted(state.entities) == sorted(plain.entities)
        for id, entity in plain.entities.items():
            assert list(self.log.get(id).items()) == list(plain.get(id).items())
            assert state.entities[id].type == entity["type"]
            assert read.exists(state, Exists(plain.path(id)))
            parent, name, twins = self.twins(id)
            assert [state.child_named(parent, name, twin) for twin in range(1, len(twins) + 2)] == [*twins, None]
        assert read.types(state, TypesList(), 100).items == sorted(plain.types)
        sessions = {id: (s["used"], s["low"], sorted(s["answers"])) for id, s in plain.sessions.items()}
        found = {id: (used, low, [a[0] for a in answers]) for id, used, low, answers in sorted_sessions(state)}
        assert found == sessions

    def twins(self, id: int) -> tuple[int, str, list[int]]:
        """Parent and name of an entity, and all of its parent's children with that name."""
        entity = self.plain.entities[id]
        name = entity["values"]["Name"]
        siblings = self.plain.siblings(entity["parent"])
        return entity["parent"] or 0, name, [i for i in siblings if self.plain.entities[i]["values"]["Name"] == name]

    @invariant()
    def finds_agree(self) -> None:
        for type_name in self.plain.types:
            for exact in (False, True):
                page = self.log.find(type_name, exact=exact, limit=10_000, total=True)
                assert [item.id for item in page.items] == self.plain.of_type(type_name, exact)
                assert page.total == len(page.items)
                assert page.cursor is None

    def page(self, type_name: str, exact: bool, last: int, cursor: str | None, limit: int) -> None:
        query = Find(type_name, exact=exact, limit=limit, cursor=cursor)
        page = through(search.find(self.log.state, query, 100))
        left = [id for id in self.plain.of_type(type_name, exact) if id > last]
        assert [item.id for item in page.items] == left[:limit]
        assert (page.cursor is not None) == (len(left) > limit)
        if page.cursor is not None:
            self.pages.append((type_name, exact, page.items[-1].id, page.cursor))

    # -- commands ------------------------------------------------------------------------------------------

    def an_id(self, draw: Draw, mostly: bool = True) -> Any:
        """An entity in any id form; now and then one that is gone, to come or never was."""
        plain = self.plain
        if draw(st.integers(0, 9)) == 0:
            strange = [0, plain.next_id, plain.next_id + 1, "@99", "nobody", "/Root/none", "A$1", "$1", "$2"]
            return draw(st.sampled_from(strange))
        if not mostly:
            return draw(st.integers(1, plain.next_id))
        id = draw(st.sampled_from(sorted(plain.entities)))
        forms = [id, id, id, str(id), f"@{id}", f"{plain.entities[id]['type']}${id}", f"B${id}", plain.path(id)]
        return draw(st.sampled_from(forms))

    def a_value(self, draw: Draw, kind: str) -> Any:
        if draw(st.integers(0, 9)) == 0:
            return draw(JUNK)
        if kind == "EntityReference":
            return None if draw(st.integers(0, 3)) == 0 else self.an_id(draw, draw(st.booleans()))
        if kind == "EntityList":
            items = [self.an_id(draw, mostly=draw(st.integers(0, 3)) > 0) for _ in range(draw(st.integers(0, 3)))]
            items += items[:1] if draw(st.integers(0, 4)) == 0 else []
            return json.dumps(items) if draw(st.integers(0, 4)) == 0 else items
        return draw(VALUES[kind])

    def value_of(self, draw: Draw, type_name: str, name: str) -> Any:
        schema = self.plain.complete(type_name).get(name) if type_name in self.plain.types else None
        return self.a_value(draw, "String" if schema is None else schema["kind"])

    def a_field(self, draw: Draw, type_name: str) -> Any:
        if type_name not in self.plain.types or draw(st.integers(0, 19)) == 0:
            return draw(st.sampled_from([*FIELDS, "Extra", "Nothing"]))
        names = sorted(self.plain.complete(type_name))
        return draw(st.sampled_from([name for name in names if name not in ("Parent", "Children")] * 3 + names))

    def a_create(self, draw: Draw) -> Create:
        known = sorted(name for name in self.plain.types if name != "Root")
        type_name = draw(st.sampled_from([*known * 3, *TYPES, "Root"]))
        parent = draw(st.sampled_from([1, None])) if draw(st.integers(0, 2)) == 0 else self.an_id(draw)
        fields = {}
        for _ in range(draw(st.integers(0, 2))):
            name = self.a_field(draw, type_name)
            fields[name] = self.value_of(draw, type_name, name)
        name = draw(NAMES)
        return Create(type_name, name, parent, fields, max_depth=MAX_DEPTH, max_list=MAX_LIST)

    def a_path(self, draw: Draw, id: Any) -> str:
        hops = draw(
            st.sampled_from(["", "", "", "", "Friend->", "Friends->0->", "Parent->", "Children->0->", "Count->"])
        )
        place = self.at(id, f"{hops}Name")
        type_name = self.plain.entities[place[0]]["type"] if place is not None else "A"
        end = draw(st.sampled_from(["->0", "->"])) if draw(st.integers(0, 19)) == 0 else ""
        return f"{hops}{self.a_field(draw, type_name)}{end}"

    def a_set(self, draw: Draw) -> SetFields:
        id = self.an_id(draw)
        paths = [self.a_path(draw, id) for _ in range(draw(st.sampled_from([1, 1, 1, 2])))]
        values = {path: self.a_value(draw, self.kind_at(id, path)) for path in paths}
        command = SetFields(id, max_depth=MAX_DEPTH, max_list=MAX_LIST)
        if len(paths) == 1 and draw(st.booleans()):
            command.field, command.value = paths[0], values[paths[0]]
        else:
            command.fields = values
        command.mode = draw(st.sampled_from(MODES))
        command.when = draw(st.sampled_from(["always", "always", "changes"]))
        command.time = draw(st.sampled_from([None, None, None, 0, 9, 12])) and self.a_time(draw)
        if draw(st.integers(0, 3)) == 0:
            command.expect = self.an_expect(draw, id, paths[0])
        return command

    def a_time(self, draw: Draw) -> int:
        return self.log.time + int(draw(st.sampled_from([-20_000_000_000, -1, 0, 1_000_000_000, 12_000_000_000])))

    def at(self, id: Any, path: str) -> tuple[int, str] | None:
        try:
            owner, name, index = self.plain.walk(self.plain.find(id), path)
        except Refused:
            return None
        return (owner, name) if index is None else None

    def kind_at(self, id: Any, path: str) -> str:
        place = self.at(id, path)
        return "String" if place is None else str(self.plain.field(*place)["kind"])

    def an_expect(self, draw: Draw, id: Any, path: str) -> Expect:
        place = self.at(id, path)
        if place is None or draw(st.integers(0, 3)) == 0:
            return Expect(value=self.a_value(draw, self.kind_at(id, path)))
        owner, name = place
        if draw(st.booleans()):
            _, revision = self.plain.entities[owner]["stamps"].get(name, (0, 0))
            return Expect(revision=revision)
        value = self.plain.read(owner, name)
        return Expect(value=msgspec.to_builtins(value))

    def a_move(self, draw: Draw) -> SetFields:
        parent = None if draw(st.integers(0, 5)) == 0 else self.an_id(draw)
        when = draw(st.sampled_from(["always", "changes"]))
        return SetFields(self.an_id(draw), "Parent", parent, when=when, max_depth=MAX_DEPTH)

    def a_reorder(self, draw: Draw) -> SetFields:
        families = [id for id, entity in self.plain.entities.items() if len(entity["children"]) > 1]
        id = draw(st.sampled_from(families or [1]))
        children = draw(st.permutations(self.plain.entities[id]["children"]))
        if draw(st.integers(0, 4)) == 0:
            children = [*children[1:], draw(st.sampled_from(sorted(self.plain.entities)))]
        when = draw(st.sampled_from(["always", "changes"]))
        mode = draw(st.sampled_from(["set", "set", "set", "add"]))
        return SetFields(id, "Children", children, mode=mode, when=when, time=None)

    def some(self, draw: Draw) -> list[Any]:
        makers = [self.a_create, self.a_set, self.a_move, self.a_reorder, self.a_delete, self.a_schema]
        return [draw(st.sampled_from(makers))(draw) for _ in range(draw(st.integers(2, 4)))]

    def a_transaction(self, draw: Draw) -> Transaction:
        return Transaction(
            self.some(draw)[1:], [self.a_condition(draw) for _ in range(draw(st.sampled_from([0, 0, 1])))]
        )

    def a_condition(self, draw: Draw) -> Condition:
        id = self.an_id(draw)
        if draw(st.booleans()):
            return Condition(id, exists=draw(st.booleans()))
        path = self.a_path(draw, id)
        place = self.at(id, path)
        if place is not None and draw(st.booleans()):
            return Condition(id, path, revision=self.plain.entities[place[0]]["stamps"].get(place[1], (0, 0))[1])
        value = self.a_value(draw, self.kind_at(id, path))
        return Condition(id, path, op=draw(st.sampled_from(["==", "!="])), value=value)

    def a_delete(self, draw: Draw) -> Delete:
        leaves = [id for id, entity in self.plain.entities.items() if id > 1 and not entity["children"]]
        return Delete(draw(st.sampled_from(leaves)) if leaves and draw(st.booleans()) else self.an_id(draw))

    def a_schema(self, draw: Draw) -> Any:
        if draw(st.integers(0, 4)) == 0:
            return SchemaDelete(draw(st.sampled_from([*TYPES, "Root", "None"])))
        if draw(st.integers(0, 3)) == 0:
            schema = draw(st.sampled_from(FIELD_FORMS[draw(st.sampled_from(FIELDS))]))
            rank, zero = schema.rank or 0, Plain.zero(str(schema.data_type), schema.choices)
            default = zero if schema.default is None or schema.name == "Ratio" else schema.default
            change = FieldChange(schema.data_type, default, rank, schema.choices or None)
            return FieldSet(draw(st.sampled_from([*TYPES, "Object", "None"])), schema.name, change)
        schemas = [self.a_type(draw, name) for name in draw(st.permutations(TYPES))[: draw(st.integers(1, 2))]]
        return SchemaSet(schema=schemas[0]) if len(schemas) == 1 else SchemaSet(schemas=schemas)

    def a_type(self, draw: Draw, name: str) -> EntitySchema:
        parents = draw(st.sampled_from([[], [], ["A"], ["C"], ["A", "C"], ["D", "A"], ["B"], ["Nowhere"], ["Root"]]))
        fields: list[FieldSchema] = []
        for field_name in draw(st.permutations(FIELDS))[: draw(st.integers(0, len(FIELDS)))]:
            forms = FIELD_FORMS[field_name]
            fields.append(draw(st.sampled_from([*forms[:1] * 3, *forms])))
        return EntitySchema(name, parents, fields)


def sorted_sessions(state: Any) -> list[Any]:
    return [(id, used, low, sorted(answers)) for id, used, low, answers in state.sessions.dump()]


def check_answer(outcome: Outcome, expected: Any) -> None:
    """`expected` is an answer, a refusal, or ``("before", either)``."""
    if isinstance(expected, tuple):
        assert outcome.before is not None
        given = msgspec.json.decode(outcome.before.raw)
        expected = expected[1]
        assert outcome.before.failed == isinstance(expected, Refused)
        if isinstance(expected, Refused):
            check_error(given["data"], expected, given["message"])
        else:
            assert given == expected
    elif isinstance(expected, Refused):
        assert isinstance(outcome.error, RequestError), f"expected {expected.kind}, was done: {outcome.result}"
        check_error(outcome.error.wire()["data"], expected, outcome.error.message)
    elif isinstance(expected, list):
        for step, wanted in zip(msgspec.to_builtins(outcome.result), expected, strict=True):
            if isinstance(wanted, Refused):
                check_error(step["error"]["data"], wanted, step["error"]["message"])
            else:
                assert step == {"result": wanted}
    else:
        assert outcome.error is None, outcome.error
        assert msgspec.to_builtins(outcome.result) == expected


def check_error(data: dict[str, Any], expected: Refused, message: str) -> None:
    assert data["kind"] in expected.kind.split("|"), message
    assert expected.data.items() <= data.items()
    assert data["applied"] == ("unknown" if expected.kind == "session_expired" else "no")


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    derandomize=True,  # a commit that fails fails again; more examples find more
    max_examples=100,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
