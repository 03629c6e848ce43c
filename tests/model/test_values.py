"""The nine kinds: every form that is taken, every form that is refused, and JSON that keeps every bit."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, BadValue, NotFound, RequestError, TooLarge, WrongKind
from qcore.model.ids import MAX_ID, parse_id
from qcore.model.values import INT_MAX, INT_MIN, ZEROS, Kind, parse_value, value_to_json
from qcore.model.wire import decode_json, encode_json

LABELS = ("Low", "Mid", "High", "2", "-")
HERE = {1, 2, 3, MAX_ID}


def resolve(form: Any) -> int:
    """What a store does with id forms: its entities are those of `HERE`."""
    if form == "Thing$1":
        raise WrongKind("entity 1 is a Root, not a Thing")
    id = form if type(form) is int else parse_id(str(form))
    if id is None:
        raise BadParams(f"{form!r} is no entity id")
    if id not in HERE:
        raise NotFound(f"entity {id} does not exist")
    return id


def parse(kind: Kind, value: Any) -> Any:
    return parse_value(kind, "Field", value, LABELS, resolve)


ACCEPTED: list[tuple[Kind, Any, Any]] = [
    (Kind.Blob, "", b""),
    (Kind.Blob, "YQ==", b"a"),
    (Kind.Blob, "YWI=", b"ab"),
    (Kind.Blob, "YWJj", b"abc"),
    (Kind.Blob, "+/+/", b"\xfb\xff\xbf"),
    (Kind.Blob, b"\x00\xff", b"\x00\xff"),
    (Kind.Bool, True, True),
    (Kind.Bool, False, False),
    (Kind.Bool, "true", True),
    (Kind.Bool, "false", False),
    (Kind.Bool, "1", True),
    (Kind.Bool, "0", False),
    (Kind.Choice, "Low", "Low"),
    (Kind.Choice, "-", "-"),
    (Kind.Choice, 0, "Low"),
    (Kind.Choice, 2, "High"),
    (Kind.Choice, "1", "Mid"),
    (Kind.Choice, "2", "2"),
    (Kind.Choice, "4", "-"),
    (Kind.EntityList, [], ()),
    (Kind.EntityList, [1, "2", "@3"], (1, 2, 3)),
    (Kind.EntityList, [3, 1], (3, 1)),
    (Kind.EntityList, [1, 1], (1, 1)),
    (Kind.EntityList, "[]", ()),
    (Kind.EntityList, "[1,2]", (1, 2)),
    (Kind.EntityList, ' [ 1 , "@2" ] ', (1, 2)),
    (Kind.EntityReference, None, 0),
    (Kind.EntityReference, "null", 0),
    (Kind.EntityReference, 1, 1),
    (Kind.EntityReference, "1", 1),
    (Kind.EntityReference, "@1", 1),
    (Kind.EntityReference, MAX_ID, MAX_ID),
    (Kind.Float, 2.5, 2.5),
    (Kind.Float, 5, 5.0),
    (Kind.Float, -(2**53), -(2.0**53)),
    (Kind.Float, 10**30, 1e30),
    (Kind.Float, "2.5", 2.5),
    (Kind.Float, "42", 42.0),
    (Kind.Float, "-1e-5", -1e-5),
    (Kind.Float, "+.5", 0.5),
    (Kind.Float, "5.", 5.0),
    (Kind.Float, "1E5", 1e5),
    (Kind.Float, "1.7976931348623157e308", 1.7976931348623157e308),
    (Kind.Float, "5e-324", 5e-324),
    (Kind.Float, "1e-999", 0.0),
    (Kind.Int, 5, 5),
    (Kind.Int, -5, -5),
    (Kind.Int, INT_MIN, INT_MIN),
    (Kind.Int, INT_MAX, INT_MAX),
    (Kind.Int, "42", 42),
    (Kind.Int, "-42", -42),
    (Kind.Int, "+42", 42),
    (Kind.Int, "007", 7),
    (Kind.Int, "-0", 0),
    (Kind.Int, str(INT_MIN), INT_MIN),
    (Kind.Int, str(INT_MAX), INT_MAX),
    (Kind.String, "", ""),
    (Kind.String, "42", "42"),
    (Kind.String, "true", "true"),
    (Kind.String, "nan", "nan"),
    (Kind.String, "null", "null"),
    (Kind.String, '"quoted"', '"quoted"'),
    (Kind.String, "a\x00\n\u2028😀", "a\x00\n\u2028😀"),
    (Kind.Timestamp, 0, 0),
    (Kind.Timestamp, INT_MIN, INT_MIN),
    (Kind.Timestamp, INT_MAX, INT_MAX),
    (Kind.Timestamp, "-5", -5),
    (Kind.Timestamp, "1970-01-01T00:00:00Z", 0),
    (Kind.Timestamp, "1970-01-01T02:00:00.5+02:00", 500_000_000),
    (Kind.Timestamp, "2262-04-11T23:47:16.854775807Z", INT_MAX),
]


@pytest.mark.parametrize(("kind", "given", "stored"), ACCEPTED, ids=lambda value: repr(value)[:30])
def test_a_form_of_the_kind_is_taken(kind: Kind, given: Any, stored: Any) -> None:
    found = parse(kind, given)
    assert found == stored
    assert type(found) is type(stored)


EXPECTED = {
    Kind.Blob: "a Blob as padded base64",
    Kind.Bool: "a Bool (true, false, 1 or 0)",
    Kind.Choice: "one of the labels Low, Mid, High, 2, - or an index 0..4",
    Kind.EntityList: "an EntityList such as [1,2]",
    Kind.EntityReference: "an EntityReference (an entity id in any form, or null)",
    Kind.Float: "a finite Float",
    Kind.Int: "an Int (signed 64-bit)",
    Kind.String: "a String",
    Kind.Timestamp: "a Timestamp (RFC 3339, or integer nanoseconds since 1970, of the years 1677-2262)",
}

REFUSED: dict[Kind, list[Any]] = {
    Kind.Blob: [
        *(5, True, None, [1, 2], {}, 1.5),
        *(
            "YQ",
            "YQ=",
            "YQ===",
            "=",
            "====",
            "Y",
            "YQ==YQ==",
            "YR==",
            "YWI=\n",
            "YW I=",
            "-_-_",
            "ä",
            "YQ=\u003d\u00a0",
            "Y\x00==",
        ),
    ],
    Kind.Bool: [1, 0, 1.0, None, [], {}, "", "True", "TRUE", "yes", "on", "2", "01", " true", "null", "１"],
    Kind.Choice: [
        *(-1, 5, 2**70, True, False, None, 1.0, [], [0], {}),
        *("", "low", " Low", "Low ", "-1", "5", "1.0", "True", "null", "١", "9" * 50),
    ],
    Kind.EntityList: [
        *(5, True, None, {}, 1.5, [True], [None], [1.0], [[1]], [{}], [{"missing": 2}]),
        *("", "1", "1,2", "[1", "[1,]", "[true]", "[null]", "[1.0]", "{}", "null", "[[1]]", "[" * 100_000, "(1,2)"),
    ],
    Kind.EntityReference: [True, False, 1.0, [], [1], {}, {"missing": 1}],
    Kind.Float: [
        *(True, None, [], {}, math.nan, math.inf, -math.inf, 10**400),
        *(
            "",
            "nan",
            "inf",
            "-inf",
            "Infinity",
            "NaN",
            "1e999",
            "-1e999",
            "1_0",
            "1 ",
            " 1",
            "1\n",
            "0x1",
            "1e",
            "e5",
            ".",
            "1.2.3",
        ),
        *("--1", "+-1", "١", "１.５", "true", "null", "1,5"),
    ],
    Kind.Int: [
        *(True, False, None, 1.0, 1e3, [], {}, INT_MAX + 1, INT_MIN - 1, 2**64, 10**400),
        *(
            "",
            "-",
            "+",
            "--1",
            "1.0",
            "1e3",
            "1_000",
            " 1",
            "1 ",
            "1\n",
            "0x10",
            "1L",
            "١",
            "１",
            "²",
            "true",
            "null",
            "nan",
        ),
        *(str(INT_MAX + 1), str(INT_MIN - 1), "0" * 41, "9" * 100_000),
    ],
    Kind.String: [5, 1.5, True, None, [], ["a"], {}, b"bytes"],
    Kind.Timestamp: [
        *(True, None, 0.0, 1.5, [], {}, INT_MAX + 1, INT_MIN - 1),
        *(
            "",
            "now",
            "1970-01-01",
            "1.5",
            "1_000",
            str(INT_MAX + 1),
            "2262-04-11T23:47:16.854775808Z",
            "2023-02-29T00:00:00Z",
        ),
    ],
}


@pytest.mark.parametrize(
    ("kind", "given"), [(kind, given) for kind in Kind for given in REFUSED[kind]], ids=lambda value: repr(value)[:30]
)
def test_another_form_is_refused_by_field_expected_and_given(kind: Kind, given: Any) -> None:
    with pytest.raises(BadValue) as caught:
        parse(kind, given)
    message = caught.value.message
    assert message.startswith(f"field Field: expected {EXPECTED[kind]}, given ")
    assert len(message) < 300
    assert message.endswith((repr(given), "..."))
    assert caught.value.data == {"field": "Field"}


def test_every_kind_is_covered_by_both_tables() -> None:
    assert {kind for kind, _, _ in ACCEPTED} == set(REFUSED) == set(EXPECTED) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "given", "error", "said"),
    [
        (Kind.EntityReference, 99, NotFound, "given 99 (entity 99 does not exist)"),
        (Kind.EntityReference, 0, NotFound, "given 0 (entity 0 does not exist)"),
        (Kind.EntityReference, "@99", NotFound, "given '@99' (entity 99 does not exist)"),
        (Kind.EntityReference, "Thing$1", WrongKind, "given 'Thing$1' (entity 1 is a Root, not a Thing)"),
        (Kind.EntityReference, "", BadValue, "given '' ('' is no entity id)"),
        (Kind.EntityReference, "Null", BadValue, "given 'Null' ('Null' is no entity id)"),
        (Kind.EntityList, [1, 99], NotFound, "given 99 (entity 99 does not exist)"),
        (Kind.EntityList, '[1,"x"]', BadValue, "given 'x' ('x' is no entity id)"),
        (Kind.EntityList, ["null"], BadValue, "given 'null' ('null' is no entity id)"),
        (Kind.EntityList, "[-1]", NotFound, "given -1 (entity -1 does not exist)"),
    ],
)
def test_a_reference_that_leads_nowhere_names_its_field(
    kind: Kind, given: Any, error: type[RequestError], said: str
) -> None:
    with pytest.raises(error) as caught:
        parse(kind, given)
    assert caught.value.message == f"field Field: expected an entity that exists, {said}"
    assert caught.value.data == {"field": "Field"}


@pytest.mark.parametrize("given", [[1, 2, 3], "[1,2,3]", list(range(10_000))])
def test_a_list_over_the_limit_is_refused_before_any_of_it_is_looked_up(given: Any) -> None:
    def never(form: Any) -> int:
        raise AssertionError(form)

    with pytest.raises(TooLarge, match=r"field Field: a list has at most 2 elements, \d+ given"):
        parse_value(Kind.EntityList, "Field", given, (), never, max_list=2)


def test_a_list_of_the_longest_length_is_taken() -> None:
    assert parse_value(Kind.EntityList, "Field", [1, 2], (), resolve, max_list=2) == (1, 2)


def test_every_kind_but_choice_has_a_zero() -> None:
    assert {kind: value_to_json(kind, zero, bool) for kind, zero in ZEROS.items()} == {
        Kind.Blob: "",
        Kind.Bool: False,
        Kind.EntityList: [],
        Kind.EntityReference: None,
        Kind.Float: 0.0,
        Kind.Int: 0,
        Kind.String: "",
        Kind.Timestamp: "1970-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("kind", "stored", "json"),
    [
        (Kind.Int, INT_MAX, b"9223372036854775807"),
        (Kind.Int, 2**53 + 1, b"9007199254740993"),
        (Kind.Float, 1.0, b"1.0"),
        (Kind.Float, 1e16, b"1e16"),
        (Kind.Float, -0.0, b"-0.0"),
        (Kind.Float, 0.1, b"0.1"),
        (Kind.Float, 5e-324, b"5e-324"),
        (Kind.Bool, True, b"true"),
        (Kind.Choice, "Low", b'"Low"'),
        (Kind.Blob, b"\xfb\xff", b'"+/8="'),
        (Kind.String, 'a"\n😀', '"a\\"\\n😀"'.encode()),
        (Kind.Timestamp, 1_500_000_000, b'"1970-01-01T00:00:01.5Z"'),
        (Kind.EntityReference, 0, b"null"),
        (Kind.EntityReference, MAX_ID, b"18446744073709551615"),
        (Kind.EntityReference, 9, b'{"missing":9}'),
        (Kind.EntityList, (2, 9, 1), b'[2,{"missing":9},1]'),
    ],
)
def test_a_value_goes_out_as_json(kind: Kind, stored: Any, json: bytes) -> None:
    assert encode_json(value_to_json(kind, stored, HERE.__contains__)) == json


INTS = st.integers(INT_MIN, INT_MAX)
IDS = st.sampled_from(sorted(HERE))
VALUES = st.one_of(
    st.tuples(st.just(Kind.Blob), st.binary()),
    st.tuples(st.just(Kind.Bool), st.booleans()),
    st.tuples(st.just(Kind.Choice), st.sampled_from(LABELS)),
    st.tuples(st.just(Kind.EntityList), st.lists(IDS, unique=True).map(tuple)),
    st.tuples(st.just(Kind.EntityReference), st.one_of(st.just(0), IDS)),
    st.tuples(st.just(Kind.Float), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(Kind.Int), INTS),
    st.tuples(st.just(Kind.String), st.text()),
    st.tuples(st.just(Kind.Timestamp), INTS),
)


@given(VALUES)
def test_json_keeps_every_bit(value: tuple[Kind, Any]) -> None:
    kind, stored = value
    back = parse(kind, decode_json(encode_json(value_to_json(kind, stored, HERE.__contains__))))
    assert type(back) is type(stored)
    assert struct.pack(">d", back) == struct.pack(">d", stored) if kind is Kind.Float else back == stored


@given(VALUES)
def test_the_text_of_a_value_is_taken_for_the_value(value: tuple[Kind, Any]) -> None:
    kind, stored = value
    json = value_to_json(kind, stored, HERE.__contains__)
    text = json if isinstance(json, str) else encode_json(json).decode()
    back = parse(kind, text)
    assert struct.pack(">d", back) == struct.pack(">d", stored) if kind is Kind.Float else back == stored


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_so_that_it_is_read_as_a_float(number: float) -> None:
    text = encode_json(value_to_json(Kind.Float, number, bool))
    assert type(decode_json(text)) is float
    assert b"." in text or b"e" in text


@given(st.text())
def test_only_the_text_that_would_be_written_is_a_blob(text: str) -> None:
    try:
        stored = parse(Kind.Blob, text)
    except BadValue:
        return
    assert base64.b64encode(stored).decode() == text


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(Kind), ANY_JSON)
def test_any_json_is_taken_or_refused_with_the_name_of_the_field(kind: Kind, value: Any) -> None:
    refused = ""
    try:
        stored = parse(kind, value)
    except RequestError as error:
        refused = error.message
    if refused:
        assert refused.startswith("field Field: expected ")
        return
    again = parse(kind, decode_json(encode_json(value_to_json(kind, stored, HERE.__contains__))))
    assert again == stored


@given(VALUES)
def test_json_through_a_generic_reader_is_the_same_json(value: tuple[Kind, Any]) -> None:
    json = value_to_json(*value, HERE.__contains__)
    assert encode_json(msgspec.json.decode(encode_json(json))) == encode_json(json)
