"""Filters beside cel-python's own interpreter: the same answer or both an error, and a table of where they part."""

from __future__ import annotations

from typing import Any

import celpy
import pytest
from celpy.celparser import CELParseError
from celpy.celtypes import BoolType, BytesType, DoubleType, IntType, ListType, StringType, TimestampType
from celpy.evaluation import CELEvalError
from hypothesis import given, settings
from hypothesis import strategies as st

from qcore.model.errors import BadFilter
from qcore.model.values import Kind
from qcore.store.search.filter import FilterError, bind, parse
from tests.store.filtering import evaluated
from tests.store.samples import Log, field, type_of

ERROR = "error"

FIELDS = [
    field("I", Kind.Int, 7),
    field("J", Kind.Int, -3),
    field("F", Kind.Float, 2.5),
    field("S", Kind.String, "Anna"),
    field("T", Kind.String, "ann"),
    field("B", Kind.Bool, True),
    field("L", Kind.EntityList),
    field("D", Kind.Blob, "aGk="),
    field("W", Kind.Timestamp, "2024-02-29T12:30:45Z"),
]


def sample() -> tuple[Log, int]:
    log = Log(type_of("Thing", *FIELDS))
    id = log.create("Thing", "one")
    return log, log.create("Thing", "two", L=[1, id])


LOG, ID = sample()
ENTITY = LOG.state.entities[ID]
PEER: dict[str, Any] = {
    "I": IntType(7),
    "J": IntType(-3),
    "F": DoubleType(2.5),
    "S": StringType("Anna"),
    "T": StringType("ann"),
    "B": BoolType(True),
    "L": ListType([IntType(1), IntType(2)]),
    "D": BytesType(b"hi"),
    "W": TimestampType("2024-02-29T12:30:45Z"),
}


def ours(text: str) -> object:
    """True, False or an error."""
    try:
        return bind(parse(text), [ENTITY.schema]).matches(LOG.state, ENTITY)
    except (FilterError, BadFilter):
        return ERROR


def ours_unrefused(text: str) -> object:
    """As `ours`, where a constant part that can only fail is no reason to refuse the whole."""
    try:
        return evaluated(parse(text), LOG.state, ENTITY)
    except FilterError:
        return ERROR


def theirs(text: str) -> object:
    """What cel-python's interpreter says, without any type of its own; it shares the parser with filters."""
    environment = celpy.Environment(runner_class=celpy.InterpretedRunner)
    try:
        program = environment.program(environment.compile(text))
        result: Any = program.evaluate(dict(PEER))
    except (CELEvalError, CELParseError):
        return ERROR
    return bool(result) if isinstance(result, BoolType | bool) else ERROR


def test_the_sample_has_the_values_given_to_the_peer() -> None:
    assert ENTITY.values[ENTITY.schema.field("L").slot] == (1, 2)
    assert ours("I == 7 && J == -3 && F == 2.5 && S == 'Anna' && T == 'ann' && B && D == b'hi'") is True


WORDS = st.text(st.sampled_from("abnA é.,0"), max_size=6)


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


def either(strategy: st.SearchStrategy[str], signs: list[str]) -> st.SearchStrategy[str]:
    sign = st.sampled_from(signs)
    return joined(st.just("("), strategy, sign, strategy, st.just(")"))


def expressions() -> st.SearchStrategy[str]:
    """Well-typed expressions that are bools, errors of range and division included."""
    numbers = st.sampled_from([0, 1, 2, 3, 7, 10, 2**31, 2**62, 2**63 - 1]).map(str)
    ints = st.one_of(
        numbers, st.sampled_from(["I", "J", "-1", "size(S)", "S.size()", "size(L)", "L[0]", "L[1]", "L[5]"])
    )
    ints = st.one_of(ints, either(ints, [" + ", " - ", " * ", " / ", " % "]))
    doubles = st.sampled_from(["F", "0.0", "1.5", "-2.25", "1e10", "0.1", "double(I)", "double('2.5')"])
    doubles = st.one_of(doubles, either(doubles, [" + ", " - ", " * "]))
    texts = st.one_of(WORDS.map(lambda text: f"'{text}'"), st.sampled_from(["S", "T", "string(I)"]))
    strings = st.one_of(texts, either(texts, [" + "]))
    small = st.integers(-9, 9).map(str)
    lists = st.one_of(
        st.just("L"),
        st.lists(ints, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        joined(st.just("L.map(x, x * "), small, st.just(")")),
        joined(st.just("L.filter(x, x > "), small, st.just(")")),
    )
    orders = [" == ", " != ", " < ", " <= ", " > ", " >= "]
    leaves = st.one_of(
        st.sampled_from(["true", "false", "B", "D == b'hi'", "W > timestamp('2024-01-01T00:00:00Z')"]),
        either(ints, orders),
        either(doubles, orders),
        either(strings, orders),
        either(lists, [" == ", " != "]),
        joined(ints, st.just(" in "), lists),
        joined(strings, st.sampled_from([".startsWith(", ".endsWith("]), strings, st.just(")")),
        joined(texts, st.just(".contains("), strings, st.just(")")),
        joined(lists, st.sampled_from([".all(x, x > ", ".exists(x, x == "]), ints, st.just(")")),
        joined(lists, st.just(".exists_one(x, x < "), small, st.just(")")),
    )
    for _ in range(3):
        leaves = st.one_of(
            leaves,
            either(leaves, [" && ", " || "]),
            leaves.map(lambda text: f"!({text})"),
            joined(st.just("("), leaves, st.just(" ? "), leaves, st.just(" : "), leaves, st.just(")")),
        )
    return leaves


DIFFERENCES: list[tuple[str, object, object]] = [
    ("1 == 1.0", True, ERROR),
    ("1 < 1.5", True, ERROR),
    ("1u == 1", True, ERROR),
    ("9007199254740993 == 9007199254740992.0", False, ERROR),
    ("1 in [1.0]", True, ERROR),
    ("[1] == [1.0]", True, ERROR),
    ("[3, 1][0.0] == 3", True, ERROR),
    ("1 == '1'", False, ERROR),
    ("null == 1", False, ERROR),
    ("B == 1", False, True),
    ("1 in [true]", False, True),
    ("W == timestamp('2024-02-29T12:30:45.000000001Z')", False, True),
    ("timestamp('2024-01-01T00:00:00.000000001Z') > timestamp('2024-01-01T00:00:00Z')", True, False),
    ("timestamp(0) == timestamp('1970-01-01T00:00:00Z')", True, ERROR),
    ("duration('1.234s').getMilliseconds() == 234", True, False),
    ("string(true) == 'true'", True, False),
    ("int('0x10') == 16", ERROR, True),
    ("int(true) == 1", ERROR, True),
    ("S[0] == 'A'", ERROR, True),
    ("getHours(W) == 1", ERROR, False),
    ("!(S + T).contains('x')", True, ERROR),
    ("L.map(x, 1 / (I - I)) == [1] || true", True, ERROR),
    ("L.exists_one(x, x < L[5]) || true", True, ERROR),
]
"""Filter, our answer, cel-python's; each has its row in docs/filters.md."""


@pytest.mark.parametrize(("text", "answer", "peer"), DIFFERENCES)
def test_where_they_part_is_known(text: str, answer: object, peer: object) -> None:
    assert (ours(text), theirs(text)) == (answer, peer)


@settings(max_examples=250, deadline=None)
@given(expressions())
def test_the_answer_is_that_of_cel_python(text: str) -> None:
    assert ours_unrefused(text) == theirs(text), text
    assert ours(text) in (theirs(text), ERROR), text
