"""Documents in memory: how values are written in them and read again, escapes, keys, problems."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.documents.document import (
    MAX_PROBLEMS,
    STRUCTURE,
    Document,
    DocumentEntity,
    Problem,
    escape_text,
    field_of_key,
    key_of_field,
    password_in,
    read_form,
    refuse,
    standard_form,
    step_of_key,
    with_texts,
    write_form,
)
from qcore.model.errors import BadParams, BadValue, NotFound, TooLarge
from qcore.model.schema import CompleteField, EntitySchema, FieldSchema
from qcore.model.times import NS
from qcore.model.values import INT_MAX, INT_MIN, Kind, Stored, parse_value
from qcore.model.wire import decode_json, encode_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LOOKALIKES = st.builds(
    lambda slashes, text, end: "\\" * slashes + "__hashpw__(" + text + end,
    st.integers(0, 4),
    TEXTS,
    st.sampled_from([")", ""]),
)
LABELS = ["Low", "1", "High", "0", "null", "__hashpw__(x)"]

STORED: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.Blob: st.binary(max_size=40),
    Kind.Bool: st.booleans(),
    Kind.Choice: st.sampled_from(LABELS),
    Kind.Float: st.floats(allow_nan=False, allow_infinity=False),
    Kind.Int: st.integers(INT_MIN, INT_MAX),
    Kind.String: TEXTS | LOOKALIKES,
    Kind.Timestamp: st.integers(INT_MIN, INT_MAX),
}


def field(kind: Kind, name: str = "F") -> CompleteField:
    return CompleteField(FieldSchema(name, kind, choices=LABELS if kind is Kind.Choice else []), "T", 3)


def resolve(form: Any) -> int:
    """Entities 1 to 9 exist."""
    if not 1 <= int(form) <= 9:
        raise NotFound(f"no {form}")
    return int(form)


def read(kind: Kind, value: Any, max_list: int | None = None) -> Stored:
    return read_form(field(kind), value, resolve, max_list)


def refused(kind: Kind, value: Any) -> str:
    with pytest.raises(BadValue) as caught:
        read(kind, value)
    assert caught.value.data == {"field": "F"}
    return caught.value.message


# -- there and back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STORED)
@given(st.data())
def test_what_is_written_is_read_as_the_same(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(STORED[kind])
    text = encode_json(write_form(kind, value))
    back = read(kind, decode_json(text))
    assert (type(back), repr(back)) == (type(value), repr(value))


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        (Kind.Blob, b"", ""),
        (Kind.Blob, b"\x00\xff", "AP8="),
        (Kind.Timestamp, 0, "1970-01-01T00:00:00Z"),
        (Kind.Timestamp, INT_MIN, "1677-09-21T00:12:43.145224192Z"),
        (Kind.Timestamp, INT_MAX, "2262-04-11T23:47:16.854775807Z"),
        (Kind.Int, INT_MIN, INT_MIN),
        (Kind.Choice, "1", "1"),
        (Kind.Float, -0.0, -0.0),
        (Kind.Bool, True, True),
        (Kind.String, "", ""),
    ],
)
def test_each_kind_has_its_form(kind: Kind, value: Any, form: Any) -> None:
    assert repr(write_form(kind, value)) == repr(form)


# -- what is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "ns"),
    [
        (0, 0),
        (1, NS),
        (-1, -NS),
        (1.5, 1_500_000_000),
        (0.1, 100_000_000),
        (0.3, 300_000_000),
        (1e-9, 1),
        (-1e-9, -1),
        (1e-10, 0),
        (-0.0, 0),
        (1700000000.1, 1_700_000_000_100_000_000),
        (1700000000.123456, 1_700_000_000_123_456_000),
        (8589934591.999999, 8_589_934_591_999_999_000),
        (1e9, 10**18),
        (9223372036, 9_223_372_036 * NS),
        (-9223372036, -9_223_372_036 * NS),
        ("1970-01-01T00:00:01Z", NS),
        ("2023-11-14T22:13:20.000000007Z", 1_700_000_000_000_000_007),
        ("2023-11-15T00:13:20.5+02:00", 1_700_000_000_500_000_000),
        ("1677-09-21T00:12:43.145224192Z", INT_MIN),
        ("2262-04-11T23:47:16.854775807Z", INT_MAX),
    ],
)
def test_a_timestamp_is_rfc_3339_or_seconds(given_value: Any, ns: int) -> None:
    assert read(Kind.Timestamp, given_value) == ns
    assert standard_form(Kind.Timestamp, "F", given_value) == ns


@given(st.integers(-(10**10), 10**10), st.integers(0, 999_999))
def test_seconds_are_exact_to_the_microsecond(seconds: int, micros: int) -> None:
    text = f"{seconds}.{micros:06d}"
    ns = int(Decimal(text) * NS)
    if not INT_MIN <= ns <= INT_MAX or abs(seconds) >= 2**33:
        return
    assert read(Kind.Timestamp, decode_json(text)) == ns


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            "",
            "now",
            "5",
            "1700000000",
            "2023-02-29T00:00:00Z",
            "2023-01-01",
            "2262-04-11T23:47:16.854775808Z",
        ),
        *(
            float("nan"),
            float("inf"),
            float("-inf"),
            1e308,
            9223372037,
            -9223372037,
            10**400,
            1_700_000_000_000_000_000,
        ),
    ],
)
def test_other_timestamps_are_refused(value: Any) -> None:
    words = "expected a Timestamp (RFC 3339, or seconds since 1970, of the years 1677-2262), given "
    assert words + repr(value)[:80] == refused(Kind.Timestamp, value).removeprefix("field F: ")


@pytest.mark.parametrize(
    ("value", "stored"),
    [("", b""), ("AP8=", b"\x00\xff"), ([], b""), ([0, 255], b"\x00\xff"), ([1] * 1_000_000, b"\x01" * 1_000_000)],
)
def test_a_blob_is_base64_or_a_list_of_bytes(value: Any, stored: bytes) -> None:
    assert read(Kind.Blob, value) == stored


@pytest.mark.parametrize("value", [[256], [-1], [1.0], [True], [None], ["1"], [0, 2**64]])
def test_a_list_of_other_things_is_no_blob(value: Any) -> None:
    assert refused(Kind.Blob, value) == "field F: a Blob as a list has numbers 0..255 only"


@pytest.mark.parametrize("value", [None, 1, True, "AP8", "A P8=", "-_8="])
def test_other_blobs_are_refused(value: Any) -> None:
    assert "expected a Blob as padded base64" in refused(Kind.Blob, value)


@pytest.mark.parametrize(
    ("value", "label"), [("Low", "Low"), ("1", "1"), (1, "1"), (0, "Low"), ("0", "0"), ("2", "High"), (5, LABELS[5])]
)
def test_a_label_goes_before_an_index(value: Any, label: str) -> None:
    assert read(Kind.Choice, value) == label


@pytest.mark.parametrize("value", [None, 6, -1, 1.0, True, "low", "6", ""])
def test_what_is_no_label_is_refused(value: Any) -> None:
    assert "expected one of the labels Low, 1, High, 0, null, __hashpw__(x) or an index 0..5" in refused(
        Kind.Choice, value
    )


@pytest.mark.parametrize(
    ("value", "stored"), [(True, True), (False, False), ("true", True), ("false", False), ("1", True), ("0", False)]
)
def test_a_bool_has_two_words_for_each(value: Any, stored: bool) -> None:
    assert read(Kind.Bool, value) is stored


@pytest.mark.parametrize(
    ("value", "stored"), [(3, 3.0), (2**64, 2.0**64), (10**30, 1e30), ("1e3", 1000.0), (-0.0, -0.0)]
)
def test_a_float_takes_any_finite_number(value: Any, stored: float) -> None:
    assert repr(read(Kind.Float, value)) == repr(stored)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Kind.Float, value) for value in (float("nan"), float("inf"), "nan", "1e999", 10**400, True, None, "")),
        *((Kind.Int, value) for value in (INT_MAX + 1, INT_MIN - 1, 1.0, True, None, "", "1.0")),
        *((Kind.String, value) for value in (1, 1.0, True, None)),
        *((Kind.Bool, value) for value in (1, 0, None, "yes", "True")),
    ],
)
def test_what_does_not_fit_is_refused_as_everywhere(kind: Kind, value: Any) -> None:
    message = refused(kind, value)
    with pytest.raises(BadValue) as caught:
        parse_value(kind, "F", value, [], resolve)
    assert message == caught.value.message


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("value", [{}, {"missing": 1}, [[]], [{}], [1, [2, [3]]], [{"a": 1}, 2]])
def test_no_kind_is_written_nested(kind: Kind, value: Any) -> None:
    assert refused(kind, value) == f"field F: expected a value of kind {kind}, given a nested one"


# -- references --------------------------------------------------------------------------------------------


def test_references_are_resolved() -> None:
    assert [read(Kind.EntityReference, value) for value in (None, "null", 3, "3")] == [0, 0, 3, 3]
    assert read(Kind.EntityList, [3, "1"]) == (3, 1)
    assert read(Kind.EntityList, []) == ()


def test_a_reference_that_leads_nowhere_is_refused_as_the_resolver_says() -> None:
    for kind, value in ((Kind.EntityReference, 10), (Kind.EntityList, [1, 10])):
        with pytest.raises(NotFound, match=r"field F: expected an entity that exists, given 10 \(no 10\)"):
            read(kind, value)


def test_an_entity_stands_once_in_a_list_whatever_it_is_called() -> None:
    assert refused(Kind.EntityList, [3, 1, "3"]) == "field F: an entity stands twice in the list"


def test_a_list_is_as_long_as_allowed() -> None:
    assert read(Kind.EntityList, [1, 2], max_list=2) == (1, 2)
    with pytest.raises(TooLarge, match="at most 2 elements, 3 given"):
        read(Kind.EntityList, [1, 2, 3], max_list=2)


# -- passwords and escapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "password"),
    [
        ("__hashpw__(x)", "x"),
        ("__hashpw__()", ""),
        ("__hashpw__())", ")"),
        ("__hashpw__(a(b)c)", "a(b)c"),
        ("__hashpw__(\n\U0001f600)", "\n\U0001f600"),
        ("__hashpw__(__hashpw__(x))", "__hashpw__(x)"),
        *(
            (text, None)
            for text in ("", "__hashpw__", "__hashpw__(", "__hashpw__)", " __hashpw__(x)", "__hashpw__(x) ")
        ),
        *(
            (value, None)
            for value in ("__HASHPW__(x)", "\\__hashpw__(x)", None, 5, ["__hashpw__(x)"], b"__hashpw__(x)")
        ),
    ],
)
def test_a_password_is_what_stands_in_the_brackets(value: Any, password: str | None) -> None:
    assert password_in(value) == password


def test_a_password_that_nobody_hashed_is_no_value() -> None:
    assert refused(Kind.String, "__hashpw__(x)") == "field F: the password is not hashed yet"
    assert read(Kind.Choice, "__hashpw__(x)") == "__hashpw__(x)"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("__hashpw__(x)", "\\__hashpw__(x)"),
        ("\\__hashpw__(x)", "\\\\__hashpw__(x)"),
        ("\\\\__hashpw__(x)", "\\\\\\__hashpw__(x)"),
        *(
            (text, text)
            for text in ("", "\\", "\\\\", "x", "x)", "__hashpw__(x", "\\__hashpw__(x", "a\\__hashpw__(x)", "\\n)")
        ),
    ],
)
def test_only_what_looks_like_a_password_is_escaped(text: str, written: str) -> None:
    assert escape_text(text) == written
    assert read(Kind.String, written) == text


@given(TEXTS | LOOKALIKES)
def test_a_text_that_was_written_is_never_taken_for_a_password(text: str) -> None:
    written = write_form(Kind.String, text)
    assert password_in(written) is None
    assert read(Kind.String, written) == text


def test_texts_of_a_document_can_be_replaced_by_any_other() -> None:
    document = Document(
        [], [DocumentEntity("Root", "Root"), DocumentEntity("T", "a", 0, 2, {"A": 1, "S": "__hashpw__(x)"})], 3
    )
    changed = with_texts(document, {(1, "S"): "__hashpw__(y)", (0, "S"): "$scrypt$"})
    assert changed.entities[1].fields == {"A": 1, "S": "\\__hashpw__(y)"}
    assert changed.entities[0].fields == {"S": "$scrypt$"}
    assert document.entities[1].fields == {"A": 1, "S": "__hashpw__(x)"}
    assert document.entities[0].fields == {}
    assert (changed.entities[1].id, changed.entities[1].parent, changed.next_id) == (2, 0, 3)


# -- keys and paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURE)
def test_a_field_called_like_a_part_of_an_entity_is_escaped(name: str) -> None:
    assert key_of_field(name) == "\\" + name
    assert field_of_key("\\" + name) == name


@given(st.text("\\idNamex", max_size=6))
def test_a_field_is_found_by_its_key(name: str) -> None:
    assert field_of_key(key_of_field(name)) == name or name.startswith("\\")
    assert key_of_field(name) not in STRUCTURE


def test_other_keys_mean_themselves() -> None:
    assert [field_of_key(key) for key in ("Age", "\\Age", "\\\\id", "\\", "")] == ["Age", "\\Age", "\\\\id", "\\", ""]


@pytest.mark.parametrize(
    ("key", "step"),
    [
        ("Age", ".Age"),
        ("_a1", "._a1"),
        ("1a", '["1a"]'),
        ("\\id", '["\\\\id"]'),
        ("", '[""]'),
        ('a"b', '["a\\"b"]'),
        ("é", '["é"]'),
    ],
)
def test_a_step_of_a_json_path_is_quoted_where_it_has_to_be(key: str, step: str) -> None:
    assert step_of_key(key) == step


# -- problems ----------------------------------------------------------------------------------------------


def test_a_problem_is_a_path_and_a_message() -> None:
    assert str(Problem("$.tree", "unknown")) == "$.tree: unknown"


def test_a_problem_that_quotes_too_much_is_cut() -> None:
    problem = Problem("$" + ".a" * 1_000_000, "x" * 1_000_000)
    assert len(problem.path) == len(problem.message) == 1000
    assert problem.path.startswith("$.a.a")
    assert problem.path.endswith(".a.a")


def test_a_document_is_refused_with_its_problems() -> None:
    error = refuse([Problem("$.a", "bad")])
    assert type(error) is BadParams
    assert error.message == "$.a: bad"
    assert error.data == {"problems": [{"path": "$.a", "message": "bad"}]}


def test_a_refusal_carries_the_first_thousand_problems_and_counts_them_all() -> None:
    error = refuse([Problem(f"$.schemas[{number}]", "bad") for number in range(10_000)])
    assert error.message == "$.schemas[0]: bad (and 9999 more problems)"
    assert len(error.data["problems"]) == MAX_PROBLEMS == 1000
    assert error.data["problems"][-1]["path"] == "$.schemas[999]"
    assert encode_json(error.wire())


# -- in the log --------------------------------------------------------------------------------------------


def test_a_document_survives_the_log() -> None:
    fields = {
        "I": INT_MIN,
        "F": -0.0,
        "S": "\\__hashpw__(x)\U0001f600",
        "L": ["/a\\/b", "7", 7],
        "N": None,
        "Big": 10**30,
    }
    entities = [DocumentEntity("Root", "Root", None, 1), DocumentEntity("T", "a", 0, INT_MAX, fields)]
    document = Document([EntitySchema("T", ["Object"], [FieldSchema("I", Kind.Int, 5, -1)])], entities, 7)
    back = msgspec.json.decode(encode_json(document), type=Document)
    assert back == document
    assert repr(back) == repr(document)


def test_what_an_entity_does_not_say_is_not_written() -> None:
    assert encode_json(Document([], [DocumentEntity("Root", "Root")])) == (
        b'{"schemas":[],"entities":[{"type":"Root","name":"Root"}]}'
    )
