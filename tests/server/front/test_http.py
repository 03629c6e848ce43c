"""The front door: HTTP answers over real sockets, and who may come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets
from tests.server.running import DEADLINE, Running, request, running, until

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


async def test_metrics_are_text_for_prometheus(serve: Serve) -> None:
    run = await serve()
    status, headers, body = await answer_to(run, "GET", "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(headers["content-length"]) == len(body.encode())
    assert "qcore_ready 1.0\n" in body
    assert (await answer_to(run, "HEAD", "/metrics"))[::2] == (200, "")


async def test_readyz_says_ready_and_when_stopping_why_not(serve: Serve) -> None:
    run = await serve()
    assert (await answer_to(run, "GET", "/readyz"))[::2] == (200, "ready\n")
    await run.node.stop()
    assert (await answer_to(run, "GET", "/readyz"))[::2] == (503, "not ready: stopping: the node is stopping\n")
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("target", ["/healthz?x=1", "/healthz#part"])
async def test_a_query_does_not_change_the_path(serve: Serve, target: str) -> None:
    assert (await answer_to(await serve(), "GET", target))[0] == 200


@pytest.mark.parametrize("target", ["/nothing", "/healthz/", "/HEALTHZ", "/%2e%2e/etc/passwd", "/raft/"])
async def test_another_path_is_named_in_a_404(serve: Serve, target: str) -> None:
    status, _, body = await answer_to(await serve(), "GET", target)
    assert status == 404
    assert target in body
    assert "/readyz" in body


@pytest.mark.parametrize(
    ("target", "status"),
    [("//[", 404), ("http://[", 400), ("*", 400), ("?", 400), ("x", 400), ("x:1", 400), ("http://", 400),
     ("ftp://a/healthz", 400), ("/\x00", 400), ("/\xe4", 400), ("/?client=%00%1b[31m%0a", 200)],
)  # fmt: skip
async def test_an_odd_target_gets_an_http_answer(serve: Serve, target: str, status: int) -> None:
    run = await serve()
    assert (await answer_to(run, "GET", target))[0] == status
    assert (await answer_to(run, "GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "HTTP"])
async def test_a_target_may_be_a_whole_url(serve: Serve, scheme: str) -> None:
    run = await serve()
    assert (await answer_to(run, "GET", f"{scheme}://any.example:80/healthz?x=1"))[0::2] == (200, "ok\n")
    assert "qcore" in (await answer_to(run, "GET", f"{scheme}://any.example"))[2]
    await run.open(f"{scheme}://any.example/?client=proxied")
    assert [each.client.name for each in run.front.connections if each.client is not None] == ["proxied"]


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
    assert "JSON-RPC is over WebSocket here" in body
    assert "GET and HEAD" in body


async def test_the_page_of_the_port_says_what_it_is(serve: Serve) -> None:
    run = await serve()
    status, headers, body = await answer_to(run, "GET", "/")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert f"ws://127.0.0.1:{run.port}/" in body
    assert "qcore" in body
    assert len(body) < 400
    assert (await answer_to(run, "HEAD", "/"))[2] == ""


@pytest.mark.parametrize("header", ["Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
async def test_half_a_handshake_is_told_to_upgrade(serve: Serve, header: str) -> None:
    status, headers, _ = await answer_to(await serve(), "GET", "/", header)
    assert (status, headers["upgrade"]) == (426, "websocket")


# -- requests as they may come ---------------------------------------------------------------------------


async def exchange(run: Running, data: bytes, *, end: bool = False) -> bytes:
    """All that is answered to these bytes, until the server ends the stream."""
    client = await run.dial()
    client.writer.write(data)
    if end:
        client.writer.write_eof()
    async with asyncio.timeout(DEADLINE):
        answer = await client.reader.read()
    client.close()
    return answer


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n" + 40 * b"x"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (GET + b"\r\n" + b"\r\n", 200),
        (GET + b"\r\n" + GET + b"\r\n", 200),
        (GET + b"Content-Length: 5\r\n\r\nhello", 200),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        (b"\r\n\r\n" + GET + b"\r\n", 200),
        (GET.replace(b"\r\n", b"\n") + b"\n", 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n" + b"\x81\x00", 200),
        (POST, 405),
        (POST + POST, 405),
        (POST.replace(b"Content-Length: 40", b"Transfer-Encoding: chunked"), 405),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", 400),
        (b"nonsense\r\n", 400),
        (b"GET /healthz\r\n", 400),
        (b"GET  /healthz HTTP/1.1\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / x HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + 300 * b"A: b\r\n" + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + 9_000 * b"x" + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + 100_000 * b"A: b\r\n", 431),
        (b"GET /" + 20_000 * b"x" + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /" + 20_000 * b"x", 414),
    ],
)
async def test_whatever_is_sent_gets_one_answer(serve: Serve, text: bytes, status: int) -> None:
    run = await serve()
    for end in (False, True):
        answer = await exchange(run, text, end=end)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        assert answer.count(b"\nContent-Length:") == 1
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
    await until(lambda: not run.front.connections)


@pytest.mark.parametrize("text", [b"GET / HT", GET, b"GET / HTTP/1.1\r"])
async def test_a_request_that_breaks_off_is_told_so(serve: Serve, text: bytes) -> None:
    assert b" 400 Bad Request\r\n" in await exchange(await serve(), text, end=True)


@pytest.mark.parametrize("text", [b"", b"\r\n\r\n"])
async def test_a_socket_that_is_closed_without_a_request_gets_no_answer(serve: Serve, text: bytes) -> None:
    assert await exchange(await serve(), text, end=True) == b""


async def test_a_request_that_is_not_finished_in_time_is_told_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "HANDSHAKE_SECONDS", 0.02)
    assert b" 408 Request Timeout\r\n" in await exchange(await serve(), GET)


async def test_a_request_may_come_byte_by_byte(serve: Serve) -> None:
    run = await serve()
    client = await run.dial()
    (connection,) = run.front.connections
    for byte in GET + b"\r\n":
        connection.data_received(bytes([byte]))
    assert (await client.reader.read()).endswith(b"ok\n")


async def test_a_handshake_has_no_body(serve: Serve) -> None:
    run = await serve()
    for header in ("Content-Length: 5", "Transfer-Encoding: chunked"):
        assert (await (await run.dial()).handshake("/", [header]))[0] == 400
    await run.open("/", ["Content-Length: 0"])


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


@pytest.mark.parametrize(
    "origin", ["http://localhost:1", "http://127.0.0.1", "http://localhost", "https://evil.example", "app://x"]
)
async def test_a_web_page_is_refused_by_its_origin_and_told_how_it_would_be_allowed(serve: Serve, origin: str) -> None:
    client = await (await serve()).dial()
    status, _, body = await client.handshake("/", [f"Origin: {origin}"])
    assert status == 403
    assert f"--allow-origin {origin}" in body
    assert Settings(allow_origin=(origin,)).allow_origin == (origin,)


@pytest.mark.parametrize(
    "origin", ["null", "file://", "*", "http://*", "https://*.example", "https://a.example:443", "http://a.example:80"]
)
async def test_nobody_is_told_to_allow_what_the_setting_refuses(serve: Serve, origin: str) -> None:
    client = await (await serve()).dial()
    status, _, body = await client.handshake("/", [f"Origin: {origin}"])
    assert (status, "--allow-origin" in body) == (403, False)
    assert origin in body
    with pytest.raises(ValidationError):
        Settings(allow_origin=(origin,))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
async def test_pages_of_the_node_itself_may_connect(serve: Serve, name: str) -> None:
    run = await serve()
    await run.open("/", [f"Origin: http://{name}:{run.port}"])


@pytest.mark.parametrize(
    ("local", "origin", "status"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080", 101),
        (("127.0.0.1", 80), "http://127.0.0.1", 101),
        (("127.0.0.1", 80), "http://localhost", 101),
        (("::1", 8080), "http://[::1]:8080", 101),
        (("::1", 8080), "http://localhost:8080", 101),
        (("127.0.0.2", 8080), "http://127.0.0.2:8080", 101),
        (("127.0.0.2", 8080), "http://localhost:8080", 403),
        (("127.0.0.1", 8080), "https://127.0.0.1:8080", 403),
        (("127.0.0.1", 8080), "http://127.0.0.1:8081", 403),
        (("127.0.0.1", 8080), "http://[::1]:8080", 403),
        (("127.0.0.1", 8080), "http://evil.example:8080", 403),
        (("192.0.2.1", 8080), "http://192.0.2.1:8080", 403),
        (("192.0.2.1", 8080), "http://localhost:8080", 403),
        (("192.0.2.1", 8080), "http://127.0.0.1:8080", 403),
    ],
)
async def test_whose_pages_they_are_is_told_by_the_address_of_the_socket_alone(
    serve: Serve, local: tuple[str, int], origin: str, status: int
) -> None:
    run = await serve(insecure=True)
    for host in ("test", origin.partition("://")[2]):
        assert ask_from(run, "127.0.0.1:5", local, Host=host, Origin=origin).status_code == status


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


def ask_from(run: Running, peer: str, local: tuple[str, int] = ("127.0.0.1", 8080), **headers: str) -> Response:
    """The door's answer to a handshake from this address to that one."""
    found = Headers([*KEY, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), *headers.items()])
    return run.front.respond(ServerProtocol(), Request("/", found), peer, local)


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
