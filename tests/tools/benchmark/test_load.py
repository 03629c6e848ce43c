"""The connections of the load against a server that answers what a test has it answer."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from websockets.sync.server import ServerConnection, serve

from qcore.model.errors import ConnectionFailed
from qcore_tools.benchmark import load
from qcore_tools.benchmark.load import Load
from qcore_tools.benchmark.messages import Go, Prepare, RoundDone
from tests.process import DEADLINE

Answers = Callable[[dict[str, Any]], list[Any]]
"""What a server sends at a request; None ends the connection."""

DONE = {"applied": True, "revision": 1}


def result(request: dict[str, Any], result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def error(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "no", "data": {"kind": kind}}}


@contextmanager
def server(answers: Answers) -> Iterator[str]:
    """A server at the URL given."""

    def talk(connection: ServerConnection) -> None:
        for text in connection:
            for answer in answers(json.loads(text)):
                if answer is None:
                    connection.close(1001, "going away")
                    return
                connection.send(msgspec.json.encode(answer), text=True)

    with serve(talk, "127.0.0.1", 0, compression=None) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{serving.socket.getsockname()[1]}"
        finally:
            serving.shutdown()
            thread.join()


def run(
    url: str, test: str, *rounds: Go, clients: int = 1, pipeline: int = 1, poll_seconds: float = DEADLINE
) -> list[RoundDone]:
    """Send what the rounds say on connections of this process."""
    given = Prepare(url, test, 0, clients, pipeline, 8, "linearizable", 1, "T", "T_New", [7, 8, 9], [4], [])
    found = []
    with select.epoll() as poll:
        process = Load(given, poll, lambda _: None)
        for go in rounds:
            process.begin(go)
            while process.is_running:
                for fileno, events in process.wait(poll_seconds):
                    process.serve(fileno, events)
                process.look_around()
            found.append(process.result())
        process.close()
    return found


def good(done: RoundDone) -> int:
    return sum(done.microseconds.values())


def test_so_many_requests_are_sent_and_no_more() -> None:
    asked: list[int] = []

    def answers(request: dict[str, Any]) -> list[Any]:
        asked.append(request["id"])
        return [result(request, "PONG")]

    with server(answers) as url:
        first, second = run(url, "PING", Go(25, None), Go(7, None), clients=3, pipeline=4)
    assert (good(first), good(second), len(asked)) == (25, 7, 32)
    assert first.errors == {}
    assert first.begun < first.ended < second.begun
    assert not first.lost


def test_time_ends_a_round_too() -> None:
    with server(lambda request: [result(request, "PONG")]) as url:
        (done,) = run(url, "PING", Go(None, 0.05))
    assert good(done) > 0


def test_errors_are_counted_by_kind_and_are_not_timed() -> None:
    kinds = iter(["busy", "busy", "disk_full"])

    def answers(request: dict[str, Any]) -> list[Any]:
        kind = next(kinds, None)
        return [result(request, DONE) if kind is None else error(request, kind)]

    with server(answers) as url:
        (done,) = run(url, "SET", Go(10, None))
    assert (good(done), done.errors) == (7, {"busy": 2, "disk_full": 1})
    assert done.samples == {"busy": "no", "disk_full": "no"}


@pytest.mark.parametrize("answer", ["GONP", {"error": None}, 7])
def test_an_answer_that_is_not_what_it_should_be_is_an_error(answer: Any) -> None:
    with server(lambda request: [result(request, answer)]) as url:
        (done,) = run(url, "PING", Go(3, None))
    assert (good(done), done.errors) == (0, {"unexpected_answer": 3})


def test_a_lost_connection_ends_the_round_and_says_why() -> None:
    with server(lambda request: [result(request, "PONG"), None]) as url:
        done, after = run(url, "PING", Go(100, None), Go(100, None), clients=2, pipeline=5)
    assert done.lost
    assert done.errors == {"connection_lost": 8}
    assert done.samples == {"connection_lost": "closed with 1001 going away"}
    assert good(done) == 2
    assert (good(after), after.errors, after.lost) == (0, {}, True)


def test_a_write_is_over_with_its_event() -> None:
    events = (
        {"method": "event", "params": {"token": 1, "kind": "bookmark"}},
        {
            "method": "event",
            "params": {"token": 1, "kind": "changed"},
        },
    )

    def answers(request: dict[str, Any]) -> list[Any]:
        if request["method"] == "listen":
            assert request["params"] == {"target": 7, "field": "Text"}
            return [result(request, {"token": 1, "revision": 1})]
        assert request["params"]["id"] == 7
        return [events[1], result(request, DONE), events[0]]

    with server(answers) as url:
        (done,) = run(url, "LISTEN", Go(6, None), pipeline=2)
    assert (good(done), done.errors) == (6, {})


def test_a_write_that_is_refused_has_no_event() -> None:
    def answers(request: dict[str, Any]) -> list[Any]:
        listens = request["method"] == "listen"
        return [result(request, {"token": 1}) if listens else error(request, "busy")]

    with server(answers) as url:
        (done,) = run(url, "LISTEN", Go(6, None))
    assert (good(done), done.errors) == (0, {"busy": 6})


def test_a_listener_that_the_server_ends_is_a_lost_connection() -> None:
    lost = {"method": "event", "params": {"token": 1, "kind": "lost", "reason": "queue"}}

    def answers(request: dict[str, Any]) -> list[Any]:
        return [result(request, {"token": 1})] if request["method"] == "listen" else [result(request, DONE), lost]

    with server(answers) as url:
        (done,) = run(url, "LISTEN", Go(6, None))
    assert done.samples == {"connection_lost": "the server has ended the listener: queue"}
    assert done.errors == {"connection_lost": 1}
    assert done.lost


def test_who_may_not_listen_has_no_connection() -> None:
    with (
        server(lambda request: [error(request, "busy")]) as url,
        pytest.raises(ConnectionFailed, match=r"connection 1 of 1 .* refused to listen: no"),
    ):
        run(url, "LISTEN", Go(6, None))


def test_a_server_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE_NS", 1)
    with server(lambda request: []) as url:
        (done,) = run(url, "PING", Go(10, None), pipeline=3, poll_seconds=0.01)
    assert (good(done), done.errors, done.lost) == (0, {"no_answer": 3}, True)


def test_large_messages_go_both_ways_while_the_other_side_is_slow() -> None:
    long = "x" * 3_000_000

    def answers(request: dict[str, Any]) -> list[Any]:
        return [result(request, {"fields": {"Text": {"value": long}}})]

    with server(answers) as url:
        (done,) = run(url, "GET", Go(6, None), pipeline=3)
    assert (good(done), done.errors) == (6, {})


def test_what_is_no_websocket_server_is_told() -> None:
    with pytest.raises(ConnectionFailed, match=r"connection 1 of 1 to ws://127.0.0.1:1: connection refused"):
        run("ws://127.0.0.1:1", "PING", Go(1, None))
