"""Clients that do not behave, against a real node: it goes on serving the others, and keeps its disk."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from tests.process import NodeProcess
from tests.server.running import DEADLINE, RawClient, request, until
from tests.system.load import call

NodeFactory = Callable[..., NodeProcess]


@asynccontextmanager
async def raw(node: NodeProcess, *, shake_hands: bool = True) -> AsyncIterator[RawClient]:
    """A client that sends what it is told to."""
    host, _, port = node.address.rpartition(":")
    client = RawClient(*await asyncio.open_connection(host, int(port)))
    try:
        if shake_hands:
            status, _, body = await client.handshake()
            assert status == 101, body
        yield client
    finally:
        client.close()


async def writes(node: NodeProcess) -> bool:
    """Whether the node still stores and answers."""
    async with connect(node.url) as ws:
        return int((await call(ws, "session.open"))["session"]) > 0


async def wait_for_event(node: NodeProcess, event: str) -> None:
    await asyncio.to_thread(node.wait_for_event, event, DEADLINE)


async def test_a_crowd_of_sockets_does_not_take_the_log_its_files(node_factory: NodeFactory) -> None:
    limited = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", sys.executable, "-m", "qcore.server.main")
    node = node_factory(command=limited)
    await asyncio.to_thread(node.start)
    assert node.events("few_open_files")
    host, _, port = node.address.rpartition(":")
    async with connect(node.url) as ws:
        crowd = [socket.socket() for _ in range(600)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex((host, int(port)))
        for _ in range(20):
            await call(ws, "session.open")
        for each in crowd:
            each.close()
        await call(ws, "session.open")
    assert node.running


async def test_a_client_that_never_reads_is_cut_off_and_the_others_are_served(node_factory: NodeFactory) -> None:
    node = node_factory("--send-queue-mb", "1")
    await asyncio.to_thread(node.start)
    async with raw(node) as greedy, raw(node) as other:
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        frame = Frame(Opcode.TEXT, request("ping", "x" * 100_000)).serialize(mask=True)
        greedy.writer.write(frame * 300)
        while not node.events("client_cut_off"):
            other.send(request("session.open", 1))
            assert "result" in await other.answer()
    assert await writes(node)


async def test_a_client_that_pipelines_and_reads_late_gets_every_answer(node: NodeProcess) -> None:
    count = 20_000
    async with raw(node) as client:
        frames = b"".join(Frame(Opcode.TEXT, request("exists", n, id=1)).serialize(mask=True) for n in range(1, count))
        client.writer.write(frames)
        await client.writer.drain()
        assert [(await client.answer())["id"] for _ in range(1, count)] == list(range(1, count))


async def test_memory_that_clients_took_goes_back_to_the_system(node: NodeProcess) -> None:
    note = {"entityType": "Note", "fields": [{"name": "Text", "dataType": "String"}]}
    async with connect(node.url, max_size=None) as ws:
        await call(ws, "schema.set", schema=note)
        long = (await call(ws, "create", type="Note", name="long", fields={"Text": "x" * 8_000_000}))["id"]
        before = node.resident_bytes()
        async with raw(node) as deaf:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            deaf.writer.write(Frame(Opcode.TEXT, request("get", 1, id=long)).serialize(mask=True) * 7)
            await until(lambda: node.resident_bytes() > before + 40_000_000)
        create = {"method": "create", "params": {"type": "Ghost", "name": "x", "fields": {"Text": "x" * 8_000_000}}}
        for _ in range(30):
            await call(ws, "pipeline", commands=[create])
    await until(lambda: node.resident_bytes() < before + 40_000_000)


async def test_a_client_that_falls_silent_is_dropped(node_factory: NodeFactory) -> None:
    node = node_factory("--ping-interval", "0.05", "--ping-timeout", "0.05")
    await asyncio.to_thread(node.start)
    async with raw(node) as silent:
        await wait_for_event(node, "client_silent")
        await silent.ended()
    assert await writes(node)


@pytest.mark.parametrize("ending", ["half", "whole"])
async def test_an_http_client_that_ends_its_side_at_once_is_answered(node: NodeProcess, ending: str) -> None:
    async with raw(node, shake_hands=False) as client:
        client.writer.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        if ending == "half":
            client.writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"ok\n")


async def test_noise_harms_nobody(node: NodeProcess) -> None:
    chance = random.Random(7)
    for n in range(150):
        async with raw(node, shake_hands=n % 3 > 0) as client:
            noise = chance.randbytes(chance.randrange(1, 300))
            if n % 3 == 1:  # a proper frame around it, for the rooms behind the frames
                noise = Frame(Opcode(chance.choice([1, 2, 9])), noise[:100]).serialize(mask=True)
            client.writer.write(noise)
            with suppress(ConnectionError):
                client.writer.write_eof()
                await client.writer.drain()
            await client.ended()
    assert await writes(node)
    assert not [record for record in node.log_lines() if "Traceback" in record]


async def test_hundreds_of_clients_come_and_go(node: NodeProcess) -> None:
    async def visit() -> None:
        async with connect(node.url) as ws:
            for _ in range(3):
                assert await call(ws, "ping") == "PONG"

    for _ in range(3):
        await asyncio.gather(*(visit() for _ in range(100)))
    assert await writes(node)


def own_address() -> str:
    """An address of this machine that is not its loopback, else the loopback."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(sock.getsockname()[0])


@pytest.mark.parametrize("flags", [(), ("--insecure",)])
async def test_the_door_is_shut_to_addresses_that_are_not_loopback(node_factory: NodeFactory, flags: list[str]) -> None:
    node = node_factory("--ws-addr", "0.0.0.0:0", *flags)
    await asyncio.to_thread(node.start, wait=False)
    url = (await asyncio.to_thread(node.wait_for_event, "listening"))["url"]
    client = RawClient(*await asyncio.open_connection(own_address(), int(url.rpartition(":")[2])))
    status, _, body = await client.handshake()
    client.close()
    if flags or own_address() == "127.0.0.1":
        assert status == 101
    else:
        assert status == 403
        assert "--insecure" in body
