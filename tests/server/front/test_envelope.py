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


# -- keys that stand twice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "id"),
    [
        ('{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', "id", None),
        ('{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}', "id", None),
        ('{"jsonrpc":"2.0","id":1,"method":"info","method":"ping"}', "method", 1),
        ('{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}', "jsonrpc", 1),
        ('{"jsonrpc":"2.0","id":1,"method":"get","params":{},"params":{"id":5}}', "params", 1),
        ('{"jsonrpc":"2.0","id":1,"method":"get","params":{"a":[{"b":":"}]},"params":{"id":5}}', "params", 1),
        ('{"jsonrpc":"2.0","id":"a:b","method":"get","m\\u0065thod":"ping"}', "method", "a:b"),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","trace":1,"trace":2}', "trace", 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","a:b":1,"a\\u003ab":2}', "a:b", 1),
        ('{"jsonrpc":"2.0","method":"ping","method":"ping"}', "method", None),
    ],
)
def test_a_key_that_stands_twice_in_a_request_is_refused_by_its_name(text: str, key: str, id: Any) -> None:
    for batch in (False, True):
        talk = Talk()
        (answer,) = talk.tell(f"[{text}]" if batch else text)
        found = answer[0] if batch else answer
        assert (found["id"], found["error"]["data"]["kind"]) == (id, "invalid_request")
        assert f"the key {key!r} stands twice" in found["error"]["message"]
        assert talk.desk.calls == []


@pytest.mark.parametrize(
    ("method", "params", "key"),
    [
        ("create", '{"type":"User","name":"d1","name":"d2"}', "name"),
        ("create", '{"type":"User","name":"d","fields":{"Age":1,"Age":2}}', "Age"),
        ("create", '{"type":"User","name":"d","fields":{"Age":1,"\\u0041ge":2}}', "Age"),
        ("create", '{"type":"User","name":"d","fields":{},"fields":{"Age":2}}', "fields"),
        ("create", '{"type":"a:b","name":"::","fields":{"Age":":","Age":":"}}', "Age"),
        ("create", '{"type":"User","name":"\\u003a","name":"b"}', "name"),
        ("create", '{"type":"User","name":"a","name":"\\u003a"}', "name"),
        ("set", '{"id":1,"field":"A","value":1,"value":1}', "value"),
        ("set", '{"id":1,"field":"A","value":1,"expect":{"revision":1,"revision":2}}', "revision"),
        ("set", '{"id":1,"fields":{"A":1},"timeout":null,"timeout":2}', "timeout"),
        ("get", '{"id":1,"id":2}', "id"),
        ("get", '[1,["A"]]', None),
        ("get", '{"id":1,"fields":["a:b"],"timeout":null}', None),
        ("set", '{"id":1,"field":"A","value":"12:30:00","mode":"set","when":"always"}', None),
        ("create", '{"type":"User","name":"a","fields":{"a:b":"\\u003a:","c":[1,":"]},"parent":null}', None),
        ("set", '[1,"A",{"a":1,"a":2}]', None),
        ("schema.set", '{"schema":{"entityType":"T","fields":[],"fields":[]}}', "fields"),
        ("schema.set", '{"schemas":[{"entityType":"T","fields":[{"name":"a","name":"b","dataType":"Int"}]}]}', "name"),
        ("schema.set", '{"schema":{"entityType":"T","fields":[{"name":"a","dataType":"Int"}]}}', None),
        ("field.set", '{"type":"T","field":"F","schema":{"rank":1,"rank":2}}', "rank"),
        ("pipeline", '{"commands":[],"commands":[{"method":"get","params":{"id":1}}]}', "commands"),
        ("pipeline", '{"commands":[{"method":"get","method":"exists","params":{"id":1}}]}', "method"),
        ("pipeline", '{"commands":[{"method":"get","params":{"id":1},"params":{"id":2}}]}', "params"),
        ("pipeline", '{"commands":[{"method":"digest"},{"method":"get","params":{"id":1,"id":2}}]}', "id"),
        ("pipeline", '{"commands":[{"method":"create","params":{"type":"T","name":"a","fields":{"A":1,"A":1}}}]}', "A"),
        ("pipeline", '{"commands":[{"method":"create","params":["T","a:",null,{"A":1}]}],"timeout":null}', None),
        ("transaction", '{"commands":[],"conditions":[{"id":1,"id":2,"exists":true}]}', "id"),
        ("transaction", '{"commands":[],"conditions":[{"id":1,"exists":true},{"id":1,"exists":null}]}', None),
        ("listen", '{"target":"T","field":"A","field":"B"}', "field"),
        ("find", '{"type":"T","filter":"a ? b : c","filter":"x"}', "filter"),
        ("find", '{"type":"T","filter":"a ? b : c"}', None),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_in_params_is_refused_by_its_name(method: str, params: str, key: str | None) -> None:
    (answer,) = Talk().tell(f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}')
    if key is None:
        assert "twice" not in json.dumps(answer)
    else:
        assert answer["error"]["data"]["kind"] == "bad_params"
        assert f"the key {key!r} stands twice" in answer["error"]["message"]


# -- what is no request --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member", ['"result":5', '"result":null', '"error":{"code":1,"message":"x"}', '"result":{"a":[]}']
)
@pytest.mark.parametrize("id", ["1", '"a"', "null"])
def test_an_answer_of_the_client_is_ignored(member: str, id: str) -> None:
    talk, text = Talk(), f'{{"jsonrpc":"2.0","id":{id},{member}}}'
    assert talk.tell(text) == []
    assert talk.tell(f"[{text}]") == []
    (answers,) = talk.tell(f'[{text},{{"jsonrpc":"2.0","id":7,"method":"ping"}},{text}]')
    assert [each["id"] for each in answers] == [7]
    assert talk.session.open_calls == 0


@pytest.mark.parametrize(
    "text",
    ['{"id":1,"result":5}', '{"jsonrpc":"1.0","id":1,"result":5}', '{"jsonrpc":"2.0","id":1,"method":5,"result":5}',
     '{"jsonrpc":"2.0","id":1}'],
)  # fmt: skip
def test_what_only_looks_like_an_answer_is_invalid(text: str) -> None:
    assert Talk().error(text) == ("invalid_request", 1)


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
    assert "result" in answer or answer["error"]["data"]["kind"] == "bad_value"
    log_what_was_taken(talk)


NUMBERS = ["1e400", "-1E+400", "10e399", "0.1e401", "1e99999999999", "9" * 5000, "-" + "9" * 5000, "9" * 5000 + ".5"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("set", '{"id":1,"field":"Age","value":%s}', "Age"),
        ("set", '[1,"Age",%s]', "Age"),
        ("set", '{"id":1,"field":"Age","value":[1,%s]}', "Age"),
        ("set", '{"id":1,"fields":{"Name":1,"Age":%s}}', "Age"),
        ("set", '{"id":1,"field":"Age","value":1,"expect":{"value":%s}}', "expect"),
        ("create", '{"type":"User","name":"x","fields":{"Age":%s}}', "Age"),
        ("schema.set", '{"schema":{"entityType":"U","fields":[{"name":"A","dataType":"Int","default":%s}]}}', "U.A"),
        ("field.set", '{"type":"User","field":"Age","schema":{"default":%s}}', "User.Age"),
        ("pipeline", '{"commands":[{"method":"set","params":{"id":1,"field":"Age","value":%s}}]}', "Age"),
        ("transaction", '{"commands":[],"conditions":[{"id":1,"field":"Age","op":"==","value":%s}]}', "Age"),
    ],
)  # fmt: skip
def test_a_number_beyond_all_kinds_is_a_bad_value_of_its_field(
    method: str, params: str, field: str, number: str
) -> None:
    (answer,) = Talk().tell(f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params % number}}}')
    error = answer["error"]
    assert (error["data"]["kind"], error["data"]["field"], error["data"]["applied"]) == ("bad_value", field, "no")
    assert f"field {field}: expected a number" in error["message"]
    assert number[:70] in error["message"]
    assert len(error["message"]) < 200


@pytest.mark.parametrize("number", NUMBERS)
def test_one_that_is_no_value_is_a_bad_param(number: str) -> None:
    text = f'{{"jsonrpc":"2.0","id":1,"method":"find","params":{{"type":"User","limit":{number}}}}}'
    assert Talk().error(text) == ("bad_params", 1)


LONE = [
    '"\\ud800"',
    '"\\udc00 and more text behind it"',
    '"\\uD800\\u0041 and more"',
    '"\\\\\\ud83d\\ud83d\\ude00 \\ud800"',
]


@pytest.mark.parametrize("text", LONE)
@pytest.mark.parametrize("member", ["id", "method", "value"])
@pytest.mark.parametrize("batch", [False, True])
def test_lone_surrogates_are_no_text_and_the_id_comes_back(text: str, member: str, batch: bool) -> None:
    message = {"id": "7", "method": '"set"', "value": '"\\ufffd"', member: text}
    request = (
        f'{{"jsonrpc":"2.0","params":{{"id":7,"field":"Name","value":{message["value"]}}},'
        f'"method":{message["method"]},"id":{message["id"]}}}'
    )
    talk = Talk()
    others = [f'{{"jsonrpc":"2.0","id":{n},"method":"ping"}}' for n in (1, 2)]
    talk.tell(f"[ {others[0]}, {request},{others[1]} ]" if batch else request)
    (said,) = talk.said
    assert b'"id":%b,"error":{"code":-32700,"message":"the message is no text: ' % message["id"].encode() in said
    assert said.count(b"surrogate") == 1
    assert (said.count(b'"result":"ping') == 2) == batch
    if member != "method":
        assert b'"applied":"no"' in said


def test_whole_pairs_are_text() -> None:
    talk = Talk()
    talk.tell('{"jsonrpc":"2.0","id":"\\ud83d\\ude00","method":"exists","params":{"id":"/\\uD83D\\uDE00\\\\ud800"}}')
    assert talk.desk.calls[0].params.id == "/\U0001f600\\ud800"


def test_lone_surrogates_in_a_long_text_are_found_in_a_moment() -> None:
    text = "\\n" * 500_000 + "\\ud800" * 1000 + "x" * 2_000_000
    assert Talk().error(f'{{"jsonrpc":"2.0","id":7,"method":"exists","params":{{"id":"{text}"}}}}') == (
        "parse_error",
        7,
    )


def test_lone_surrogates_without_number_are_found_in_a_moment_too() -> None:
    text = "\\ud800" * 2_000_000
    assert Talk().error(f'{{"jsonrpc":"2.0","id":7,"method":"exists","params":{{"id":"{text}"}}}}') == (
        "parse_error",
        7,
    )


@pytest.mark.parametrize("end", ["1", '"\\ud800"'])
def test_a_batch_array_with_too_much_is_refused_whole(end: str) -> None:
    (answer,) = Talk().tell("[" + "1," * 2_500_000 + end + "]")
    assert answer["error"]["data"]["kind"] == "too_large"
    assert "a batch array: at most 2000000 values" in answer["error"]["message"]


def test_a_batch_array_of_half_pairs_is_counted_before_its_requests_are_read() -> None:
    (answer,) = Talk(max_batch=10).tell("[" + "1," * 20_000 + '"\\ud800"]')
    assert "at most 10 requests, 20001 given" in answer["error"]["message"]


def test_a_request_with_too_much_beside_its_params_is_refused_with_its_id() -> None:
    keys = ",".join(f'"k{number}":1' for number in range(100_000))
    (answer,) = Talk().tell(f'{{"jsonrpc":"2.0","id":7,"method":"ping",{keys}}}')
    assert (answer["id"], answer["error"]["data"]["kind"]) == (7, "too_large")


def test_a_long_request_of_blanks_is_read() -> None:
    (answer,) = Talk().tell('{"jsonrpc":"2.0","id":7,"method":"ping"}'.ljust(1 << 20))
    assert "result" in answer
