"""A call is answered exactly once, with its id as it came."""

from __future__ import annotations

import gc
import json
import time
import weakref
from collections.abc import Callable

import pytest

from qcore.model.errors import Conflict, Timeout
from qcore.server.calls import Call
from tests.server.running import until


class Tray:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[bytes | None] = []

    def answered(self, call: Call, text: bytes | None) -> None:
        assert call.done
        self.texts.append(text)


@pytest.fixture
def tray() -> Tray:
    return Tray()


def test_a_result_is_sent_with_the_raw_id(tray: Tray) -> None:
    Call(tray, b'"\\u0061"', "get", None, 0.0, 0).result({"x": 1})
    assert tray.texts == [b'{"jsonrpc":"2.0","id":"\\u0061","result":{"x":1}}']


def test_an_error_is_sent_with_its_data(tray: Tray) -> None:
    Call(tray, b"1.0", "set", None, 0.0, 0).fail(Conflict("it is 5", value=5, applied="no"))
    assert tray.texts[0] is not None
    answer = json.loads(tray.texts[0])
    assert answer["error"]["data"] == {"kind": "conflict", "value": 5, "applied": "no"}
    assert b'"id":1.0,' in tray.texts[0]


@pytest.mark.parametrize(
    ("method", "proposed", "applied"),
    [("set", False, "no"), ("set", True, "unknown"), ("snapshot.restore", False, "no"), ("get", False, None),
     ("nope", False, None), ("", False, None)],
)  # fmt: skip
def test_an_error_of_a_write_says_whether_it_may_have_happened(
    tray: Tray, method: str, proposed: bool, applied: str | None
) -> None:
    error = Timeout("late")
    call = Call(tray, b"1", method, None, 0.0, 0)
    call.proposed = proposed
    call.fail(error)
    assert tray.texts[0] is not None
    assert json.loads(tray.texts[0])["error"]["data"].get("applied") == applied
    assert error.data == {}, "others may be answered with it"


def test_a_result_of_a_write_that_is_no_json_leaves_it_unknown(tray: Tray) -> None:
    call = Call(tray, b"1", "set", None, 0.0, 0)
    call.proposed = True
    call.result(object())
    assert tray.texts[0] is not None
    assert json.loads(tray.texts[0])["error"]["data"] == {"kind": "internal", "applied": "unknown"}


def test_raw_answers_go_out_as_they_are(tray: Tray) -> None:
    Call(tray, b"1", "set", None, 0.0, 0).answer(b'{ "a" : 1 }')
    Call(tray, b"2", "set", None, 0.0, 0).fail_raw(b'{ "code" : 1 }')
    assert tray.texts == [
        b'{"jsonrpc":"2.0","id":1,"result":{ "a" : 1 }}',
        b'{"jsonrpc":"2.0","id":2,"error":{ "code" : 1 }}',
    ]


def test_a_notification_is_done_without_a_text(tray: Tray) -> None:
    Call(tray, None, "set", None, 0.0, 0).result(1)
    Call(tray, None, "set", None, 0.0, 0).fail(Timeout("late"))
    assert tray.texts == [None, None]


def test_what_comes_after_the_answer_is_dropped(tray: Tray) -> None:
    call = Call(tray, b"1", "set", None, 0.0, 0)
    call.fail(Timeout("late", applied="unknown"))
    call.result(1)
    call.fail(Timeout("later"))
    assert len(tray.texts) == 1


async def test_a_call_is_failed_at_its_deadline_where_that_was_asked_for(tray: Tray) -> None:
    call = Call(tray, b"1", "snapshot.take", None, 0.0, 0)
    call.fail_at_deadline(Timeout("late"))
    assert not call.done
    await until(lambda: tray.texts)
    assert tray.texts[0] is not None
    assert json.loads(tray.texts[0])["error"]["message"] == "late"


@pytest.mark.parametrize("end", [lambda call: call.answer(b"1"), lambda call: call.fail(Timeout("too long"))])
async def test_the_timer_of_a_deadline_goes_with_the_answer(end: Callable[[Call], None]) -> None:
    sink = Tray()
    call = Call(sink, b"1", "snapshot.take", None, 0.0, 0)
    call.deadline = time.monotonic() + 86_400
    call.fail_at_deadline(Timeout("late"))
    end(call)
    held = weakref.ref(sink)
    del call, sink
    gc.collect()
    assert held() is None


def test_a_result_that_is_no_json_becomes_an_internal_error(tray: Tray) -> None:
    Call(tray, b"1", "get", None, 0.0, 0).result({"x": {1, 2}, "y": object()})
    assert tray.texts[0] is not None
    assert json.loads(tray.texts[0])["error"]["data"] == {"kind": "internal"}


def test_a_text_that_is_no_utf8_becomes_an_internal_error(tray: Tray) -> None:
    Call(tray, b"1", "get", None, 0.0, 0).result("\ud800")
    assert tray.texts[0] is not None
    assert json.loads(tray.texts[0])["error"]["data"] == {"kind": "internal"}
