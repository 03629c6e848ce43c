"""The WebSocket shell over real sockets: frames as they may come, clients that do not behave."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from qcore.server.runtime import budgets
from tests.server.running import GatedFiles, RawClient, Running, request, running, until

Serve = Callable[..., Awaitable[Running]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve a fresh node on a free port: `await serve(max_message_mb=1, ...)`."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            return await stack.enter_async_context(running(tmp_path, listen=True, **settings))

        yield start


async def pong(client: RawClient) -> bool:
    """Whether the server answers a request."""
    client.send(request("ping", 1))
    return bool((await client.answer())["result"] == "PONG")


# -- frames ----------------------------------------------------------------------------------------------


async def test_requests_are_answered_in_text_frames(serve: Serve) -> None:
    client = await (await serve()).open()
    client.send(request("ping", "a"))
    assert await client.receive() == (Opcode.TEXT, b'{"jsonrpc":"2.0","id":"a","result":"PONG"}')


async def test_many_frames_in_one_packet_are_all_answered(serve: Serve) -> None:
    client = await (await serve()).open()
    client.writer.write(b"".join(Frame(Opcode.TEXT, request("ping", n)).serialize(mask=True) for n in range(1, 500)))
    assert [(await client.answer())["id"] for _ in range(1, 500)] == list(range(1, 500))


async def test_a_frame_that_comes_byte_by_byte_is_one_frame(serve: Serve) -> None:
    client = await (await serve()).open()
    for byte in Frame(Opcode.TEXT, request("ping", 1)).serialize(mask=True):
        client.writer.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.answer())["result"] == "PONG"


@pytest.mark.parametrize("cuts", [[5], [1, 2, 3], [0, 0, 10], list(range(1, 40))])
async def test_a_message_in_fragments_is_one_message(serve: Serve, cuts: list[int]) -> None:
    client = await (await serve()).open()
    text = request("ping", "ä")
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    for place, part in enumerate(parts):
        opcode = Opcode.CONT if place else Opcode.TEXT
        client.send(part, opcode, fin=place == len(parts) - 1)
    assert (await client.answer())["result"] == "PONG"


async def test_a_ping_between_fragments_is_answered_at_once(serve: Serve) -> None:
    client = await (await serve()).open()
    text = request("ping", 1)
    client.send(text[:10], fin=False)
    client.send(b"hello", Opcode.PING)
    assert await client.receive() == (Opcode.PONG, b"hello")
    client.send(text[10:], Opcode.CONT)
    assert (await client.answer())["result"] == "PONG"


async def test_a_character_may_be_cut_in_two_by_fragments(serve: Serve) -> None:
    client = await (await serve()).open()
    text = json.dumps({"jsonrpc": "2.0", "id": "ä", "method": "ping"}, ensure_ascii=False).encode()
    middle = text.index("ä".encode()) + 1
    client.send(text[:middle], fin=False)
    client.send(text[middle:], Opcode.CONT)
    assert (await client.answer())["id"] == "ä"


async def test_a_binary_frame_closes_with_1003(serve: Serve) -> None:
    client = await (await serve()).open()
    client.send(request("ping", 1), Opcode.BINARY)
    code, reason = await client.closed()
    assert code == 1003
    assert "text frames" in reason


async def test_after_its_goodbye_the_server_carries_out_nothing(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    frames = [Frame(Opcode.BINARY, b"x"), Frame(Opcode.TEXT, request("session.open", 1))]
    client.writer.write(b"".join(frame.serialize(mask=True) for frame in frames))
    assert (await client.closed())[0] == 1003
    client.send(request("session.open", 2))
    client.send(b"", Opcode.CLOSE)
    await client.ended()
    other = await run.open()
    other.send(request("session.open", 1))
    assert "session" in (await other.answer())["result"]
    assert len(run.state.sessions) == 1


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_message_over_the_limit_closes_with_1009_and_says_so(serve: Serve, fragments: int) -> None:
    client = await (await serve(max_message_mb=1)).open()
    part = b" " * ((1 << 20) // fragments + 1)
    for place in range(fragments):
        client.send(part, Opcode.CONT if place else Opcode.TEXT, fin=place == fragments - 1)
    code, reason = await client.closed()
    assert code == 1009
    assert "1048576" in reason


async def test_a_message_of_exactly_the_limit_is_read(serve: Serve) -> None:
    client = await (await serve(max_message_mb=1)).open()
    client.send(request("ping", 1).ljust(1 << 20))
    assert (await client.answer())["result"] == "PONG"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"])
@pytest.mark.parametrize("cut", [None, 3, 25])
async def test_text_that_is_no_utf8_closes_with_1007_and_is_not_carried_out(
    serve: Serve, bad: bytes, cut: int | None
) -> None:
    run = await serve()
    client = await run.open()
    text = b'{"jsonrpc":"2.0","id":"' + bad + b'","method":"session.open"}'
    client.send(text[:cut], fin=cut is None)
    if cut is not None:
        client.send(text[cut:], Opcode.CONT)
    code, reason = await client.closed()
    assert (code, "byte 23 " in reason) == (1007, True)
    assert len(run.state.sessions) == 0


@pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.TEXT, b"{}").serialize(mask=False),
        b"\xf1\x80\x00\x00\x00\x00",
        b"\x83\x80\x00\x00\x00\x00",
        b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + 126 * b"x",
        b"\x09\x80\x00\x00\x00\x00",
        b"\x80\x80\x00\x00\x00\x00",
        b"\x01\x80\x00\x00\x00\x00\x01\x80\x00\x00\x00\x00",
        b"\x88\x81\x00\x00\x00\x00\x03",
        b"\x88\x82\x00\x00\x00\x00\x03\xe7",
    ],
    ids=["unmasked", "reserved bit", "unknown opcode", "long ping", "cut ping", "lone continuation", "text in text",
         "short close", "bad close code"],
)  # fmt: skip
async def test_a_malformed_frame_closes_with_1002_and_harms_nobody(serve: Serve, data: bytes) -> None:
    run = await serve()
    good, bad = await run.open(), await run.open()
    bad.writer.write(data)
    assert (await bad.closed())[0] == 1002
    await bad.ended()
    assert await pong(good)


async def test_a_frame_that_claims_to_be_enormous_is_refused_before_it_comes(serve: Serve) -> None:
    client = await (await serve()).open()
    client.writer.write(struct.pack("!BBQ4s", 0x81, 0xFF, 1 << 62, b"\0\0\0\0"))
    assert (await client.closed())[0] == 1009


async def test_what_came_before_a_close_is_carried_out(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    frames = [Frame(Opcode.TEXT, request("session.open")), Frame(Opcode.CLOSE, b"")]
    client.writer.write(b"".join(frame.serialize(mask=True) for frame in frames))
    await client.ended()
    await until(lambda: len(run.state.sessions) == 1)


CLOSE = Frame(Opcode.CLOSE, struct.pack("!H", 1000)).serialize(mask=True)


async def test_requests_right_before_a_close_are_answered_first(serve: Serve) -> None:
    client = await (await serve()).open()
    frames = [Frame(Opcode.TEXT, request(method, n)) for n, method in enumerate(("ping", "session.open", "ping"), 1)]
    client.send(b"hello", Opcode.PING)
    client.writer.write(b"".join(frame.serialize(mask=True) for frame in frames) + CLOSE + b"rubbish behind it")
    assert await client.receive() == (Opcode.PONG, b"hello")
    assert sorted([(await client.answer())["id"] for _ in frames]) == [1, 2, 3]
    assert await client.receive() == (Opcode.CLOSE, struct.pack("!H", 1000))
    await client.ended()


async def test_requests_right_before_the_end_of_the_stream_are_answered_first(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    for n in range(3000):
        client.send(request("session.open", n))
    client.writer.write_eof()
    assert [(await client.answer())["id"] for _ in range(3000)] == list(range(3000))
    await client.ended()
    await until(lambda: not run.front.connections)


async def test_a_goodbye_waits_for_answers_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "CLOSE_SECONDS", 0.02)
    files = GatedFiles()
    async with running(tmp_path, files=files, listen=True) as run:
        leaving, gone = await run.open(), await run.open()
        files.open.clear()
        leaving.writer.write(Frame(Opcode.TEXT, request("session.open", 1)).serialize(mask=True) + CLOSE)
        gone.send(request("session.open", 1))
        gone.writer.write_eof()
        assert await leaving.receive() == (Opcode.CLOSE, struct.pack("!H", 1000))
        await gone.ended()
        files.open.set()


async def test_a_close_is_answered(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    client.send(struct.pack("!H", 1000), Opcode.CLOSE)
    assert (await client.closed())[0] == 1000
    await client.ended()
    client.close()
    await until(lambda: not run.front.connections)


# -- clients that vanish, stall or do not read -----------------------------------------------------------


async def test_a_silent_client_is_pinged_and_may_stay_silent(serve: Serve) -> None:
    run = await serve(ping_interval=0.02, ping_timeout=1.0)
    client = await run.open()
    for _ in range(2):
        opcode, data = await client.receive()
        assert opcode is Opcode.PING
        client.send(data, Opcode.PONG)
    assert len(run.front.connections) == 1


async def test_a_client_that_does_not_answer_a_ping_is_dropped(serve: Serve) -> None:
    run = await serve(ping_interval=0.02, ping_timeout=0.02)
    client = await run.open()
    await client.ended()
    await until(lambda: not run.front.connections)


async def test_whoever_sends_is_alive_even_without_a_pong(serve: Serve) -> None:
    run = await serve(ping_timeout=0.2)
    run.front.ping_interval = 0.0  # however lively, it is pinged
    client = await run.open()
    client.send(b"{", fin=False)  # a message that is long on its way

    async def chatter() -> None:
        while True:
            client.send(b" ", Opcode.CONT, fin=False)
            await asyncio.sleep(0.001)

    chattering = asyncio.ensure_future(chatter())
    for _ in range(3):
        assert (await client.receive())[0] is Opcode.PING
    chattering.cancel()


async def test_a_socket_that_never_speaks_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "HANDSHAKE_SECONDS", 0.02)
    monkeypatch.setattr(budgets, "CLOSE_SECONDS", 0.02)
    run = await serve()
    silent, slow = await run.dial(), await run.dial()
    slow.writer.write(b"GET / HTTP/1.1\r\nHost:")
    await silent.ended()
    await slow.ended()
    await until(lambda: not run.front.connections)


async def test_a_client_that_does_not_read_is_cut_off_while_others_are_served(serve: Serve) -> None:
    run = await serve(send_queue_mb=1)
    good = await run.open()
    bad = await run.open()
    (connection,) = (each for each in run.front.connections if each.peer.endswith(bad.own_port()))
    sock = connection._transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    transport = bad.writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]
    greedy = request("ping", "x" * 100_000)
    bad.writer.write(b"".join(Frame(Opcode.TEXT, greedy).serialize(mask=True) for _ in range(60)))
    while len(run.front.connections) > 1 and not any(c._conversation is None for c in run.front.connections):
        assert await pong(good)
    transport.resume_reading()  # type: ignore[attr-defined]
    code, reason = await bad.closed()
    assert code == 1008
    assert "send_queue_mb" in reason
    assert await pong(good)


async def test_a_client_that_is_cut_off_and_never_reads_is_dropped(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "CLOSE_SECONDS", 0.02)
    run = await serve(send_queue_mb=1)
    client = await run.open()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    greedy = Frame(Opcode.TEXT, request("ping", "x" * 100_000)).serialize(mask=True)
    client.writer.write(greedy * 200)
    await until(lambda: not run.front.connections)


async def test_a_client_that_ignores_a_goodbye_is_dropped_however_much_it_says(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "CLOSE_SECONDS", 0.05)
    run = await serve()
    client = await run.open()
    client.send(b"x", Opcode.BINARY)
    assert (await client.closed())[0] == 1003

    def chatter() -> bool:
        client.send(b"", Opcode.PING)
        return not run.front.connections

    await until(chatter)


async def test_what_came_before_the_end_of_the_stream_is_still_answered(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    client.send(request("ping", 1))
    client.writer.write_eof()
    assert (await client.answer())["result"] == "PONG"
    await client.ended()


async def test_a_client_that_vanishes_in_the_middle_of_a_frame_leaves_nothing(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    client.writer.write(Frame(Opcode.TEXT, request("ping", 1)).serialize(mask=True)[:7])
    await client.writer.drain()
    client.close()
    await until(lambda: not run.front.connections)


LAST_WORDS = {
    "half a frame": Frame(Opcode.TEXT, b"x" * 500).serialize(mask=True)[:99],
    "a malformed frame": b"\xff\xff",
    "a goodbye": Frame(Opcode.CLOSE, b"").serialize(mask=True),
    "more than is taken at a time": Frame(Opcode.TEXT, request("exists", 1, id=1)).serialize(mask=True) * 3000,
}


@pytest.mark.parametrize("words", [*LAST_WORDS, "no handshake"])
async def test_a_client_that_is_gone_leaves_nothing_to_the_garbage_collector(serve: Serve, words: str) -> None:
    run = await serve()
    client = await run.dial()
    gc.collect()
    gc.disable()
    try:
        await client.handshake("/", ["Origin: http://elsewhere"] if words == "no handshake" else [])
        held = [weakref.ref(part) for each in run.front.connections for part in (each, each._protocol)]
        client.writer.write(LAST_WORDS.get(words, b""))
        client.writer.write_eof()
        await client.ended()
        client.close()
        await until(lambda: not any(ref() for ref in held))
    finally:
        gc.enable()


async def test_a_client_that_vanishes_before_its_answer_harms_nobody(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    for n in range(50):
        client.send(request("session.open", n))
    await client.writer.drain()
    client.close()
    await until(lambda: not run.front.connections)
    assert await pong(await run.open())
    assert run.fatal == []


async def test_a_flood_of_empty_fragments_keeps_no_memory_for_each(serve: Serve) -> None:
    run = await serve(max_message_mb=1)
    client = await run.open()
    client.send(b"", fin=False)
    client.writer.write(Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 20_000)
    client.send(b"still here", Opcode.PING)
    assert await client.receive() == (Opcode.PONG, b"still here")
    (connection,) = run.front.connections
    assert len(connection._messages._fragments) == 0
    client.send(request("ping", 1), Opcode.CONT)
    assert (await client.answer())["result"] == "PONG"


# -- messages that are not finished ----------------------------------------------------------------------

PART = (1 << 20) - 100
"""Bytes of a message of nearly the largest size, where that is 1 MB."""


def half_a_message(kind: str) -> bytes:
    if kind == "first fragment":
        return Frame(Opcode.TEXT, b" " * PART, fin=False).serialize(mask=True)
    return Frame(Opcode.TEXT, b" " * (1 << 20)).serialize(mask=True)[: 14 + PART]


@pytest.mark.parametrize("kind", ["first fragment", "half a frame"])
async def test_unfinished_messages_are_bounded_over_all_connections_and_the_oldest_goes(
    serve: Serve, kind: str
) -> None:
    run = await serve(max_message_mb=1)
    other, clients = await run.open(), []
    for _ in range(budgets.UNFINISHED_MESSAGES + 2):
        clients.append(await run.open())
        clients[-1].writer.write(half_a_message(kind))
        await until(lambda: run.front.unfinished.size % PART == 0 and run.front.unfinished.size)
    code, reason = await clients[0].closed()
    assert (code, "unfinished messages" in reason) == (1013, True)
    assert run.front.unfinished.size == budgets.UNFINISHED_MESSAGES * PART
    for client in clients[2:4]:
        client.close()
    await until(lambda: run.front.unfinished.size == (budgets.UNFINISHED_MESSAGES - 2) * PART)
    assert await pong(other)


@pytest.mark.parametrize("kind", ["first fragment", "half a frame"])
async def test_a_message_is_finished_in_time_or_its_client_cut_off(
    serve: Serve, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "MESSAGE_SECONDS", 0.05)
    run = await serve(max_message_mb=1)
    client, other = await run.open(), await run.open()
    client.writer.write(half_a_message(kind))
    code, reason = await client.closed()
    assert (code, reason) == (1008, "a message was not finished within 0.05 s")
    client.writer.write(b" " * PART)
    await client.ended()
    await until(lambda: run.front.unfinished.size == 0)
    assert await pong(other)


@pytest.mark.parametrize("fragments", [1, 3])
async def test_a_message_that_is_finished_is_noted_no_more(serve: Serve, fragments: int) -> None:
    run = await serve()
    client = await run.open()
    text = request("ping", 1).ljust(600_000)
    for place in range(fragments):
        part = text[place * 200_000 : (place + 1) * 200_000] if fragments > 1 else text
        client.send(part, Opcode.CONT if place else Opcode.TEXT, fin=place == fragments - 1)
    assert (await client.answer())["result"] == "PONG"
    assert run.front.unfinished.size == 0


async def test_a_flood_of_long_requests_leaves_the_loop_to_others(serve: Serve) -> None:
    run = await serve()
    flood, other = await run.open(), await run.open()
    creates = [request("create", n, type="Object", name=f"o{n}", parent=1) for n in range(2000)]
    flood.send(b"[" + b",".join(creates) + b"]")
    assert len(await flood.answer()) == 2000
    flood.writer.write(Frame(Opcode.TEXT, request("get", 1, id=1)).serialize(mask=True) * 500)
    connection = next(each for each in run.front.connections if each.peer.endswith(flood.own_port()))
    await until(lambda: connection._inbox)
    assert await pong(other)
    assert connection._inbox or connection._unread, "the other one had to wait for the end of the flood"
    for _ in range(500):
        assert (await flood.answer())["result"]["id"] == 1


async def test_a_read_full_of_tiny_frames_leaves_the_loop_to_others(serve: Serve) -> None:
    run = await serve()
    flood = await run.open()
    (connection,) = run.front.connections
    connection.data_received(Frame(Opcode.PONG, b"").serialize(mask=True) * 200_000)
    assert connection._unread, "the others had to wait for the end of the flood"
    flood.send(request("ping", 1))
    assert (await flood.answer())["result"] == "PONG"
    assert not connection._unread


async def test_one_client_has_so_many_requests_under_way_and_no_more(tmp_path: Path) -> None:
    files = GatedFiles()
    async with running(tmp_path, files=files, listen=True) as run:
        client = await run.open()
        (connection,) = run.front.connections
        files.open.clear()
        total = 3 * budgets.OPEN_CALLS
        frames = [Frame(Opcode.TEXT, request("session.open", n)).serialize(mask=True) for n in range(total)]
        client.writer.write(b"".join(frames))
        session = connection._conversation
        assert session is not None
        await until(lambda: session.open_calls >= budgets.OPEN_CALLS and connection._paused)
        other = run.client()
        assert await other.result("ping") == "PONG"
        assert session.open_calls == budgets.OPEN_CALLS
        files.open.set()
        assert [(await client.answer())["id"] for _ in range(total)] == list(range(total))
        assert (session.open_calls, connection._paused) == (0, False)


async def test_a_client_that_leaves_a_full_inbox_behind_harms_nobody(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    total = 3 * budgets.OPEN_CALLS
    client.writer.write(Frame(Opcode.TEXT, request("session.open")).serialize(mask=True) * total)
    client.send(struct.pack("!H", 1000), Opcode.CLOSE)
    await client.ended()
    client.close()
    await until(lambda: run.state.sessions.next_number == total + 1 and not run.front.connections)


async def test_when_the_node_stops_clients_hear_1001(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    closing = asyncio.ensure_future(run.front.close(5.0))
    assert await client.closed() == (1001, "the node is stopping")
    client.send(struct.pack("!H", 1001), Opcode.CLOSE)
    await client.ended()
    client.close()
    await closing


async def test_when_others_have_used_up_the_turn_a_connection_does_the_least_and_the_rest_later(serve: Serve) -> None:
    class Over:
        def end(self) -> float:
            return 0.0

    run = await serve()
    client = await run.open()
    (connection,) = run.front.connections
    run.front.turn = Over()  # type: ignore[assignment]
    frames = [Frame(Opcode.TEXT, request("ping", number)).serialize(mask=True) for number in range(20)]
    connection.data_received(b"".join(frames))
    assert len(connection._inbox) == 19
    assert [(await client.answer())["id"] for _ in range(20)] == list(range(20))


async def test_a_request_that_comes_with_the_handshake_is_answered_behind_it(tmp_path: Path) -> None:
    async with running(tmp_path, listen=True) as run:
        client = await run.dial()
        head = (
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        client.writer.write(head + Frame(Opcode.TEXT, request("ping", 1)).serialize(mask=True))
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert b'"PONG"' in (await client.receive())[1]
