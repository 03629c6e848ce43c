from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load, Measured, build, measure
from benchmarks.wire import Api, json_rpc, resp, websocket_frame, write_messages
from tests.process import DEADLINE, NodeProcess

Answer = Callable[[int], bytes]
Serve = Callable[[Answer], str]

PING = resp("PING")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("load"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers the n-th command it gets, an array of one PING, with `answer(n)`."""
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Answer) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        opened.append(listening)
        threads.append(threading.Thread(target=accept, args=(listening, answer)))
        threads[-1].start()
        return f"127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for listening in opened:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
    for thread in threads:
        thread.join(DEADLINE)


def accept(listening: socket.socket, answer: Answer) -> None:
    """Serve one connection until it ends."""
    number, received = 0, b""
    try:
        connection, _ = listening.accept()
    except OSError:
        return
    with connection:
        while data := connection.recv(65_536):
            received += data
            count, received = received.count(PING), received[len(PING) * received.count(PING) :]
            for _ in range(count):
                part = answer(number)
                if not part:
                    return
                # Byte by byte: an answer may arrive in any pieces.
                for place in range(len(part)):
                    connection.sendall(part[place : place + 1])
                number += 1


def press(program: Path, tmp_path: Path, address: str, *, requests: int, depth: int = 1) -> Measured:
    messages = tmp_path / "messages"
    write_messages(messages, [PING])
    load = Load(1, depth)
    return measure(program, "resp", address, messages, load, "--requests", str(requests), deadline=DEADLINE)


def test_every_kind_of_redis_answer_counts_once(program: Path, tmp_path: Path, serve: Serve) -> None:
    kinds = [b"+OK\r\n", b":17\r\n", b"$-1\r\n", b"$5\r\na\r\nbc\r\n", b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n", b"*0\r\n"]
    address = serve(lambda number: kinds[number % len(kinds)])
    done = press(program, tmp_path, address, requests=60, depth=7)
    assert (done.requests, done.errors, done.closed) == (60, 0, 0)
    assert done.rate > 0
    assert done.p50_us <= done.p99_us <= done.max_us


def test_redis_errors_are_counted(program: Path, tmp_path: Path, serve: Serve) -> None:
    address = serve(lambda number: b"-ERR no\r\n" if number % 2 else b"+OK\r\n")
    assert press(program, tmp_path, address, requests=10).errors == 5


def test_a_lost_connection_is_counted_and_ends_the_run(program: Path, tmp_path: Path, serve: Serve) -> None:
    address = serve(lambda number: b"+OK\r\n" if number < 3 else b"")
    done = press(program, tmp_path, address, requests=10)
    assert (done.requests, done.closed) == (3, 1)


def test_every_request_reaches_a_node_exactly_once(program: Path, tmp_path: Path, node: NodeProcess) -> None:
    messages = tmp_path / "messages"
    add = {"id": 1, "field": "Name", "value": "x", "mode": "add"}
    write_messages(messages, [websocket_frame(json_rpc(n, "set", add)) for n in range(3)])
    done = measure(program, "ws", node.address, messages, Load(4, 5), "--requests", "100", deadline=DEADLINE)
    assert (done.requests, done.errors, done.closed) == (100, 0, 0)
    # Answers past 125 bytes have a longer frame head.
    long = [websocket_frame(json_rpc(1, method, params)) for method, params in (("info", {}), ("get", {"id": 1}))]
    write_messages(messages, long)
    assert measure(program, "ws", node.address, messages, Load(2), "--requests", "20", deadline=DEADLINE).errors == 0
    assert added(node) == 100


def added(node: NodeProcess) -> int:
    with Api(node.url) as api:
        name: str = api.call("get", id=1, fields=["Name"])["fields"]["Name"]["value"]
    return name.count("x")


def test_json_rpc_errors_are_counted(program: Path, tmp_path: Path, node: NodeProcess) -> None:
    messages = tmp_path / "messages"
    write_messages(messages, [websocket_frame(json_rpc(1, "exists", {})), websocket_frame(json_rpc(2, "ping", {}))])
    done = measure(program, "ws", node.address, messages, Load(1), "--requests", "10", deadline=DEADLINE)
    assert (done.requests, done.errors) == (10, 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: load"),
        (["http", "127.0.0.1:1", "MESSAGES"], "usage: load"),
        (["--connections", "0", "ws", "127.0.0.1:1", "MESSAGES"], "usage: load"),
        (["resp", "127.0.0.1:1", "/no/such/file"], "/no/such/file: No such file"),
        (["resp", "localhost:1", "MESSAGES"], "HOST must be an IPv4 address"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what_is_wrong(
    program: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    messages = tmp_path / "messages"
    write_messages(messages, [PING])
    given = [str(messages) if word == "MESSAGES" else word for word in arguments]
    done = subprocess.run([str(program), *given], capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_cut_off_messages_file_is_refused(program: Path, tmp_path: Path) -> None:
    messages = tmp_path / "messages"
    write_messages(messages, [PING])
    messages.write_bytes(messages.read_bytes()[:-1])
    done = subprocess.run([str(program), "resp", "127.0.0.1:1", str(messages)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "ends within a message" in done.stderr
