"""Reading requests: what is one, what its params are, and how the rest is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qcore.model.errors import NotFound
from tests.server.front.talking import CREATE, Talk, call, log_what_was_taken

DEEP = 100_000


def with_id(id: str) -> bytes:
    return b'{"jsonrpc":"2.0","method":"ping","id":' + id.encode() + b"}"


@pytest.mark.parametrize("text", ["", " ", "nonsense", '{"jsonrpc":', "{]", "\ufeff{}", "{'a':1}", '{"a":01}', "["])
def test_text_that_is_no_json_gets_a_parse_error(text: str) -> None:
    assert Talk().error(text) == ("parse_error", None)


@pytest.mark.parametrize(
    "text",
    ["5", '"text"', "null", "{}", '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","method":5}', '{"jsonrpc":"1.0","method":"ping"}',  # noqa: E501
     '{"method":"ping"}'],
)  # fmt: skip
def test_json_that_is_no_request_is_invalid_and_answered_with_a_null_id(text: str) -> None:
    assert Talk().error(text) == ("invalid_request", None)


def test_the_version_given_is_named() -> None:
    (answer,) = Talk().tell('{"jsonrpc":"1.1","method":"ping","id":7}')
    assert (answer["id"], answer["error"]["code"]) == (7, -32600)
    assert "'1.1' given" in answer["error"]["message"]


@pytest.mark.parametrize(
    "id",
    ["0", "1", "-1", "1.0", "1e0", "1.50", "-0", "null", '""', '"a"', '"ä"', '"\\u00e4"', '"\\ud83d\\ude00"', '"\\n"',
     "12345678901234567890123", "9" * 4000, "0.1000000000000000055511151231257827", '"' + "x" * 10_000 + '"'],
)  # fmt: skip
def test_ids_come_back_exactly_as_they_were_sent(id: str) -> None:
    talk = Talk()
    for text in (with_id(id), with_id(id).replace(b"ping", b"nope"), with_id(id).replace(b'"ping"', b"5")):
        talk.tell(text)
        assert talk.said[0].startswith(b'{"jsonrpc":"2.0","id":%b,' % id.encode())


@pytest.mark.parametrize("id", ["true", "false", "[]", '{"a":1}', "[1]"])
def test_an_id_of_another_kind_is_invalid_and_not_echoed(id: str) -> None:
    assert Talk().error(with_id(id)) == ("invalid_request", None)


@pytest.mark.parametrize("id", [b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"'])
@pytest.mark.parametrize("method", [b'"ping"', b'"nope"', b"5"])
def test_an_id_that_is_no_utf8_is_never_sent_back(id: bytes, method: bytes) -> None:
    kind, found = Talk().error(b'{"jsonrpc":"2.0","method":' + method + b',"id":' + id + b"}")
    assert kind in ("parse_error", "invalid_request")
    assert found is None


@pytest.mark.parametrize("text", [b"\xff", b'{"jsonrpc":"2.0","method":"p\xff"}', b'{"\xff":1}'])
def test_bytes_that_are_no_utf8_get_an_error(text: bytes) -> None:
    Talk().error(text)


def test_a_value_that_is_no_utf8_is_a_parse_error() -> None:
    text = b'{"jsonrpc":"2.0","id":1,"method":"set","params":{"id":1,"field":"Name","value":"\xff"}}'
    assert Talk().error(text) == ("parse_error", 1)


def test_an_unknown_method_is_named_beside_those_there_are() -> None:
    (answer,) = Talk().tell(json.dumps(call("frobnicate")))
    assert answer["error"]["code"] == -32601
    assert answer["error"]["data"] == {"kind": "unknown_method"}
    assert "'frobnicate'" in answer["error"]["message"]
    assert "session.open" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ('{"id":1,"colour":2}', "colour"),
        ("{}", "id"),
        ('{"id":[]}', "id"),
        ('"text"', "Expected `object`"),
        ('[1,null,2,3,4,5,6,7,8,9]', "at most"),
        ('{"id":1,"fields":5}', "fields"),
    ],
)  # fmt: skip
def test_params_that_do_not_fit_are_named(params: str, said: str) -> None:
    (answer,) = Talk().tell(f'{{"jsonrpc":"2.0","id":1,"method":"get","params":{params}}}')
    assert (answer["error"]["code"], answer["error"]["data"]["kind"]) == (-32602, "bad_params")
    assert said in answer["error"]["message"]


@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":{}', ',"params":[]'])
def test_params_may_be_left_out_where_none_are_needed(params: str) -> None:
    assert Talk().tell(f'{{"jsonrpc":"2.0","id":1,"method":"ping"{params}}}')[0]["result"]


@pytest.mark.parametrize(
    ("method", "positions", "expected"),
    [
        ("get", '[12,["Name"]]', {"id": 12, "fields": ["Name"]}),
        ("create", '["Folder","x"]', {"type": "Folder", "name": "x", "parent": None}),
        ("create", '["Folder","x","/Root"]', {"parent": "/Root"}),
        ("set", '[12,"Age",5,"add"]', {"id": 12, "field": "Age", "value": 5, "mode": "add"}),
        ("find", '["User",null,true,7]', {"type": "User", "filter": None, "exact": True, "limit": 7}),
        ("delete", '["@12"]', {"id": "@12"}),
    ],
)
def test_params_by_position_follow_the_order_of_the_record(method: str, positions: str, expected: Any) -> None:
    talk = Talk()
    talk.tell(f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{positions}}}')
    assert {name: getattr(talk.desk.calls[0].params, name) for name in expected} == expected


@pytest.mark.parametrize("text", ['{"jsonrpc":"2.0","method":"nope"}', '{"jsonrpc":"2.0","method":"get","params":{}}'])
def test_a_notification_that_fails_is_not_answered_either(text: str) -> None:
    assert Talk().tell(text) == []


def test_an_error_carries_code_kind_and_data() -> None:
    talk = Talk()
    talk.session.receive(json.dumps(CREATE).encode(), 0.0)
    talk.desk.open.popleft().fail(NotFound("there is no type Folder", applied="no"))
    assert json.loads(talk.said[0])["error"] == {
        "code": -32000,
        "message": "there is no type Folder",
        "data": {"kind": "not_found", "applied": "no"},
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":1,"method":"create","params":{}}',
        '{"jsonrpc":"2.0","id":1,"method":"create","params":[1,2,3,4,5,6,7,8,9,10,11,12,13,14]}',
        '{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"User","name":"x","foo":1}}',
        '{"jsonrpc":"2.0","id":1,"method":"delete","params":5}',
        '{"jsonrpc":"2.0","id":1,"method":"delete","params":{"id":1,"timeout":0}}',
        '{"jsonrpc":"1.0","id":1,"method":"delete","params":{"id":1}}',
        '{"jsonrpc":"2.0","id":{},"method":"delete","params":{"id":1}}',
        '{"jsonrpc":"2.0","id":1,"method":"set","params":{"id":1,"field":"Age","value":[1,[2]]}}',
        '{"jsonrpc":"2.0","id":1,"method":"set","params":{"id":1,"field":"Age","value":1e400}}',
        '{"jsonrpc":"2.0","id":1,"method":"schema.set","params":{"dry_run":1}}',
        '{"jsonrpc":"2.0","id":1,"method":"snapshot.restore"}',
        json.dumps(call("pipeline", commands=[CREATE | {"params": {}}])),
        json.dumps(call("pipeline", commands=[{"method": "ping"}] * 101)),
        json.dumps(call("transaction", commands=[{"method": "listen"}])),
    ],
)
def test_a_write_that_is_refused_as_it_comes_in_says_that_it_did_not_happen(text: str) -> None:
    (alone,), ((array,),) = Talk().tell(text), Talk().tell(f"[{text}]")
    assert alone["error"]["data"]["applied"] == array["error"]["data"]["applied"] == "no"


def test_the_last_of_two_equal_keys_counts() -> None:
    talk = Talk()
    (answer,) = talk.tell('{"jsonrpc":"2.0","id":1,"id":2,"method":"info","method":"ping","params":{}}')
    assert (answer["id"], talk.desk.calls[0].method) == (2, "ping")


def test_unknown_members_of_a_request_are_ignored() -> None:
    assert Talk().tell('{"jsonrpc":"2.0","id":1,"method":"ping","trace":{"a":[1]}}')[0]["result"]


# -- time ------------------------------------------------------------------------------------------------


def test_the_deadline_is_the_default_unless_the_request_says_otherwise() -> None:
    talk = Talk()
    talk.tell(json.dumps(call("ping")), now=100.0)
    talk.tell(json.dumps(call("ping", timeout=0.5)), now=100.0)
    assert [each.deadline for each in talk.desk.calls] == [110.0, 100.5]


@pytest.mark.parametrize("timeout", ["0", "-1", "86401", "1e300", "true", '"5"', "1e400", "[]"])
def test_a_timeout_out_of_bounds_is_refused(timeout: str) -> None:
    text = f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"timeout":{timeout}}}}}'
    assert Talk().error(text) == ("bad_params", 1)


@pytest.mark.parametrize("timeout", [0.001, 1, 86_400, None])
def test_a_timeout_within_bounds_is_taken(timeout: float | None) -> None:
    assert Talk().tell(json.dumps(call("ping", timeout=timeout)))[0]["result"]


# -- odd JSON --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP + "1" + "}" * DEEP,
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":' + "[" * DEEP + "]" * DEEP + "}",
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"timeout":' + "[" * DEEP + "]" * DEEP + "}}",
        '{"jsonrpc":"2.0","id":' + "[" * DEEP + "]" * DEEP + ',"method":"ping"}',
        '[{"jsonrpc":"2.0","id":1,"method":"ping","params":' + "[" * DEEP + "]" * DEEP + "}]",
    ],
    ids=["open", "array", "object", "params", "value", "id", "batch"],
)
def test_text_nested_a_hundred_thousand_deep_is_too_large(text: str) -> None:
    assert Talk().error(text) == ("too_large", None)


def test_a_nested_value_is_refused_by_the_name_of_its_field() -> None:
    text = json.dumps(call("create", type="Folder", name="x", fields={"Description": {"a": {}}}))
    (answer,) = Talk().tell(text)
    assert answer["error"]["data"]["kind"] == "bad_value"
    assert "Description" in answer["error"]["message"]


@pytest.mark.parametrize(
    "number", ["9" * 30, "-" + "9" * 30, str(2**64), str(-(2**63) - 1), "1e308", "9" * 4000, "1e400"]
)
def test_huge_numbers_are_carried_or_refused_but_never_break_the_log(number: str) -> None:
    talk = Talk()
    params = f'{{"id":1,"field":"Age","value":{number}}}'
    (answer,) = talk.tell(f'{{"jsonrpc":"2.0","id":1,"method":"set","params":{params}}}')
    assert "result" in answer or answer["error"]["data"]["kind"] == "bad_params"
    log_what_was_taken(talk)


@pytest.mark.parametrize("place", ['"\\ud800"', '"\\udc00 and more text behind it"', '"\\ud800\\u0041 and more text"'])
@pytest.mark.parametrize("member", ["id", "method", "value"])
def test_lone_surrogates_are_no_json_text(place: str, member: str) -> None:
    message = {"id": "1", "method": '"set"', "value": "1", member: place}
    text = (
        f'{{"jsonrpc":"2.0","id":{message["id"]},"method":{message["method"]},'
        f'"params":{{"id":1,"field":"Name","value":{message["value"]}}}}}'
    )
    kind, id = Talk().error(text)
    assert kind == "parse_error"
    assert id in (None, 1)
