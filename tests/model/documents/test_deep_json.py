"""JSON of any depth: the same as msgspec's decoder wherever that goes, twins, places, and what hostile texts cost."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcore.model.documents.deep_json import decode_deep, read_json
from qcore.model.wire import decode_json, encode_json

TEXTS = st.text(st.sampled_from('"\\:{}[],/ab é\n\U0001f600') | st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4),
    max_leaves=20,
)
PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', '"a"', '"a":', "\\", " ", "\t", "\n", "\r", "\x0b", "\xa0", "\x00", "é"),
        *("1", "-", "0", ".", "e5", "1e999", "NaN", "Infinity", "-0.0", "true", "null", "nul", "/**/"),
        *('"\\ud800"', '"\\u0041"', '"\n"'),
    ]
)


def read(text: str) -> Any:
    return read_json(text, [])


def outcome(decode: Any, text: Any) -> tuple[str, str]:
    """What a decoder makes of a text: equal only for what is the same to the bit."""
    try:
        return "value", repr(decode(text))
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeEncodeError):
        return "refused", ""


def message(text: str) -> str:
    with pytest.raises(json.JSONDecodeError) as caught:
        decode_deep(text)
    with pytest.raises(json.JSONDecodeError):
        read(text)
    return str(caught.value)


# -- the same as the fast decoder --------------------------------------------------------------------------


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_a_value_is_read_as_the_fast_decoder_reads_it(value: Any, indent: Any) -> None:
    for text in (encode_json(value).decode(), json.dumps(value, indent=indent)):
        assert outcome(decode_deep, text) == outcome(read, text) == outcome(decode_json, text)
        assert outcome(decode_deep, text)[0] == "value"


@given(st.lists(PIECES, max_size=12).map("".join))
@example("[1]]")
@example('{"a":1}{}')
@example('{"a":}')
@example('{"a" 1}')
@example("[1 2]")
@example('["a"b]')
@example("[,1]")
@example("[1\n]\n ")
@example('"a\\"')
@example("{1:2}")
@example('{"a":1,}')
@example("1\n\n")
@example("1" * 4300)
@example("1" * 4301)
@example("-" + "1" * 5000)
@example('["\\ud83d\\ude00"]')
@example('["\\ud83d\\ud83d"]')
@example('["\\uD83Dx"]')
@example('["\\\\ud800"]')
@example("\ufeff1")
def test_any_text_is_read_or_refused_as_the_fast_decoder_does(text: str) -> None:
    assert outcome(decode_deep, text) == outcome(read, text) == outcome(decode_json, text)


@given(VALUES, st.data())
def test_a_text_with_something_changed_is_read_or_refused_as_the_fast_decoder_does(
    value: Any, data: st.DataObject
) -> None:
    text = encode_json(value).decode()
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(begin + 2, len(text))))
    changed = text[:begin] + data.draw(PIECES | st.just("")) + text[end:]
    assert outcome(decode_deep, changed) == outcome(read, changed) == outcome(decode_json, changed)


def test_the_last_of_two_equal_keys_counts_as_everywhere() -> None:
    assert decode_deep('{"a":1,"b":2,"\\u0061":3}') == {"a": 3, "b": 2} == decode_json('{"a":1,"b":2,"\\u0061":3}')


# -- depth and size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_text_of_a_hundred_thousand_levels_is_read(opening: str, closing: str) -> None:
    levels = 100_000
    value = decode_deep(f"{opening * levels}0{closing * levels}")
    depth = 0
    while isinstance(value, list | dict):
        (value,) = value if isinstance(value, list) else value.values()
        depth += 1
    assert value == 0
    assert depth == levels * len(closing)


def test_strings_of_ten_million_characters_are_read() -> None:
    assert decode_deep(f'["{"a" * 10_000_000}"]') == ["a" * 10_000_000]
    assert decode_deep('["' + "\\n" * 5_000_000 + '"]') == ["\n" * 5_000_000]
    assert message('["' + "a" * 10_000_000) == "A string without end: line 1 column 2 (char 1)"
    assert message('["' + "\\" * 9_999_999 + '"') == "A string without end: line 1 column 2 (char 1)"


def test_a_list_of_a_million_elements_is_read() -> None:
    assert decode_deep(f"[{','.join(['1'] * 1_000_000)}]") == [1] * 1_000_000


@pytest.mark.parametrize("text", ["[" * 1_500_000, "[" + "[]," * 1_500_000 + "0]", '{"a":' * 1_500_000], ids=len)
def test_a_text_of_nothing_but_brackets_is_refused_before_it_takes_all_memory(text: str) -> None:
    assert message(text).startswith("Expected at most 1000000 lists and objects in a text of this length: line 1")


def test_brackets_within_a_string_are_text() -> None:
    assert read(f'["{"[{" * 1_000_000}"]') == ["[{" * 1_000_000]


def test_a_long_stretch_without_objects_is_read_as_any_other() -> None:
    numbers = [*range(800_000)]
    assert read(f'{{"a":{json.dumps(numbers)},"b":{{}}}}') == {"a": numbers, "b": {}}
    keys = {f"k{number}": number for number in range(400_000)}
    assert read(f"[{{}},{json.dumps(keys)},{{}}]") == [{}, keys, {}]


# -- places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expected a value, given the end of the text: line 1 column 1 (char 0)"),
        ("  [", "Expected a value, given the end of the text: line 1 column 4 (char 3)"),
        ("[1 2]", "Expected , or ], given '2': line 1 column 4 (char 3)"),
        ('{"a":1\n"b"', "Expected , or }, given '\"b\"': line 2 column 1 (char 7)"),
        ("[1]\n x", "Expected the end of the text, given 'x': line 2 column 2 (char 5)"),
        ("[1,nul]", "Expected a value, given 'nul': line 1 column 4 (char 3)"),
        ("[NaN]", "Expected a value, given 'NaN': line 1 column 2 (char 1)"),
        ("[1e999]", "Expected a value, given '1e999': line 1 column 2 (char 1)"),
        ('{"a":1,}', "Expected a key, given '}': line 1 column 8 (char 7)"),
        ('{"a\n":1}', "Expected a key, given '\"a\\n\"': line 1 column 2 (char 1)"),
        ('{"a",1}', "Expected :, given ',': line 1 column 5 (char 4)"),
        ('["\\x"]', "Expected a value, given '\"\\\\x\"': line 1 column 2 (char 1)"),
        ('["\\ud800"]', "Expected a value, given '\"\\\\ud800\"': line 1 column 2 (char 1)"),
        ('["a', "A string without end: line 1 column 2 (char 1)"),
        ("[" + "x" * 100, f"Expected a value, given '{'x' * 20}': line 1 column 2 (char 1)"),
    ],
)
def test_an_error_names_the_place(text: str, words: str) -> None:
    assert message(text) == words


@pytest.mark.parametrize("text", ["[1]]", '{"a":"b}', '\n{"a": 1 "b": 2}', "[1,]", "{'a':1}"])
def test_the_usual_slips_are_found_at_their_line_and_column(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as fast:
        read(text)
    with pytest.raises(json.JSONDecodeError) as deep:
        decode_deep(text)
    assert abs(fast.value.pos - deep.value.pos) <= 1


# -- twins -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TEXTS, NUMBERS | TEXTS), max_size=8))
def test_every_key_that_stood_before_is_found(pairs: list[tuple[str, Any]]) -> None:
    text = f"{{{','.join(f'{json.dumps(key)}:{json.dumps(value)}' for key, value in pairs)}}}"
    for decode in (read_json, decode_deep):
        twins: list[str] = []
        value = decode(text, twins)
        assert value == dict(pairs)
        assert len(twins) == len(pairs) - len(value)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('{"a":1,"a":2,"a":3}', ["$.a", "$.a"]),
        ('[0,{"a":[{"b":1,"c d":2,"c d":3}]}]', ['$[1].a[0]["c d"]']),
        ('{"a":{"x":1,"x":2},"a":{"x":1}}', ["$.a.x", "$.a"]),
        ('{"a":{"x":1},"b":{"x":1}}', []),
        ('{"":1,"":2}', ['$[""]']),
    ],
)
def test_a_twin_is_named_by_its_json_path(text: str, paths: list[str]) -> None:
    for decode in (read_json, decode_deep):
        twins: list[str] = []
        decode(text, twins)
        assert twins == paths


def test_a_twin_at_each_of_a_hundred_thousand_levels_is_named_without_its_middle() -> None:
    levels = 100_000
    twins: list[str] = []
    decode_deep('{"a":0,"a":' * levels + "0" + "}" * levels, twins)
    assert len(twins) == levels
    assert twins[59] == "$" + ".a" * 60
    assert twins[60] == twins[-1] == f"${'.a' * 48} ... {'.a' * 12}"


def test_numbers_keep_every_bit() -> None:
    assert decode_deep("[9223372036854775808,-9223372036854775809,1e-999]") == [2**63, -(2**63) - 1, 0.0]
    (zero,) = decode_deep("[-0.0]")
    assert math.copysign(1, zero) == -1
