"""Events over real sockets: frames of every size, and clients that read slowly or not at all."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

from qcore.server.front.websocket import Connection
from qcore.server.runtime import budgets
from tests.server.running import RawClient, Running, request, running, until

Serve = Callable[..., Awaitable[Running]]

NOTE = {"entityType": "Note", "fields": [{"name": "Text", "dataType": "String"}, {"name": "N", "dataType": "Int"}]}


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve a fresh node on a free port: `await serve(watch_queue_mb=1, ...)`."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            run = await stack.enter_async_context(running(tmp_path, listen=True, **settings))
            await run.client().result("schema.set", schema=NOTE)
            return run

        yield start


async def ask(client: RawClient, method: str, **params: Any) -> Any:
    """The result of a request; nothing else may come before it."""
    client.send(request(method, 1, **params))
    answer = await client.answer()
    assert answer["id"] == 1, answer
    return answer["result"]


async def event(client: RawClient) -> dict[str, Any]:
    params: dict[str, Any] = (await client.answer())["params"]
    return params


async def narrow(run: Running) -> tuple[RawClient, Connection]:
    """A client whose socket takes little at a time, and its connection in the server."""
    client = await run.open()
    (connection,) = (each for each in run.front.connections if each.peer.endswith(client.own_port()))
    connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return client, connection


def stop_reading(client: RawClient) -> None:
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]


def go_on_reading(client: RawClient) -> None:
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]


async def test_events_of_every_size_are_whole_frames(serve: Serve) -> None:
    run = await serve()
    client, writer = await run.open(), run.client()
    note = (await writer.result("create", type="Note", name="x"))["id"]
    token = (await ask(client, "listen", target=note, field="Text"))["token"]
    for size in [0, 1, 100, 1000, 65_000, 66_000, 1_000_000, 3]:
        await writer.result("set", id=note, field="Text", value="ä" * size)
        found = await event(client)
        assert (found["token"], found["current"]["value"], found["last"]) == (token, "ä" * size, True)
    client.send(request("unlisten", 2, token=token))
    assert (await client.answer())["result"] == {"token": token}


async def test_a_bookmark_fits_the_smallest_frame(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "WATCH_TICK_SECONDS", 0.01)
    run = await serve()
    client = await run.open()
    token = (await ask(client, "listen", target="Note"))["token"]
    opcode, data = await client.receive()
    assert (opcode, len(data) < 126) == (Opcode.TEXT, True)
    epoch = run.state.epochs.current
    assert json.loads(data)["params"] == {"token": token, "revision": 1, "kind": "bookmark", "epoch": epoch}


async def test_a_client_that_does_not_read_loses_its_listeners_and_no_writer_waits(serve: Serve) -> None:
    """What came before `lost` and what comes after going on from it is everything, once."""
    run = await serve(watch_queue_mb=1)
    slow, connection = await narrow(run)
    good, writer = await run.open(), run.client()
    note = (await writer.result("create", type="Note", name="x"))["id"]
    tokens = [(await ask(slow, "listen", target=target, field="Text"))["token"] for target in (note, "Note")]
    await ask(good, "listen", target=note, field="N")
    stop_reading(slow)
    written = []
    while run.node._watch._listeners.all.keys() & set(tokens):
        written.append((await writer.result("set", id=note, field="Text", value="x" * 50_000))["revision"])
        assert len(written) < 1000
    assert connection._conversation is not None
    assert connection._conversation.client.outbox.size < 2 << 20
    written += [(await writer.result("set", id=note, field="Text", value="y"))["revision"] for _ in range(5)]
    await writer.result("set", id=note, field="N", value=1)
    assert (await event(good))["field"] == "N"
    go_on_reading(slow)
    heard: dict[int, list[int]] = {token: [] for token in tokens}
    lost: dict[int, int] = {}
    while len(lost) < 2:
        found = await event(slow)
        assert found["token"] not in lost
        if found["kind"] == "lost":
            assert found["reason"] == "slow"
            lost[found["token"]] = found["revision"]
        else:
            heard[found["token"]].append(found["revision"])
    for token in tokens:
        assert heard[token] == [revision for revision in written if revision <= lost[token]]
    since = lost[tokens[0]]
    answer = await ask(slow, "listen", target=note, field="Text", since=since)
    rest = [(await event(slow))["revision"] for _ in range(sum(revision > since for revision in written))]
    assert (answer["revision"], heard[tokens[0]] + rest) == (since, written)


async def test_a_revision_larger_than_the_queue_is_lost_live_and_there_when_resumed(serve: Serve) -> None:
    run = await serve(watch_queue_mb=1)
    client, writer = await run.open(), run.client()
    note = (await writer.result("create", type="Note", name="x"))["id"]
    await ask(client, "listen", target=note, field="Text")
    text = "x" * (2 << 20)
    revision = (await writer.result("set", id=note, field="Text", value=text))["revision"]
    lost = await event(client)
    assert (lost["kind"], lost["reason"], lost["revision"]) == ("lost", "slow", revision - 1)
    await ask(client, "listen", target=note, field="Text", since=lost["revision"])
    assert (await event(client))["current"]["value"] == text


async def test_initial_values_wait_for_a_client_that_reads_slowly(serve: Serve) -> None:
    run = await serve(watch_queue_mb=1)
    slow, connection = await narrow(run)
    writer = run.client()
    commands = [
        {"method": "create", "params": {"type": "Note", "name": f"n{n}", "fields": {"Text": "x" * 10_000}}}
        for n in range(500)
    ]
    await writer.result("pipeline", commands=commands)
    await ask(slow, "listen", target="Note", field="Text", initial=True)
    stop_reading(slow)
    assert connection._conversation is not None
    outbox = connection._conversation.client.outbox
    await until(lambda: outbox._waiting)
    assert outbox.size < 1 << 20
    await writer.result("create", type="Note", name="later", fields={"Text": "later"})
    assert outbox._waiting
    go_on_reading(slow)
    kinds = [(await event(slow))["kind"] for _ in range(503)]
    assert kinds == ["initial"] * 500 + ["bookmark", "created", "changed"]


async def test_whoever_the_history_overtakes_while_it_does_not_read_is_lost(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "WATCH_TICK_SECONDS", 0.01)
    run = await serve(watch_queue_mb=1, watch_history=1000)
    slow, _ = await narrow(run)
    writer = run.client()
    commands = [
        {"method": "create", "params": {"type": "Note", "name": f"n{n}", "fields": {"Text": "x" * 10_000}}}
        for n in range(500)
    ]
    await writer.result("pipeline", commands=commands)
    revision = (await ask(slow, "listen", target="Note", field="Text", initial=True))["revision"]
    stop_reading(slow)
    changes = [{"method": "set", "params": {"id": 2, "field": "N", "value": n}} for n in range(1000)]
    for _ in range(3):
        await writer.result("pipeline", commands=changes)
    await until(lambda: not run.node._watch._listeners.all)
    go_on_reading(slow)
    found = await event(slow)
    while found["kind"] == "initial":
        found = await event(slow)
    assert (found["kind"], found["reason"], found["revision"]) == ("lost", "slow", revision)


async def test_answers_are_not_held_up_by_events(serve: Serve) -> None:
    run = await serve()
    client, connection = await narrow(run)
    writer = run.client()
    note = (await writer.result("create", type="Note", name="x"))["id"]
    await ask(client, "listen", target=note, field="Text")
    stop_reading(client)
    for _ in range(20):
        await writer.result("set", id=note, field="Text", value="x" * 100_000)
    assert connection._conversation is not None
    waiting = connection._conversation.client.outbox.size
    assert waiting > 1 << 20
    client.send(request("ping", "ping"))
    await until(lambda: connection._conversation is not None and connection._conversation.open_calls == 0)
    await asyncio.sleep(0)
    go_on_reading(client)
    came = []
    while "ping" not in came:
        came.append((await client.answer()).get("id"))
    assert len(came) < 20, "the answer came before the last event"


async def test_a_stop_says_goodbye_to_listeners(serve: Serve) -> None:
    run = await serve()
    client = await run.open()
    await ask(client, "listen", target="Note")
    await run.node.stop()
    await run.front.close(0.5)
    assert (await client.closed())[0] == 1001


async def test_a_client_that_hangs_up_frees_its_listeners(serve: Serve) -> None:
    run = await serve()
    client, other = await run.open(), await run.open()
    for params in ({}, {"initial": True}, {"field": "Parent->Name"}):
        await ask(client, "listen", target="Note", **params)
        if "initial" in params:
            assert (await event(client))["kind"] == "bookmark"
    await ask(other, "listen", target="Note")
    client.close()
    await until(lambda: len(run.node._watch) == 1)
    assert len(run.node._watch._streams) == 1
