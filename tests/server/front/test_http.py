"""The front door: HTTP answers over real sockets, and who may come in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from tests.server.running import Running, request, running, until

Serve = Callable[..., Awaitable[Running]]
KEY = ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Running:
            return await stack.enter_async_context(running(tmp_path, listen=True, **settings))

        yield start


async def answer_to(run: Running, method: str, target: str, *headers: str) -> tuple[int, dict[str, str], str]:
    client = await run.dial()
    answer = await client.http(method, target, ("Host: test", *headers))
    await client.ended()
    return answer


# -- paths and methods -----------------------------------------------------------------------------------


async def test_healthz_says_ok(serve: Serve) -> None:
    status, headers, body = await answer_to(await serve(), "GET", "/healthz")
    assert (status, body) == (200, "ok\n")
    assert headers["content-length"] == "3"
    assert headers["content-type"].startswith("text/plain")


async def test_readyz_says_ready_and_when_stopping_why_not(serve: Serve) -> None:
    run = await serve()
    assert (await answer_to(run, "GET", "/readyz"))[::2] == (200, "ready\n")
    await run.node.stop()
    assert (await answer_to(run, "GET", "/readyz"))[::2] == (503, "not ready: the node is stopping\n")
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("target", ["/healthz?x=1", "/healthz#part"])
async def test_a_query_does_not_change_the_path(serve: Serve, target: str) -> None:
    assert (await answer_to(await serve(), "GET", target))[0] == 200


@pytest.mark.parametrize("target", ["/nothing", "/healthz/", "/HEALTHZ", "/%2e%2e/etc/passwd", "/raft"])
async def test_another_path_is_named_in_a_404(serve: Serve, target: str) -> None:
    status, _, body = await answer_to(await serve(), "GET", target)
    assert status == 404
    assert target in body
    assert "/readyz" in body


@pytest.mark.parametrize("target", ["//[", "http://[", "*", "?", "x", "/\x00", "/?client=%00%1b[31m%0a"])
async def test_an_odd_target_gets_an_http_answer(serve: Serve, target: str) -> None:
    run = await serve()
    assert (await answer_to(run, "GET", target))[0] in (400, 404, 426)
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/nothing"])
async def test_head_is_get_without_the_body(serve: Serve, target: str) -> None:
    run = await serve()
    get, head = await answer_to(run, "GET", target), await answer_to(run, "HEAD", target)
    assert head[0] == get[0]
    assert head[1]["content-length"] == get[1]["content-length"]
    assert (head[2], bool(get[2])) == ("", True)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"])
@pytest.mark.parametrize("target", ["/", "/healthz"])
async def test_other_methods_are_refused(serve: Serve, method: str, target: str) -> None:
    status, headers, body = await answer_to(await serve(), method, target)
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert "GET and HEAD" in body


async def test_a_plain_get_of_the_api_is_told_to_upgrade(serve: Serve) -> None:
    status, headers, _ = await answer_to(await serve(), "GET", "/")
    assert (status, headers["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + 300 * b"A: b\r\n" + b"\r\n",
        b"GET /" + 20_000 * b"x" + b" HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_ends_the_connection_and_nothing_else(serve: Serve, text: bytes) -> None:
    run = await serve()
    client = await run.dial()
    client.writer.write(text)
    client.writer.write_eof()
    await client.ended()
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200


async def test_an_answer_waits_for_no_end_of_stream(serve: Serve) -> None:
    run = await serve()
    client = await run.dial()
    assert (await client.http("GET", "/healthz", ("Host: test",)))[0] == 200


# -- the door --------------------------------------------------------------------------------------------


async def test_a_client_may_give_its_name(serve: Serve) -> None:
    run = await serve()
    await run.open("/?client=tool%20one")
    await run.open()
    assert sorted(each.client.name for each in run.front.connections if each.client is not None) == ["", "tool one"]


@pytest.mark.parametrize(
    ("offered", "chosen"), [((), None), (("qcore.v1",), "qcore.v1"), (("other, qcore.v1",), "qcore.v1"),
                            (("other", "qcore.v1"), "qcore.v1")]
)  # fmt: skip
async def test_the_subprotocol_is_agreed_on(serve: Serve, offered: tuple[str, ...], chosen: str | None) -> None:
    client = await (await serve()).dial()
    status, headers, _ = await client.handshake("/", [f"Sec-WebSocket-Protocol: {each}" for each in offered])
    assert (status, headers.get("sec-websocket-protocol")) == (101, chosen)


async def test_an_unknown_subprotocol_is_refused_with_those_there_are(serve: Serve) -> None:
    client = await (await serve()).dial()
    status, _, body = await client.handshake("/", ["Sec-WebSocket-Protocol: qcore.v9, chat"])
    assert status == 400
    assert "qcore.v9, chat" in body
    assert "there is qcore.v1" in body


@pytest.mark.parametrize("origin", ["http://localhost:8080", "https://evil.example", "null", "file://"])
async def test_a_web_page_is_refused_by_its_origin(serve: Serve, origin: str) -> None:
    client = await (await serve()).dial()
    status, _, body = await client.handshake("/", [f"Origin: {origin}"])
    assert status == 403
    assert f"--allow-origin {origin}" in body


async def test_a_web_page_whose_origin_is_allowed_comes_in(serve: Serve) -> None:
    run = await serve(allow_origin=("https://console.example",))
    await run.open("/", ["Origin: https://Console.example"])
    client = await run.dial()
    assert (await client.handshake("/", ["Origin: https://console.example.evil"]))[0] == 403


async def test_every_origin_must_be_allowed(serve: Serve) -> None:
    client = await (await serve(allow_origin=("https://a.example",))).dial()
    headers = ["Origin: https://a.example", "Origin: https://b.example"]
    assert (await client.handshake("/", headers))[0] == 403


async def test_a_web_page_may_read_the_health(serve: Serve) -> None:
    assert (await answer_to(await serve(), "GET", "/healthz", "Origin: https://evil.example"))[0] == 200


def ask_from(run: Running, peer: str, **headers: str) -> Response:
    """The door's answer to a handshake from this address."""
    found = Headers([*KEY, ("Host", "test"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), *headers.items()])
    return run.front.respond(ServerProtocol(), Request("/", found), peer)


OTHERS = [
    "192.0.2.7:5",
    "10.0.0.1:80",
    "2001:db8::1:443",
    "fe80::1%eth0:443",
    "::ffff:192.0.2.7:9",
    "0.0.0.0:1",
    ":0",
    "x:1",
]


@pytest.mark.parametrize("peer", OTHERS)
async def test_another_machine_is_refused_and_told_the_flag(serve: Serve, peer: str) -> None:
    answer = ask_from(await serve(), peer)
    assert answer.status_code == 403
    assert b"--insecure" in bytes(answer.body)


@pytest.mark.parametrize("peer", OTHERS)
async def test_another_machine_is_served_if_that_is_wanted(serve: Serve, peer: str) -> None:
    assert ask_from(await serve(insecure=True), peer).status_code == 101


@pytest.mark.parametrize("peer", ["127.0.0.1:5", "127.8.9.1:5", "::1:443", "::ffff:127.0.0.1:9"])
async def test_this_machine_is_served(serve: Serve, peer: str) -> None:
    assert ask_from(await serve(), peer).status_code == 101


async def test_insecure_opens_no_door_to_web_pages(serve: Serve) -> None:
    assert ask_from(await serve(insecure=True), "192.0.2.7:5", Origin="https://evil.example").status_code == 403


async def test_too_many_connections_are_refused_by_name_of_the_limit(serve: Serve) -> None:
    run = await serve(max_connections=2)
    first, second = await run.open(), await run.open()
    third = await run.dial()
    status, _, body = await third.handshake()
    assert status == 503
    assert "2 connections already (max_connections)" in body
    for client in (first, second):
        client.send(request("ping", 1))
        assert (await client.answer())["result"] == "PONG"
    first.close()
    third.close()
    await until(lambda: len(run.front.connections) == 1)
    await run.open()


async def test_health_is_answered_however_many_clients_there_are(serve: Serve) -> None:
    run = await serve(max_connections=1)
    await run.open()
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200
