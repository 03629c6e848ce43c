"""The socket of another node leaves the front door with every byte that was read from it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.server.running import DEADLINE, Running, running, until

Serve = Callable[..., Awaitable[Running]]
WORDS = (
    "Host: test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def head(*more: str, path: str = "/raft", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *WORDS, *more, "", ""]).encode()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            return await stack.enter_async_context(running(tmp_path, listen=True, **settings))

        yield start


class Taker:
    """Reads each socket to its end in a thread, and answers with what came, behind the request."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def take(self, sock: socket.socket, head: bytes, rest: bytes) -> None:
        self.heads.append(head)
        threading.Thread(target=self._answer, args=(sock, rest), daemon=True).start()

    def _answer(self, sock: socket.socket, rest: bytes) -> None:
        sock.settimeout(DEADLINE)
        with sock:
            while data := sock.recv(1 << 16):
                rest += data
            sock.sendall(rest)


async def talk(port: int, parts: list[bytes]) -> bytes:
    """Send each part in a write of its own, then the end; returns what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(DEADLINE):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        found = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return found


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    places = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.randrange(5)))})
    return [data[start:end] for start, end in itertools.pairwise(places)]


async def hand_over_many(run: Running, clients: int, rounds: int, others: int = 0) -> None:
    taker = Taker()
    run.front.take_peer = taker.take
    chance = random.Random(7)

    async def one(number: int) -> None:
        for turn in range(rounds):
            behind = bytes(chance.randbytes(chance.choice([0, 1, 100, 20_000, 300_000]))) + b"%d-%d" % (number, turn)
            assert await talk(run.port, cut(head() + behind, chance)) == behind

    await asyncio.gather(*(one(number) for number in range(clients)))
    assert len(taker.heads) == clients * rounds
    await until(lambda: len(run.front.connections) == others)


async def test_no_byte_is_lost_however_they_come(serve: Serve) -> None:
    await hand_over_many(await serve(), clients=25, rounds=8)


def test_no_byte_is_lost_on_the_loop_of_the_daemon(tmp_path: Path) -> None:
    async def serve() -> None:
        async with running(tmp_path, listen=True) as run:
            await hand_over_many(run, clients=25, rounds=8)

    uvloop.run(serve())


async def test_other_clients_are_served_meanwhile(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    handing = asyncio.ensure_future(hand_over_many(run, clients=5, rounds=8, others=1))
    for id in range(200):
        client.send(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % id)
        assert (await client.answer())["id"] == id
    await handing


async def test_a_socket_that_was_handed_over_is_no_client(serve: Serve) -> None:
    run = await serve(max_connections=1)
    sockets: list[socket.socket] = []
    run.front.take_peer = lambda sock, head, rest: sockets.append(sock)
    peers = [await run.dial() for _ in range(5)]
    for peer in peers:
        peer.writer.write(head())
    await until(lambda: len(sockets) == 5 and not run.front.connections)
    client = await run.open()
    client.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert "result" in await client.answer()
    for sock in sockets:
        sock.close()


async def test_the_request_is_handed_over_with_its_query_and_headers(serve: Serve) -> None:
    run = await serve()
    taker = Taker()
    run.front.take_peer = taker.take
    assert await talk(run.port, [head("Sec-WebSocket-Protocol: qcore-link-1", path="/raft?x=1")]) == b""
    (found,) = taker.heads
    assert found.startswith(b"GET /raft?x=1 HTTP/1.1\r\n")
    assert b"Sec-WebSocket-Protocol: qcore-link-1\r\n" in found
    assert found.endswith(b"\r\n\r\n")


async def test_without_a_link_a_node_is_told_so(serve: Serve) -> None:
    run = await serve()
    status, _, body = await (await run.dial()).handshake("/raft")
    assert (status, body) == (404, "no_link: this node is not set up for a cluster\n")


async def test_a_node_that_stops_says_so(serve: Serve) -> None:
    run = await serve()
    run.front.take_peer = Taker().take
    client = await run.dial()
    await until(lambda: run.front.connections)
    closing = asyncio.ensure_future(run.front.close(DEADLINE))
    await asyncio.sleep(0)
    status, _, body = await client.handshake("/raft")
    assert (status, body) == (503, "stopping: the node is stopping\n")
    client.close()
    await closing


async def test_web_pages_and_plain_requests_are_answered_here(serve: Serve) -> None:
    run = await serve()
    taker = Taker()
    run.front.take_peer = taker.take
    status, _, body = await (await run.dial()).handshake("/raft", ["Origin: http://127.0.0.1"])
    assert (status, body) == (403, "nodes talk to each other here, and web pages are none\n")
    for method in ("GET", "HEAD"):
        status, _, _ = await (await run.dial()).http(method, "/raft", ["Host: test"])
        assert status == 426
    status, _, _ = await (await run.dial()).http("POST", "/raft", ["Host: test", "Content-Length: 0"])
    assert status == 405
    assert taker.heads == []
