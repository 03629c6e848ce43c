"""What a request holds is counted in its text: too much of anything is refused before it is made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.api import read_params
from qcore.model.errors import BadParams, TooLarge
from qcore.model.requests import json_limits
from qcore.model.requests.json_limits import SIZED_JSON, JsonLimits, check_array, check_params, check_request
from qcore.model.schema import MAX_COMPLETE, MAX_FIELDS

KEYS = ",".join(f'"k{number}":1' for number in range(1_000_000))

TOO_MUCH = [
    ("set", '{"id":1,"field":"F","value":[' + "1," * 2_000_000 + "1]}", "values"),
    ("set", '{"id":1,"field":"F","value":[' + ("[" * 500 + "]" * 500 + ",") * 600 + "1]}", "containers"),
    ("set", '{"id":1,"fields":{' + KEYS + "}}", "keys"),
    ("set", "[" + "1," * 2_000_001 + "1]", "values"),
    ("get", '{"id":1,"fields":[' + '"",' * 300_000 + '""]}', "values"),
    ("pipeline", '{"commands":[' + '{"method":"ping"},' * 600_000 + "1]}", "containers"),
    ("transaction", '{"commands":[],"conditions":[' + '{"id":1},' * 600_000 + "1]}", "containers"),
]


@pytest.mark.parametrize(("method", "text", "what"), TOO_MUCH, ids=[f"{method}-{what}" for method, _, what in TOO_MUCH])
def test_params_with_too_much_are_refused_by_name(method: str, text: str, what: str) -> None:
    with pytest.raises(TooLarge, match=rf"params of {method}: at most \d+ {what}, \d+ given"):
        read_params(method, text.encode(), 1000)


def test_a_step_is_looked_at_as_if_it_stood_alone() -> None:
    step = '{"method":"set","params":{"id":1,"fields":{' + KEYS + "}}}"
    with pytest.raises(TooLarge, match="command 1: params of set: at most 250000 keys, 1000002 given"):
        read_params("pipeline", f'{{"commands":[{step}]}}'.encode(), 1000)


LONG_TEXT = ',:[{\\"\\\\' * 700_000


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("set", {"id": 1, "field": "F", "value": LONG_TEXT}),
        ("snapshot.upload", {"upload": "u", "offset": 0, "chunk": json.dumps({"a": ["b,"] * 500_000})}),
        ("set", {"id": 1, "field": "F", "value": [100_000 + number for number in range(100_000)]}),
        ("set", {"id": 1, "field": "Children", "value": [1_000_000] * 1_900_000}),
        ("pipeline", {"commands": [{"method": "create", "params": {"type": "T", "name": LONG_TEXT}}]}),
    ],
)
def test_long_texts_and_lists_pass(method: str, params: dict[str, Any]) -> None:
    assert read_params(method, json.dumps(params).encode(), 1000) is not None


def test_as_many_fields_as_all_types_may_have_pass() -> None:
    field = {
        "name": "Field",
        "dataType": "Choice",
        "default": "a",
        "rank": 1,
        "choices": ["a"],
        "storageScope": "Runtime",
    }
    fields = [field] * MAX_FIELDS
    schemas = [{"entityType": f"T{n}", "inheritsFrom": [], "fields": fields} for n in range(MAX_COMPLETE // MAX_FIELDS)]
    check_params("schema.set", json.dumps({"schemas": schemas}).encode(), 100_000)


def test_lists_may_be_as_long_as_the_setting_says() -> None:
    text = b"1," * 3_000_000
    with pytest.raises(TooLarge, match="at most 2000000 values, 3000000 given"):
        check_params("set", text, 100_000)
    check_params("set", text, 3_000_000)


def test_a_batch_array_is_refused_before_it_is_taken_apart() -> None:
    with pytest.raises(TooLarge, match="a batch array: at most 2000000 values, 3000000 given"):
        check_array(b"1," * 3_000_000, 10_000, 100_000)
    check_array(b'{"jsonrpc":"2.0","id":1},' * 300_000, 10_000, 100_000)


def test_what_stands_beside_the_params_is_little() -> None:
    params = b'{"a":' + b"[1,2]," * 100_000 + b"}"
    check_request(b'{"jsonrpc":"2.0","id":"' + LONG_TEXT.encode() + b'","params":' + params + b"}", params)
    with pytest.raises(TooLarge, match="at most 10000 values, keys and containers beside its params"):
        check_request(b"{" + KEYS.encode() + b',"params":' + params + b"}", params)


def test_no_short_text_has_too_much() -> None:
    for text in (b"[[],", b'{"":{},'):
        many = text * (SIZED_JSON // len(text))
        check_params("ping", many, 1)


values = st.recursive(
    st.integers() | st.text(',:[]{}"\\a', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(',:{["\\b', max_size=3), inner, max_size=4),
    max_leaves=20,
)


def counted(value: Any) -> JsonLimits:
    """Commas, colons and opening brackets that JSON of the value has outside texts."""
    if not isinstance(value, list | dict):
        return JsonLimits(0, 0, 0)
    inner = [counted(each) for each in (value.values() if isinstance(value, dict) else value)]
    return JsonLimits(
        sum(each.values for each in inner) + max(len(value) - 1, 0),
        sum(each.keys for each in inner) + (len(value) if isinstance(value, dict) else 0),
        sum(each.containers for each in inner) + 1,
    )


@given(values, st.booleans())
def test_what_stands_in_texts_is_never_counted(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert json_limits._counted(json_limits._outside_texts(text)) == counted(value)


def test_what_a_short_request_asks_for_is_judged_as_before() -> None:
    with pytest.raises(BadParams, match="unknown field"):
        read_params("set", b'{"id":1,"k":1}', 1000)
