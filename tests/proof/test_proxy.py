from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.client import connect

from tests.process import DEADLINE, NodeProcess
from tests.proof.proxy import CLIENTS, Proxy


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets, and ends when the other side does."""

    def handle(self) -> None:
        try:
            while data := self.request.recv(1 << 16):
                self.request.sendall(data)
        except OSError:
            pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as made:
        yield made


@pytest.fixture
def address(proxy: Proxy) -> Iterator[tuple[str, int]]:
    """Where an echo server, node 1, is to be found behind the proxy."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host, _, port = proxy.listen(1).rpartition(":")
        proxy.point(1, "{}:{}".format(*server.server_address))
        yield host, int(port)
        server.shutdown()
        thread.join()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, DEADLINE) as made:
        yield made


def echoed(client: socket.socket, data: bytes = b"hello") -> bytes:
    client.sendall(data)
    return received(client, len(data))


def received(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never came"
        threading.Event().wait(0.001)


def is_silent(client: socket.socket) -> bool:
    """Nothing has come, no end either."""
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    finally:
        client.settimeout(DEADLINE)
    return False


def test_what_is_sent_arrives_and_so_does_the_end(client: socket.socket) -> None:
    data = bytes(range(256)) * 8192
    threading.Thread(target=client.sendall, args=(data,)).start()
    assert received(client, len(data)) == data
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_a_cut_one_way_holds_what_is_sent_until_it_is_healed(proxy: Proxy, client: socket.socket) -> None:
    echoed(client)
    proxy.cut(CLIENTS, 1)
    passed = proxy.passed(CLIENTS, 1)
    client.sendall(b"later")
    until(lambda: proxy.held(CLIENTS, 1))
    assert proxy.passed(CLIENTS, 1) == passed
    assert is_silent(client)
    proxy.heal()
    assert received(client, 5) == b"later"


def test_a_cut_the_other_way_holds_the_answer_only(proxy: Proxy, client: socket.socket) -> None:
    echoed(client)
    proxy.cut(1, CLIENTS)
    passed = proxy.passed(CLIENTS, 1)
    client.sendall(b"later")
    until(lambda: proxy.held(1, CLIENTS))
    assert proxy.passed(CLIENTS, 1) == passed + 5
    assert is_silent(client)
    proxy.heal()
    assert received(client, 5) == b"later"


def test_who_is_cut_off_hears_of_no_end(proxy: Proxy, address: tuple[str, int], client: socket.socket) -> None:
    echoed(client)
    proxy.cut(1, CLIENTS)
    client.shutdown(socket.SHUT_WR)
    until(lambda: proxy.held(1, CLIENTS))
    assert is_silent(client)
    proxy.heal()
    assert client.recv(1) == b""


def test_a_connection_begun_during_a_cut_comes_to_be_afterwards(proxy: Proxy, address: tuple[str, int]) -> None:
    proxy.cut(CLIENTS, 1)
    with socket.create_connection(address, DEADLINE) as client:
        client.sendall(b"hello")
        until(lambda: proxy.held(CLIENTS, 1))
        assert is_silent(client)
        proxy.heal()
        assert received(client, 5) == b"hello"


def test_a_reset_ends_all_connections_of_a_pair_and_no_later_one(proxy: Proxy, address: tuple[str, int]) -> None:
    with socket.create_connection(address, DEADLINE) as one, socket.create_connection(address, DEADLINE) as two:
        echoed(one)
        echoed(two)
        assert proxy.connected(1, CLIENTS) == 2
        assert proxy.reset(1, CLIENTS) == 2
        for client in (one, two):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with socket.create_connection(address, DEADLINE) as client:
        assert echoed(client) == b"hello"


def test_a_delay_takes_its_time_and_keeps_the_order(proxy: Proxy, client: socket.socket) -> None:
    echoed(client)
    proxy.slow(CLIENTS, 1, delay=0.2)
    begin = time.monotonic()
    for data in (b"one ", b"two ", b"three"):
        client.sendall(data)
    assert received(client, 13) == b"one two three"
    assert time.monotonic() - begin >= 0.2


def test_a_slow_link_lets_so_many_bytes_a_second_through(proxy: Proxy, client: socket.socket) -> None:
    echoed(client)
    proxy.slow(1, CLIENTS, rate=500_000)
    begin = time.monotonic()
    assert len(echoed(client, b"x" * 100_000)) == 100_000
    assert time.monotonic() - begin >= 0.2


def test_healing_ends_a_delay_that_is_under_way(proxy: Proxy, client: socket.socket) -> None:
    echoed(client)
    proxy.slow(CLIENTS, 1, delay=3600)
    client.sendall(b"later")
    until(lambda: proxy.passed(CLIENTS, 1) == 5)
    proxy.heal()
    assert received(client, 5) == b"later"


def test_who_comes_before_the_node_listens_is_turned_away(proxy: Proxy) -> None:
    host, _, port = proxy.listen(7).rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


def test_each_pair_of_ends_has_its_own_faults() -> None:
    """Two clients play the nodes 1 and 2, told apart by who dialled."""
    ends: dict[int, int] = {}
    with (
        Proxy(lambda _host, port: ends.get(port)) as proxy,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server,
        socket.socket() as one,
        socket.socket() as two,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        host, _, port = proxy.listen(3).rpartition(":")
        proxy.point(3, "{}:{}".format(*server.server_address))
        for id, client in ((1, one), (2, two)):
            client.bind(("127.0.0.1", 0))
            ends[client.getsockname()[1]] = id
            client.settimeout(DEADLINE)
            client.connect((host, int(port)))
        proxy.cut(1, 3)
        one.sendall(b"held")
        assert echoed(two) == b"hello"
        assert is_silent(one)
        proxy.heal()
        assert received(one, 4) == b"held"
        server.shutdown()
        thread.join()


def test_a_websocket_of_a_real_node_goes_through_it(proxy: Proxy, node: NodeProcess) -> None:
    url = f"ws://{proxy.listen(1)}"
    proxy.point(1, node.address)
    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    with connect(url) as ws:
        ws.send(ping)
        assert "PONG" in str(ws.recv())
        proxy.cut(1, CLIENTS)
        ws.send(ping)
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0.05)
        proxy.heal()
        assert "PONG" in str(ws.recv())
        assert proxy.reset(CLIENTS, 1) == 1
