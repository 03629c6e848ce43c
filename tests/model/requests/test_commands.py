"""Commands: what the wire takes for one, what it refuses, and that the log gives back what went in."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.entry import Logged
from qcore.model.errors import BadValue
from qcore.model.leader_commands import (
    CheckDigest,
    OpenEpoch,
    RaiseLevel,
    ReadmitDisk,
    RemoveDisk,
    RunStaged,
    StagePart,
)
from qcore.model.requests.commands import (
    Bootstrap,
    Command,
    Create,
    Delete,
    Expect,
    FieldChange,
    FieldSet,
    SchemaDelete,
    SchemaSet,
    SessionOpen,
    SetFields,
    TreeNode,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.model.requests.restore import Restore
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import INT_MAX, INT_MIN, Kind
from qcore.model.wire import encode_json

COMMANDS: list[Command] = [
    Create("User", "Ann"),
    Create("User", "Ann", "/Root/People", {"Age": 5, "Photo": "YQ==", "Boss": None, "Tags": []}),
    Delete(5),
    Delete("User$5"),
    SetFields(1, "Age", 5),
    SetFields(1, "Boss", None),
    SetFields(1, "Rate", -0.0, "add", "changes", "2024-01-01T00:00:00Z", Expect(value=None)),
    SetFields(1, "Rate", 1.0, time=-5, expect=Expect(revision=0)),
    SetFields("@1", fields={"A": 1, "B->C": [1, "@2"], "D": None}),
    SchemaSet(EntitySchema("User", ["Object"], [FieldSchema("Age", Kind.Int, 5, 3, [], "Runtime")])),
    SchemaSet(schemas=[EntitySchema("A"), EntitySchema("B", ["A"], [FieldSchema("C", Kind.Choice, "x", 0, ["x"])])]),
    SchemaDelete("User"),
    FieldSet("User", "Age", FieldChange(default=None, rank=3)),
    FieldSet("User", "Age", FieldChange(Kind.Choice, "x", choices=["x"], storage_scope="Runtime")),
    Pipeline([Create("User", "Ann"), SetFields("$1", "Age", 5), Get("$1", ["Age"])]),
    Transaction([Delete(5)], [Condition(5, "Age", "<=", None), Condition("@5", exists=False)]),
    SessionOpen(),
    Bootstrap([EntitySchema("A")], [TreeNode("A", "top", {"F": 1}, [TreeNode("A", "below")])], "ab" * 32),
    Restore(
        Document([EntitySchema("A")], [DocumentEntity("Root", "Root"), DocumentEntity("A", "x", 0, 5, {"F": 1})], 9)
    ),
    StagePart("00ff", 3, '{"method":"set\u2028"'),
    RunStaged("00ff", 4),
    CheckDigest(12, "ab" * 16),
    RaiseLevel(2),
    OpenEpoch("00ff" * 4),
    RemoveDisk(node=131_072, incarnation="ab" * 16),
    ReadmitDisk(incarnation="ab" * 16),
]


def through_the_log(command: Command) -> Any:
    return msgspec.json.decode(encode_json(command), type=Logged)


@pytest.mark.parametrize("command", COMMANDS, ids=repr)
def test_the_log_gives_back_what_went_in(command: Command) -> None:
    back = through_the_log(command)
    assert type(back) is type(command)
    assert back == command
    assert encode_json(back) == encode_json(command)


def test_every_command_of_the_log_is_tried_here_and_bears_its_method() -> None:
    assert {type(command) for command in COMMANDS} == set(get_args(Logged))
    for command in COMMANDS:
        assert f'"method":"{command.method}"'.encode() in encode_json(command)


def test_what_the_leader_decides_travels_with_the_command() -> None:
    back = through_the_log(Delete(1, session=7, seq=3, acked=2, hash="00ff", max_depth=5, max_list=6))
    assert (back.session, back.seq, back.acked, back.hash, back.max_depth, back.max_list) == (7, 3, 2, "00ff", 5, 6)


def test_null_and_not_given_are_different_values() -> None:
    assert msgspec.json.decode(b'{"id":1,"field":"F","value":null}', type=SetFields).value is None
    assert msgspec.json.decode(b'{"id":1,"field":"F"}', type=SetFields).value is msgspec.UNSET
    assert through_the_log(SetFields(1, "F")).value is msgspec.UNSET
    assert through_the_log(SetFields(1, "F", 1, expect=Expect(value=None))).expect == Expect(value=None)
    assert through_the_log(SetFields(1, "F", 1, expect=Expect())).expect == Expect()


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(INT_MIN, INT_MAX),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)


@given(st.dictionaries(st.text(), st.one_of(PLAIN, st.lists(PLAIN))), st.text(), st.one_of(PLAIN, st.lists(PLAIN)))
def test_values_keep_every_bit_in_the_log(fields: dict[str, Any], name: str, value: Any) -> None:
    for command in (Create("T", name, None, fields), SetFields(1, name, value), SetFields(name, fields=fields)):
        command.check_values()
        back = through_the_log(command)
        assert repr(back) == repr(command)


NESTED: list[Any] = [{}, {"missing": 1}, [[1]], [{}], [1, [2]], {"a": {"b": 1}}]


@pytest.mark.parametrize("value", NESTED, ids=repr)
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda value: Create("T", "n", None, {"Age": value}), "Age"),
        (lambda value: SetFields(1, "Age", value), "Age"),
        (lambda value: SetFields(1, fields={"Rate": 1, "Age": value}), "Age"),
        (lambda value: SetFields(1, "Age", 1, expect=Expect(value=value)), "expect"),
        (lambda value: SchemaSet(EntitySchema("T", [], [FieldSchema("Age", Kind.Int, value)])), r"T\.Age"),
        (lambda value: SchemaSet(schemas=[EntitySchema("T", [], [FieldSchema("Age", Kind.Int, value)])]), r"T\.Age"),
    ],
    ids=["create", "set", "set fields", "expect", "schema", "schemas"],
)
def test_a_nested_value_is_refused_by_its_field(make: Any, field: str, value: Any) -> None:
    with pytest.raises(BadValue, match=rf"field {field}: expected a plain value or a list of them, given a nested one"):
        make(value).check_values()


@pytest.mark.parametrize(
    ("command", "params", "said"),
    [
        (Create, '{"type":"T"}', "missing required field `name`"),
        (Create, '{"name":"n"}', "missing required field `type`"),
        (Create, '{"type":"T","name":"n","color":1}', "unknown field `color`"),
        (Create, '{"type":5,"name":"n"}', r"Expected `str`, got `int` - at `\$.type`"),
        (Create, '{"type":"T","name":null}', r"Expected `str`, got `null` - at `\$.name`"),
        (Create, '{"type":"T","name":"n","parent":1.5}', r"got `float` - at `\$.parent`"),
        (Create, '{"type":"T","name":"n","parent":true}', r"got `bool` - at `\$.parent`"),
        (Create, '{"type":"T","name":"n","fields":[1]}', r"Expected `object`, got `array` - at `\$.fields`"),
        (Delete, '{"id":null}', r"got `null` - at `\$.id`"),
        (Delete, '{"id":[1]}', r"got `array` - at `\$.id`"),
        (SetFields, '{"id":1,"mode":"SET"}', r"'SET' - at `\$.mode`"),
        (SetFields, '{"id":1,"when":"never"}', r"'never' - at `\$.when`"),
        (SetFields, '{"id":1,"time":1.5}', r"got `float` - at `\$.time`"),
        (SetFields, '{"id":1,"expect":{"values":1}}', "unknown field `values`"),
        (SetFields, '{"id":1,"expect":{"revision":"1"}}', r"Expected `int`, got `str` - at `\$.expect.revision`"),
        (SetFields, '{"id":1,"session":true}', r"Expected `int`, got `bool` - at `\$.session`"),
        (SetFields, '{"id":1,"seq":1.5}', r"Expected `int`, got `float` - at `\$.seq`"),
        (SetFields, '{"id":1,"timeout":"1"}', r"got `str` - at `\$.timeout`"),
        (SchemaSet, '{"schema":{"entityType":"T","parents":[]}}', "unknown field `parents`"),
        (SchemaSet, '{"schema":{"inheritsFrom":[]}}', "missing required field `entityType`"),
        (SchemaSet, '{"schema":{"entityType":"T","inheritsFrom":"A"}}', "Expected `array`, got `str`"),
        (SchemaSet, '{"schema":{"entityType":"T","fields":[{"name":"F","dataType":"int"}]}}', "'int'"),
        (SchemaSet, '{"schema":{"entityType":"T","fields":[{"name":"F"}]}}', "missing required field `dataType`"),
        (SchemaSet, '{"schema":{"entityType":"T","fields":[{"name":"F","dataType":"Int","rank":true}]}}', "got `bool`"),
        (
            SchemaSet,
            '{"schema":{"entityType":"T","fields":[{"name":"F","dataType":"Int","storageScope":"Disk"}]}}',
            "'Disk'",
        ),
        (
            SchemaSet,
            '{"schema":{"entityType":"T","fields":[{"name":"F","dataType":"Choice","choices":[1]}]}}',
            "got `int`",
        ),
    ],
)
def test_params_that_do_not_fit_are_refused_by_their_place(command: type[Command], params: str, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.json.decode(params, type=command)


def test_another_method_in_the_params_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="delete"):
        msgspec.json.decode(b'{"method":"delete","type":"T","name":"n"}', type=Create)


def test_fields_of_one_command_are_not_those_of_the_next() -> None:
    first = Create("T", "n")
    first.fields["Age"] = 1
    assert Create("T", "n").fields == {}
