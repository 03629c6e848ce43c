"""The JSON-RPC core without a loop: what goes in as text must come out as answers, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcore.model.api import METHODS
from qcore.model.errors import NotFound
from qcore.server.runtime import budgets
from tests.server.front.talking import CREATE, Talk, call, log_what_was_taken, note


def test_a_request_is_answered_with_its_result() -> None:
    assert Talk().tell(json.dumps(call("ping"))) == [{"jsonrpc": "2.0", "id": 1, "result": "ping after 0 writes"}]


def test_the_conversation_goes_on_after_a_parse_error() -> None:
    talk = Talk()
    talk.error("nonsense")
    assert talk.tell(json.dumps(call("ping")))[0]["result"]


def test_a_notification_is_carried_out_and_not_answered() -> None:
    talk = Talk()
    assert talk.tell(json.dumps(note("create", type="Folder", name="x"))) == []
    assert [each.method for each in talk.desk.calls] == ["create"]
    assert talk.session.open_calls == 0


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
    return not all(is_silent(item) for item in items)


def is_silent(item: Any) -> bool:
    """Whether an item is a notification, or the client's answer to nothing."""
    if not isinstance(item, dict) or item.get("jsonrpc") != "2.0":
        return False
    if "method" not in item:
        return "result" in item or "error" in item
    return is_notification(item) and isinstance(item["method"], str)


def _no_json(word: str) -> Any:
    raise ValueError(f"{word} is Python's, not JSON")


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
