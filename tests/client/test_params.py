from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from qcore.client.params import as_builtins, encode_params
from qcore.model.errors import BadParams
from qcore.model.requests.commands import Create, FieldChange
from qcore.model.requests.compound import Condition
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind

NAN, INF = float("nan"), float("inf")
NAIVE = datetime(2024, 5, 6, 7, 8, 9)


def encoded(**params: Any) -> Any:
    return json.loads(encode_params("set", params))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"value": NAN}, "params of set: value: expected a finite number, given nan"),
        ({"value": -INF}, "value: expected a finite number, given -inf"),
        ({"value": Decimal("Infinity")}, r"value: expected a finite number, given Decimal\('Infinity'\)"),
        ({"value": Decimal("sNaN")}, r"given Decimal\('sNaN'\)"),
        ({"parent": NAN}, "parent: expected a finite number, given nan"),
        ({"value": [1, 2.5, NAN]}, r"value\[2\]: expected a finite number, given nan"),
        ({"fields": {"Age": INF}}, r"fields\.Age: expected a finite number, given inf"),
        ({"fields": {NAN: 1}}, r"fields: a name: expected a finite number, given nan"),
        ({"expect": {"value": NAN}}, r"expect\.value: expected a finite number, given nan"),
        ({"conditions": [Condition(1, "Age", "<", NAN)]}, r"conditions\[0\]\.value: expected a finite number"),
        ({"schema": FieldChange(default=NAN)}, r"schema\.default: expected a finite number, given nan"),
        (
            {"schemas": [EntitySchema("T", [], [FieldSchema("A", Kind.Float, NAN)])]},
            r"schemas\[0\]\.fields\[0\]\.default: expected a finite number",
        ),
        (
            {"commands": [{"method": "create", "params": as_builtins(Create("User", "a", fields={"Age": NAN}))}]},
            r"commands\[0\]\.params\.fields\.Age: expected a finite number",
        ),
        (
            {"value": NAIVE},
            r"value: expected a datetime with a time zone, given datetime.datetime\(2024, 5, 6, 7, 8, 9\)",
        ),
        ({"time": NAIVE}, "time: expected a datetime with a time zone"),
        (
            {"name": "a\udcffb"},
            r"expected text, given 'a\\udcffb', in which '\\udcff' stands for a byte that is not UTF-8",
        ),
        ({"fields": {"\ud800" + 200 * "x": 1}}, r"expected text, given '\\ud800x+'\.\.\. \(201 characters\)"),
        ({"name": b"ann"}, "name: expected text, given b'ann'"),
        ({"name": bytearray(b"ann")}, "name: expected text, given b'ann'"),
        ({"name": memoryview(b"ann")}, "name: expected text, given b'ann'"),
        ({"fields": [b"Age"]}, r"fields\[0\]: expected text, given b'Age'"),
        ({"fields": {b"Age": 3}}, "fields: a name: expected text, given b'Age'"),
        (
            {"commands": [{"method": "create", "params": as_builtins(Create("User", b"a"))}]},  # type: ignore[arg-type]
            r"commands\[0\]\.params\.name: expected text, given b'a'",
        ),
    ],
)
def test_what_json_would_turn_into_something_else_is_refused_and_quoted(params: dict[str, Any], message: str) -> None:
    with pytest.raises(BadParams, match=message):
        encode_params("set", params)


def test_only_the_beginning_of_many_bytes_is_quoted() -> None:
    with pytest.raises(BadParams) as caught:
        encode_params("set", {"name": bytes(10_000_000)})
    assert len(caught.value.message) < 600
    assert caught.value.message.endswith("... (10000000 bytes)")


@pytest.mark.parametrize("given", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_bytes_are_values(given: Any) -> None:
    assert encoded(value=given, fields={"A": given}, expect={"value": given}) == {
        "value": "AP8=",
        "fields": {"A": "AP8="},
        "expect": {"value": "AP8="},
    }
    assert encoded(schema=FieldChange(default=given)) == {"schema": {"default": "AP8="}}
    assert encoded(conditions=[Condition(1, "A", "==", given)])["conditions"][0]["value"] == "AP8="


def test_moments_with_a_time_zone_and_plain_values_are_sent_as_they_are() -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert encoded(value=moment) == {"value": "2024-05-06T07:08:09Z"}
    assert encoded(time=moment.astimezone(timezone(timedelta(hours=2)))) == {"time": "2024-05-06T09:08:09+02:00"}
    plain = {"id": 1, "fields": {"A": 1.5, "B": None, "C": [1, "x", True], "D": 2**63 - 1, "E": -0.0}}
    assert encoded(**plain) == plain


def test_what_cannot_be_written_at_all_is_refused() -> None:
    with pytest.raises(BadParams, match="params of set cannot be written as JSON"):
        encode_params("set", {"value": object()})


def test_what_is_nested_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadParams, match="cannot be written as JSON"):
        encode_params("set", {"value": endless})
