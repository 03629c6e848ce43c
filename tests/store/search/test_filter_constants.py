"""Parts of filters that are the same for every entity: those that can only fail are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from qcore.model.errors import BadFilter
from qcore.model.requests.commands import SchemaSet
from qcore.model.values import Kind
from qcore.store.search.filter import FilterError, parse
from tests.store.filtering import World, evaluated
from tests.store.samples import field, type_of
from tests.store.search.test_filter_hostile import values

WORLD = World()

REFUSED = [
    # constants without a value, wherever they stand
    ("5 % 0 == 1", 1, "division by zero"),
    ("Age == 5 % 0", 8, "division by zero"),
    ("Age > 5 || 1 / 0 == 1", 12, "division by zero"),
    ("false && Age == 1 / 0", 17, "division by zero"),
    ("has(Badge) ? 1 / 0 == Age : true", 14, "division by zero"),
    ("Friends.exists(f, f == 1 - 2 * (3 % 0))", 33, "division by zero"),
    ("Friends.map(f, f > 0, 1 / 0) == []", 23, "division by zero"),
    ("cel.bind(x, 1 % 0, Age == x)", 13, "division by zero"),
    ("cel.bind(x, Age, x == 1 % 0)", 23, "division by zero"),
    ("Age == 9223372036854775807 + 1", 8, "64 bits"),
    ("1 in null", 1, "in does not take int, null_type"),
    ("Age in null", 8, "in takes a list or a map, given null_type"),
    ("Name in 'Ann'", 9, "in takes a list or a map, given string"),
    ("Name == 'a' + 1", 9, "+ does not take string, int"),
    ("Age == [1][2]", 8, "none at 2"),
    ("Name == {'a': 'b'}.c", 9, "no such key"),
    ("{'a': 1, 'a': 2}.a == Age", 1, "same key twice"),
    # conversions
    ("Age == int('four')", 8, "the digits of an int"),
    ("Age == int('4' + 'x')", 8, "the digits of an int"),
    ("uint(-1) == Age", 1, "below 0"),
    ("Height > double('')", 10, "the digits of a double"),
    ("bool('yes') || IsActive", 1, "expected true or false"),
    ("Name == string(b'\\xff')", 9, "no UTF-8"),
    ("Since > timestamp('2024-02-30T00:00:00Z')", 9, "RFC 3339"),
    ("Since > timestamp('2024-' + 'x')", 9, "RFC 3339"),
    ("Since > timestamp(99999999999999)", 9, "years 1 to 9999"),
    ("Since - Since > duration('1 ' + 'day')", 17, "expected a duration"),
    # constant operands with which nothing has a value
    ("Since.getHours('Nowhere/City') == 1", 16, "unknown time zone 'Nowhere/City'"),
    ("Since.getHours('europe' + '/berlin') == 1", 16, "unknown time zone"),
    ("Since.getFullYear('+2:00') == 1", 19, "unknown time zone"),
    ("Since.getMilliseconds('') == 1", 23, "unknown time zone"),
    ("Since.getHours(1) == 1", 16, "the time zone of getHours is a string"),
    ("Team->Since.getHours('Nowhere') == 1", 22, "unknown time zone"),
    ("Age % 0 == 1", 7, "division by zero"),
    ("Age * 3 / (1 - 1) == 1", 12, "division by zero"),
    ("5 / 0 * Age == 1", 5, "division by zero"),
    ("Friends.exists(f, f / 0u == 1u)", 23, "division by zero"),
    ("Name.charAt(-1) == 'a'", 13, "charAt: -1 is below 0"),
    ("Name.substring(1, -2) == 'a'", 19, "substring: -2 is below 0"),
    ("Name.indexOf('a', 2 - 3) == 1", 19, "indexOf: -1 is below 0"),
    ("math.bitShiftLeft(Age, -1) == 1", 24, "math.bitShiftLeft: -1 is below 0"),
    ("'%a'.format([Name]) == ''", 1, "format: expected one of"),
    ("'%s %d'.format([Name]) == ''", 1, "format: 2 values are needed, 1 given"),
    ("'%s %'.format(Friends) == ''", 1, "format: expected one of"),
    ("'%d'.format(['a']) == Name", 6, "format: %d does not take string"),
    ("Name.matches('[' + ']')", 14, "not a regular expression"),
]


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_what_can_only_fail_is_refused_with_its_place(text: str, column: int, reason: str) -> None:
    with pytest.raises(BadFilter) as caught:
        WORLD.bind(text)
    assert reason in caught.value.message
    assert caught.value.data["column"] == column


TRUE = [
    "true || 1 / 0 == 1",
    "(1 / 0 == 1 || true) && Age == 30",
    "(true ? 1 : 1 % 0) == 1",
    "[].all(x, 1 / 0 == x) && ![].exists(x, 1 in null)",
    "Height / 0.0 > 1.0 && Height / 0.0 == double('inf')",
    "[0, 1].exists(x, 1 / x == 1)",
    "Since.getHours('Europe/Berlin') == 13 && Since.getHours('+01:00') == 13",
    "[1].exists(int, int == 1) && Age in [1, 30] && 'a' in {'a': Age}",
    "Name.charAt(0) == 'A' && Name.substring(1, 3) == 'nn'",
    "cel.bind(x, Badge, true || x == 'a')",
]


@pytest.mark.parametrize("text", TRUE)
def test_an_error_beside_an_answer_is_none(text: str) -> None:
    assert WORLD.matches(text) is True


def test_a_constant_that_takes_long_is_left_to_the_entities() -> None:
    text = "[1,2,3,4,5,6,7,8,9,10]"
    many = f"{text}.all(a, {text}.all(b, {text}.all(c, {text}.all(d, a > 0 && b > 0 && c > 0 && d > 0)))) && Age == 30"
    WORLD.bind(many)
    with pytest.raises(BadFilter, match="too expensive: more than 50000 steps for entity"):
        WORLD.matches(many, steps=50_000)
    assert WORLD.matches(many, steps=200_000)


def test_a_name_of_a_type_may_be_a_field() -> None:
    world = World()
    world.log.do(SchemaSet(schemas=[type_of("Odd", field("int", Kind.Int, 5))]))
    odd = world.log.create("Odd", "x")
    state = world.log.state
    assert world.bind("int + 1 == 6", "Odd").matches(state, state.entities[odd])


@settings(max_examples=300, deadline=None)
@given(values(), values())
def test_what_is_refused_has_no_answer_unless_something_beside_it_decides(one: str, other: str) -> None:
    text = f"({one}) == ({other})"
    state = WORLD.log.state
    try:
        WORLD.bind(text)
    except BadFilter as exc:
        if (
            "unknown" in exc.message
            or "a field has no" in exc.message
            or any(s in text for s in ("?", "&&", "||", "(x,"))
        ):
            return
        with pytest.raises(FilterError):
            evaluated(parse(text), state, state.entities[WORLD.ann])
