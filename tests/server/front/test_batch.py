"""Batch arrays: the order in which their requests are carried out, and the one array that answers them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import NotFound
from tests.server.front.talking import CREATE, Talk, call, note


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
