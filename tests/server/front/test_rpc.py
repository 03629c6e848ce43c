"""The JSON-RPC core without a loop: what goes in as text must come out as answers, whatever it is."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcore.disk.log.record import decode, encode, encode_body
from qcore.model.api import METHODS
from qcore.model.entry import FEATURE_LEVEL, EntryBody, LogId
from qcore.model.errors import NotFound
from qcore.server.calls import Call
from qcore.server.client import Client
from qcore.server.front.rpc import Conversation
from qcore.server.front.service import Limits
from qcore.server.outbox import Outbox
from qcore.server.runtime import budgets

DEEP = 100_000


class Desk:
    """A service that answers when told to: reads at once unless held, writes in order when `finish` is called.

    Writes are queued at once, those in `preparing` when the test says so.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.open: deque[Call] = deque()
        self.steps: deque[Callable[[], bool]] = deque()
        self.hold_reads = False
        self.preparing: frozenset[str] = frozenset()

    def submit(self, call: Call) -> None:
        self.calls.append(call)
        if call.writes or self.hold_reads:
            self.open.append(call)
            if call.writes and call.method not in self.preparing:
                call.mark_queued()
        else:
            call.result(f"{call.method} after {self.written()} writes")

    def schedule(self, step: Callable[[], bool]) -> None:
        self.steps.append(step)

    def disconnected(self, client: Client) -> None:
        raise AssertionError("nobody hangs up")

    def written(self) -> int:
        return sum(call.writes and call.done for call in self.calls)

    def finish(self) -> None:
        """Answer the oldest open call."""
        call = self.open.popleft()
        call.result(call.method)

    def run(self) -> None:
        """Take every step that can be taken now."""
        while self.steps:
            step = self.steps.popleft()
            while step():
                pass

    def run_all(self) -> None:
        """Run until nothing is left to do."""
        self.run()
        while self.open:
            self.finish()
            self.run()


class Talk:
    """A session on a desk, and what it said."""

    def __init__(self, max_batch: int = 10, max_answer: int = 1_000_000) -> None:
        self.desk = Desk()
        self.said: list[bytes] = []
        self.heard: list[str] = []
        limits = Limits(10.0, max_batch, 100, max_answer)
        hear = self.heard.append
        client = Client("", "", Outbox(lambda: hear("events")))
        self.session = Conversation(self.desk, limits, client, self.said.append, lambda: hear("may send"))

    def tell(self, text: bytes | str, now: float = 0.0) -> list[Any]:
        """Send a text, let the desk do all of it, and return the messages that came back."""
        self.said.clear()
        self.session.receive(text if isinstance(text, bytes) else text.encode(), now)
        self.desk.run_all()
        return [json.loads(said.decode()) for said in self.said]

    def error(self, text: bytes | str) -> tuple[str, Any]:
        """Return kind and id of the only answer, which is an error."""
        (answer,) = self.tell(text)
        return answer["error"]["data"]["kind"], answer["id"]


def call(method: str, id: Any = 1, /, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


CREATE = call("create", type="Folder", name="x")


def with_id(id: str) -> bytes:
    return b'{"jsonrpc":"2.0","method":"ping","id":' + id.encode() + b"}"


# -- one request -----------------------------------------------------------------------------------------


def test_a_request_is_answered_with_its_result() -> None:
    assert Talk().tell(json.dumps(call("ping"))) == [{"jsonrpc": "2.0", "id": 1, "result": "ping after 0 writes"}]


@pytest.mark.parametrize("text", ["", " ", "nonsense", '{"jsonrpc":', "{]", "\ufeff{}", "{'a':1}", '{"a":01}', "["])
def test_text_that_is_no_json_gets_a_parse_error(text: str) -> None:
    assert Talk().error(text) == ("parse_error", None)


def test_the_conversation_goes_on_after_a_parse_error() -> None:
    talk = Talk()
    talk.error("nonsense")
    assert talk.tell(json.dumps(call("ping")))[0]["result"]


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


def test_a_notification_is_carried_out_and_not_answered() -> None:
    talk = Talk()
    assert talk.tell(json.dumps(note("create", type="Folder", name="x"))) == []
    assert [each.method for each in talk.desk.calls] == ["create"]
    assert talk.session.open_calls == 0


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


def test_a_result_that_cannot_be_written_is_an_internal_error() -> None:
    talk = Talk()
    talk.session.receive(json.dumps(CREATE).encode(), 0.0)
    talk.desk.open.popleft().result({"x": object()})
    assert json.loads(talk.said[0])["error"]["data"]["kind"] == "internal"


def test_a_call_is_answered_once() -> None:
    talk = Talk()
    talk.session.receive(json.dumps(CREATE).encode(), 0.0)
    open_call = talk.desk.open.popleft()
    open_call.result(1)
    open_call.result(2)
    open_call.fail(NotFound("gone"))
    assert len(talk.said) == 1
    assert talk.session.open_calls == 0


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


# -- batches ---------------------------------------------------------------------------------------------


def test_a_batch_is_answered_as_one_array_in_its_order() -> None:
    talk = Talk()
    (answers,) = talk.tell(json.dumps([call("ping", "a"), CREATE, call("info", "c"), call("delete", "d", id=1)]))
    assert [answer["id"] for answer in answers] == ["a", 1, "c", "d"]
    assert [answer["result"].split()[0] for answer in answers] == ["ping", "create", "info", "delete"]


def test_blanks_before_a_batch_do_not_matter() -> None:
    text = " \n\t" * 100 + json.dumps([call("ping")])
    assert Talk().tell(text) == [[{"jsonrpc": "2.0", "id": 1, "result": "ping after 0 writes"}]]


def test_writes_that_follow_each_other_are_under_way_together() -> None:
    talk = Talk()
    talk.session.receive(json.dumps([CREATE] * 5).encode(), 0.0)
    talk.desk.run()
    assert len(talk.desk.open) == 5
    assert talk.said == []


@pytest.mark.parametrize("end", ["queued", "answered", "queued, then answered"])
def test_a_write_in_a_batch_waits_until_the_one_before_it_is_queued_or_answered(end: str) -> None:
    talk = Talk()
    talk.desk.preparing = frozenset({"pipeline"})
    batch = [CREATE, call("pipeline", 2, commands=[]), CREATE, CREATE, call("pipeline", 5, commands=[]), CREATE]
    talk.session.receive(json.dumps(batch).encode(), 0.0)
    for started in (2, 5):
        talk.desk.run()
        assert [each.method for each in talk.desk.calls] == [item["method"] for item in batch[:started]]
        if "queued" in end:
            talk.desk.calls[-1].mark_queued()
        if "answered" in end:
            talk.desk.calls[-1].fail(NotFound("it cannot be"))
            talk.desk.open.pop()
    talk.desk.run()
    assert len(talk.desk.calls) == len(batch)
    talk.desk.run_all()
    assert [answer["id"] for answer in json.loads(talk.said[0])] == [1, 2, 1, 1, 5, 1]
    assert (len(talk.said), talk.session.open_calls) == (1, 0)


def test_a_write_between_messages_waits_for_nothing() -> None:
    talk = Talk()
    talk.desk.preparing = frozenset({"pipeline"})
    talk.session.receive(json.dumps([call("pipeline", 1, commands=[]), CREATE]).encode(), 0.0)
    talk.desk.run()
    talk.session.receive(json.dumps(call("delete", 3, id=1)).encode(), 0.0)
    assert [each.method for each in talk.desk.calls] == ["pipeline", "delete"]


def test_a_read_in_a_batch_sees_the_writes_before_it() -> None:
    (answers,) = Talk().tell(json.dumps([CREATE, CREATE, call("ping", 9), CREATE]))
    assert answers[2]["result"] == "ping after 2 writes"


def test_a_write_in_a_batch_waits_for_the_read_before_it() -> None:
    talk = Talk()
    talk.desk.hold_reads = True
    talk.session.receive(json.dumps([call("ping", 1), CREATE, CREATE]).encode(), 0.0)
    talk.desk.run()
    assert [each.method for each in talk.desk.open] == ["ping"]
    talk.desk.finish()
    talk.desk.run()
    assert [each.method for each in talk.desk.open] == ["create", "create"]


def test_reads_in_a_batch_run_one_after_another() -> None:
    talk = Talk()
    talk.desk.hold_reads = True
    talk.session.receive(json.dumps([call("ping", 1), call("info", 2)]).encode(), 0.0)
    talk.desk.run()
    assert [each.method for each in talk.desk.open] == ["ping"]
    talk.desk.run_all()
    assert [each.method for each in talk.desk.calls] == ["ping", "info"]


@pytest.mark.parametrize(
    ("items", "kind", "said"),
    [("[]", "invalid_request", "empty"), (json.dumps([call("ping")] * 11), "too_large", "at most 10 requests, 11")],
)
def test_a_batch_of_no_or_too_many_requests_is_refused_whole(items: str, kind: str, said: str) -> None:
    talk = Talk()
    (answer,) = talk.tell(items)
    assert (answer["id"], answer["error"]["data"]["kind"]) == (None, kind)
    assert said in answer["error"]["message"]
    assert talk.desk.calls == []


def test_what_is_no_request_in_a_batch_fails_alone() -> None:
    (answers,) = Talk().tell('[1,[],"x",null,{"jsonrpc":"2.0","id":1,"method":"ping"},[{"jsonrpc":"2.0","id":2}]]')
    assert [answer["id"] for answer in answers] == [None, None, None, None, 1, None]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32600] * 4 + [None, -32600]


def test_failures_in_a_batch_stand_beside_successes() -> None:
    batch = [call("nope", 1), CREATE | {"id": 2}, call("get", 3), call("ping", 4), {"jsonrpc": "1.0", "id": 5}]
    (answers,) = Talk().tell(json.dumps(batch))
    kinds = [answer.get("error", {}).get("data", {}).get("kind") for answer in answers]
    assert kinds == ["unknown_method", None, "bad_params", None, "invalid_request"]
    assert [answer["id"] for answer in answers] == [1, 2, 3, 4, 5]


def test_notifications_in_a_batch_have_no_place_in_the_answer() -> None:
    (answers,) = Talk().tell(json.dumps([note("ping"), call("ping", 2), note("create", type="Folder", name="x")]))
    assert [answer["id"] for answer in answers] == [2]


def test_a_batch_of_notifications_only_is_not_answered() -> None:
    talk = Talk()
    assert talk.tell(json.dumps([note("ping"), note("create", type="Folder", name="x"), note("nope")])) == []
    assert len(talk.desk.calls) == 2
    assert talk.session.open_calls == 0


def test_a_batch_that_only_fails_is_answered_once() -> None:
    (answers,) = Talk().tell(json.dumps([call("nope", 1), call("nope", 2)]))
    assert [answer["id"] for answer in answers] == [1, 2]


def test_a_batch_whose_answers_grow_too_large_gets_no_further_ones() -> None:
    talk = Talk(max_answer=1000)
    long = "x" * 600
    (answers,) = talk.tell(json.dumps([call("ping", long), call("ping", long), call("ping", 3), CREATE]))
    assert [answer["id"] for answer in answers] == [long, long, 3, 1]
    assert [answer.get("error", {}).get("data") for answer in answers] == [
        None,
        None,
        {"kind": "too_large", "applied": "no"},
        {"kind": "too_large", "applied": "no"},
    ]
    assert len(talk.desk.calls) == 2
    assert talk.session.open_calls == 0


def test_a_client_with_too_much_under_way_waits_until_half_of_it_is_answered() -> None:
    talk = Talk()
    text = json.dumps(CREATE).encode()
    for _ in range(budgets.OPEN_CALLS - 1):
        talk.session.receive(text, 0.0)
    assert talk.session.may_send()
    talk.session.receive(text, 0.0)
    assert not talk.session.may_send()
    while len(talk.desk.open) > budgets.OPEN_CALLS // 2:
        assert talk.heard == []
        talk.desk.finish()
    assert talk.heard == ["may send"]
    assert talk.session.may_send()


@pytest.mark.parametrize("batch", [False, True])
def test_of_long_requests_fewer_are_under_way(batch: bool) -> None:
    talk = Talk()
    create = json.dumps(CREATE | {"params": {"type": "A", "name": "x", "fields": {"Notes": "x" * 4_000_000}}})
    for _ in range(4):
        assert talk.session.may_send()
        talk.session.receive(f"[{create}]".encode() if batch else create.encode(), 0.0)
    assert talk.session.may_send()
    talk.session.receive(json.dumps([CREATE] * 10 if batch else CREATE).encode(), 0.0)
    talk.session.receive(create.encode(), 0.0)
    assert not talk.session.may_send()
    talk.desk.run_all()
    assert talk.session.open_calls == 0


def test_two_batches_are_answered_each_on_its_own() -> None:
    talk = Talk()
    for id in (1, 2):
        talk.session.receive(json.dumps([CREATE | {"id": id}, call("ping", id + 10)]).encode(), 0.0)
    talk.desk.run_all()
    assert [[answer["id"] for answer in json.loads(said)] for said in talk.said] == [[1, 11], [2, 12]]
    assert talk.session.open_calls == 0


@given(st.lists(st.sampled_from(["write", "read", "bad", "note"]), min_size=1, max_size=10), st.data())
def test_any_batch_is_answered_in_order_with_reads_after_the_writes_before_them(
    kinds: list[str], data: st.DataObject
) -> None:
    talk = Talk()
    talk.desk.hold_reads = data.draw(st.booleans())
    forms = {"write": CREATE, "read": call("ping"), "bad": call("nope"), "note": note("delete", id=1)}
    batch = [forms[kind] | ({} if kind == "note" else {"id": place}) for place, kind in enumerate(kinds)]
    talk.session.receive(json.dumps(batch).encode(), 0.0)
    talk.desk.run()
    while talk.desk.open:
        talk.desk.open.rotate(-data.draw(st.integers(0, len(talk.desk.open) - 1)))
        open_call = talk.desk.open.popleft()
        before = [each for each in talk.desk.calls if each.slot < open_call.slot]
        if not open_call.writes:
            assert all(each.done for each in before)
        open_call.result("done")
        talk.desk.run()
    answers = json.loads(talk.said[0]) if talk.said else []
    assert len(talk.said) == bool(answers)
    assert [answer["id"] for answer in answers] == [place for place, kind in enumerate(kinds) if kind != "note"]
    assert [each.slot for each in talk.desk.calls] == [place for place, kind in enumerate(kinds) if kind != "bad"]
    assert talk.session.open_calls == 0


# -- anything ------------------------------------------------------------------------------------------


def is_notification(item: Any) -> bool:
    return isinstance(item, dict) and "id" not in item


def expects_answer(text: bytes) -> bool:
    """Whether somebody waits for an answer; only well-formed notifications are not answered."""
    try:
        message = json.loads(text.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return True
    items = message if isinstance(message, list) and message else [message]
    return not all(
        is_notification(item) and item.get("jsonrpc") == "2.0" and isinstance(item.get("method"), str) for item in items
    )


def _no_json(word: str) -> Any:
    raise ValueError(f"{word} is Python's, not JSON")


def log_what_was_taken(talk: Talk) -> None:
    """Whatever passed as a write can be stored and read back."""
    for each in talk.desk.calls:
        if each.writes:
            body = EntryBody(FEATURE_LEVEL, 1, "commands", [each.params])
            assert decode(encode(LogId(1, 1, 1), encode_body(body)), 1, "1.json").body.kind == "commands"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)  # noqa: E501
)  # fmt: skip
FIELD_NAMES = sorted({name for method in METHODS.values() for name in method.params.__struct_fields__})
PARAMS = st.dictionaries(st.sampled_from(FIELD_NAMES), JSON | st.integers(0, 9) | st.just("/Root"), max_size=5)
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | JSON, "method": st.sampled_from(sorted(METHODS)) | JSON},
    optional={"id": JSON, "params": PARAMS | JSON},
)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"jsonrpc":"2.0","method":"ping","id":"\xff"}')
def test_any_bytes_get_an_answer(data: bytes) -> None:
    talk = Talk()
    talk.tell(data)
    assert len(talk.said) == expects_answer(data)


@given(REQUESTS | st.lists(REQUESTS | JSON, max_size=12) | JSON)
@example({"jsonrpc": "2.0", "method": "count", "params": {"acked": float("inf")}})
def test_any_json_gets_an_answer_and_what_is_taken_can_be_logged(message: Any) -> None:
    talk = Talk()
    text = json.dumps(message).encode()
    talk.tell(text)
    assert len(talk.said) == expects_answer(text)
    assert talk.session.open_calls == 0
    log_what_was_taken(talk)


@given(st.sampled_from(sorted(METHODS)), PARAMS | JSON, JSON)
def test_an_error_says_whether_it_was_applied_if_the_method_writes(method: str, params: Any, id: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params, "id": id}
    (answer,) = Talk().tell(json.dumps(message).encode())
    data = answer.get("error", {}).get("data", {"kind": "parse_error"})
    if data["kind"] != "parse_error":  # nobody knows the method of what is no JSON
        assert data.get("applied") == ("no" if METHODS[method].writes else None)


@given(REQUESTS, st.integers(0, 400), st.binary(max_size=4))
def test_a_request_with_bytes_changed_gets_an_answer_that_is_json(message: Any, place: int, change: bytes) -> None:
    text = json.dumps(message).encode()
    Talk().tell(text[:place] + change + text[place + len(change) :])
