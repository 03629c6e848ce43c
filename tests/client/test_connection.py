"""The connection against a scripted server: lost answers, other URLs, deadlines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from itertools import islice
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from qcore.client import Store, connect
from qcore.client.connection import LONGEST_PAUSE, Connection, pauses
from qcore.client.request import Request as ClientRequest
from qcore.client.request import RequestGroup
from qcore.model.errors import ConnectionFailed, DiskFull, NoQuorum, NotFound, SessionExpired, Timeout, TooLarge
from tests.process import DEADLINE

Script = Callable[["Peer", ServerConnection, dict[str, Any]], Awaitable[None]]


class Peer:
    """A server that answers as a script says; keeps what it heard."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.url = ""

    async def handle(self, socket: ServerConnection) -> None:
        self.connections += 1
        assert socket.request is not None
        self.paths.append(socket.request.path)
        async for message in socket:
            for request in as_list(json.loads(message)):
                self.heard.append(request)
                await self.script(self, socket, request)
        self.left.set()

    def methods(self) -> list[str]:
        return [request["method"] for request in self.heard]


def as_list(message: Any) -> list[dict[str, Any]]:
    return message if isinstance(message, list) else [message]


async def reply(socket: ServerConnection, request: dict[str, Any], result: Any = None, **error: Any) -> None:
    answer = {"error": {"code": -32000, "message": "no", "data": error}} if error else {"result": result}
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}))


async def behave(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
    results = {"ping": "PONG", "session.open": {"session": 5}, "delete": {"deleted": 1, "revision": 2}, "exists": True}
    await reply(socket, request, results[request["method"]])


@asynccontextmanager
async def serving(script: Script = behave, **kwargs: Any) -> AsyncIterator[Peer]:
    peer = Peer(script)
    kwargs = {"subprotocols": [Subprotocol("qcore.v1")]} | kwargs
    async with serve(peer.handle, "127.0.0.1", 0, **kwargs) as server:
        peer.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield peer


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def joined(stack: AsyncExitStack, script: Script = behave, **kwargs: Any) -> tuple[Peer, Store]:
    peer = await stack.enter_async_context(serving(script))
    return peer, await stack.enter_async_context(connect(peer.url, **kwargs))


def unused_url() -> str:
    return "ws://127.0.0.1:1"


async def test_a_connection_bears_its_name(stack: AsyncExitStack) -> None:
    peer, store = await joined(stack, client="my tool & co")
    assert await store.ping() == "PONG"
    assert peer.paths == ["/?client=my%20tool%20%26%20co"]


async def test_urls_are_tried_in_order_until_one_answers(stack: AsyncExitStack) -> None:
    peer = await stack.enter_async_context(serving())
    store = await stack.enter_async_context(connect([unused_url(), peer.url]))
    assert await store.ping() == "PONG"
    assert store.url == peer.url


async def test_without_a_server_the_error_names_each_url_and_why(stack: AsyncExitStack) -> None:
    def refuse(_socket: ServerConnection, _request: Request) -> Response:
        return _socket.respond(HTTPStatus.FORBIDDEN, "use --insecure\n")

    closed_door = await stack.enter_async_context(serving(process_request=refuse))
    stranger = await stack.enter_async_context(serving(subprotocols=None))
    with pytest.raises(ConnectionFailed) as caught:
        await stack.enter_async_context(connect([unused_url(), closed_door.url, stranger.url]))
    assert f"{unused_url()} (connection refused)" in caught.value.message
    assert f"{closed_door.url} (refused with 403: use --insecure)" in caught.value.message
    assert f"{stranger.url} (" in caught.value.message
    assert "qcore.v1" in caught.value.message


async def test_wait_goes_on_trying(stack: AsyncExitStack) -> None:
    refused = asyncio.Event()

    def refuse_once(socket: ServerConnection, _request: Request) -> Response | None:
        if refused.is_set():
            return None
        refused.set()
        return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "starting\n")

    peer = await stack.enter_async_context(serving(process_request=refuse_once))
    store = await stack.enter_async_context(connect(peer.url, wait=30))
    assert await store.ping() == "PONG"


async def test_many_callers_share_one_connection(stack: AsyncExitStack) -> None:
    peer, store = await joined(stack)
    answers = await asyncio.gather(*(store.exists(number) for number in range(1, 200)))
    assert answers == [True] * 199
    assert peer.connections == 1


async def test_answers_may_come_in_any_order(stack: AsyncExitStack) -> None:
    held: list[dict[str, Any]] = []

    async def backwards(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        held.append(request)
        if len(held) == 3:
            for each in reversed(held):
                await reply(socket, each, each["params"]["id"] == 2)

    _, store = await joined(stack, backwards)
    answers = await asyncio.gather(*(store.exists(number) for number in (1, 2, 3)))
    assert answers == [False, True, False]


async def test_a_read_whose_answer_was_lost_is_asked_again(stack: AsyncExitStack) -> None:
    async def hang_up_once(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if len(peer.heard) == 1:
            await socket.close(1001, "going away")
        else:
            await reply(socket, request, True)

    lost: list[str] = []
    made: list[str] = []
    peer, store = await joined(stack, hang_up_once, on_lost=lost.append, on_connected=made.append)
    assert await store.exists(1)
    assert peer.heard[0] == peer.heard[1]
    assert lost == [f"connection to {peer.url} lost: closed with 1001 going away"]
    assert made == [peer.url]


async def test_a_write_whose_answer_was_lost_is_sent_again_under_its_number(stack: AsyncExitStack) -> None:
    async def lose_first_delete(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if peer.methods().count("delete") == 1 and request["method"] == "delete":
            socket.transport.abort()
        else:
            await behave(peer, socket, request)

    peer, store = await joined(stack, lose_first_delete)
    assert (await store.delete(9)).deleted == 1
    assert peer.methods() == ["session.open", "delete", "delete"]
    first, again = peer.heard[1:]
    assert first == again
    assert (first["params"]["session"], first["params"]["seq"], first["params"]["acked"]) == (5, 1, 1)


async def test_after_a_loss_the_next_url_is_used(stack: AsyncExitStack) -> None:
    async def hang_up(_peer: Peer, socket: ServerConnection, _request: dict[str, Any]) -> None:
        await socket.close()

    bad = await stack.enter_async_context(serving(hang_up))
    good = await stack.enter_async_context(serving())
    store = await stack.enter_async_context(connect([bad.url, good.url]))
    assert store.url == bad.url
    assert await store.ping() == "PONG"
    assert store.url == good.url
    assert (bad.connections, good.connections) == (1, 1)


async def test_a_server_that_sends_its_clients_elsewhere_is_left_for_the_next_url(stack: AsyncExitStack) -> None:
    async def stopping(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        data = {"applied": "no"} if request["method"] != "exists" else {}
        await reply(socket, request, kind="busy", elsewhere=True, **data)

    first = await stack.enter_async_context(serving(stopping))
    second = await stack.enter_async_context(serving())
    store = await stack.enter_async_context(connect([first.url, second.url]))
    await store.delete(1)
    assert first.methods() == ["session.open"]
    assert second.methods() == ["session.open", "delete"]


@pytest.mark.parametrize("method", ["plan", "restore"])
async def test_a_document_is_handed_in_anew_where_another_server_goes_on(stack: AsyncExitStack, method: str) -> None:
    """The first one is gone when the document is there; of a restore that was sent to it nobody knows."""

    async def leave(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "snapshot.upload":
            await reply(socket, request, {"upload": request["params"]["upload"], "size": 3})
        elif request["method"] == "session.open":
            await reply(socket, request, {"session": 5})
        else:
            await socket.close()

    async def another(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "snapshot.upload":
            await reply(socket, request, {"upload": request["params"]["upload"], "size": 3})
        elif "snapshot.upload" in peer.methods():
            await reply(socket, request, {"revision": 4, "counts": {}, "lines": []})
        else:
            await reply(socket, request, kind="not_found", upload="it", applied="no")

    first = await stack.enter_async_context(serving(leave))
    second = await stack.enter_async_context(serving(another))
    store = await stack.enter_async_context(connect([first.url, second.url]))
    if method == "plan":
        assert (await store.snapshot_plan("{ }")).revision == 4
        assert second.methods() == ["snapshot.plan", "snapshot.upload", "snapshot.plan"]
    else:
        with pytest.raises(NotFound) as caught:
            await store.snapshot_restore("{ }")
        assert caught.value.data["applied"] == "unknown"


@pytest.mark.parametrize(("method", "applied"), [("plan", None), ("restore", "no")])
async def test_a_restore_whose_document_was_not_handed_in_was_not_applied(
    stack: AsyncExitStack, method: str, applied: str | None
) -> None:
    async def refuse(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        await reply(socket, request, kind="disk_full")

    peer = await stack.enter_async_context(serving(refuse))
    store = await stack.enter_async_context(connect(peer.url))
    ask = store.snapshot_plan("{ }") if method == "plan" else store.snapshot_restore("{ }")
    with pytest.raises(DiskFull) as caught:
        await ask
    assert caught.value.data.get("applied") == applied


async def test_a_forgotten_session_on_a_retry_leaves_the_outcome_unknown(stack: AsyncExitStack) -> None:
    async def forget(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "session.open":
            await reply(socket, request, {"session": 5})
        elif peer.methods().count("delete") == 1:
            socket.transport.abort()
        else:
            await reply(socket, request, kind="session_expired")

    _, store = await joined(stack, forget)
    with pytest.raises(SessionExpired) as caught:
        await store.delete(9)
    assert caught.value.data["applied"] == "unknown"


async def test_a_silent_server_is_a_timeout_and_an_unknown_outcome(stack: AsyncExitStack) -> None:
    async def silent(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "session.open":
            await behave(peer, socket, request)

    peer, store = await joined(stack, silent)
    with pytest.raises(Timeout, match=r"delete: no answer within 0\.05 s") as caught:
        await store.delete(9, timeout=0.05)
    assert caught.value.data["applied"] == "unknown"
    assert peer.heard[1]["params"]["timeout"] == 0.05


async def test_a_write_that_never_left_was_not_applied(stack: AsyncExitStack) -> None:
    async def hang_up(_peer: Peer, socket: ServerConnection, _request: dict[str, Any]) -> None:
        await socket.close()

    _, store = await joined(stack, hang_up)
    with pytest.raises((ConnectionFailed, Timeout)) as caught:
        await store.delete(9, timeout=0.05)
    assert caught.value.data["applied"] == "no"


@pytest.mark.parametrize("method", ["ping", "delete", "session.open"])
async def test_with_one_url_the_reason_for_which_it_sends_elsewhere_is_told_at_the_deadline(
    stack: AsyncExitStack, method: str
) -> None:
    async def refuse(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == method:
            await reply(socket, request, kind="no_quorum", elsewhere=True, applied="no")
        else:
            await behave(peer, socket, request)

    peer, store = await joined(stack, refuse)
    with pytest.raises(NoQuorum) as caught:
        await (store.ping(timeout=0.3) if method == "ping" else store.delete(3, timeout=0.3))
    assert caught.value.message == "no"
    assert caught.value.data["elsewhere"] is True
    assert caught.value.data["applied"] == "no"
    assert peer.connections > 1


async def test_a_server_that_is_gone_is_named_at_the_deadline() -> None:
    async with AsyncExitStack() as servers:
        peer = await servers.enter_async_context(serving())
        async with connect(peer.url) as store:
            await store.ping()
            await servers.aclose()
            with pytest.raises(ConnectionFailed, match="cannot reach a server: ws://127"):
                await store.ping(timeout=0.05)


async def test_a_frame_over_the_servers_limit_is_too_large_and_the_connection_heals() -> None:
    async with serving(max_size=2000) as peer, connect(peer.url) as store:
        with pytest.raises(TooLarge):
            await store.find("T", "x" * 3000)
        assert await store.ping() == "PONG"


async def test_a_connection_that_is_closed_at_once_is_closed_for_the_server_too(stack: AsyncExitStack) -> None:
    peer = await stack.enter_async_context(serving())
    async with connect(peer.url):
        pass
    await asyncio.wait_for(peer.left.wait(), DEADLINE)


async def test_an_error_is_raised_as_its_class(stack: AsyncExitStack) -> None:
    async def refuse(_peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        await reply(socket, request, kind="not_found", hint="look elsewhere")

    _, store = await joined(stack, refuse)
    with pytest.raises(NotFound) as caught:
        await store.get(1)
    assert caught.value.data == {"hint": "look elsewhere"}


async def test_a_server_that_talks_nonsense_is_left_and_tried_again(stack: AsyncExitStack) -> None:
    async def babble_once(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if len(peer.heard) == 1:
            await socket.send("what?")
        else:
            await behave(peer, socket, request)

    peer, store = await joined(stack, babble_once)
    assert await store.ping() == "PONG"
    assert peer.connections == 2


async def test_closing_ends_what_still_waits(stack: AsyncExitStack) -> None:
    heard = asyncio.Event()

    async def silent(_peer: Peer, _socket: ServerConnection, _request: dict[str, Any]) -> None:
        heard.set()

    peer = await stack.enter_async_context(serving(silent))
    async with connect(peer.url) as store:
        asking = asyncio.create_task(store.ping())
        await heard.wait()
    with pytest.raises(ConnectionFailed, match="the connection was closed"):
        await asking
    with pytest.raises(ConnectionFailed, match="the connection is closed"):
        await store.ping()


async def test_a_cancelled_write_frees_its_number(stack: AsyncExitStack) -> None:
    deleting = asyncio.Event()

    async def silent_on_one(peer: Peer, socket: ServerConnection, request: dict[str, Any]) -> None:
        if request["params"].get("id") == 1:
            deleting.set()
        else:
            await behave(peer, socket, request)

    peer, store = await joined(stack, silent_on_one)
    task = asyncio.create_task(store.delete(1))
    await deleting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.delete(2)
    assert peer.heard[-1]["params"]["acked"] == 2


async def test_closing_while_a_connection_is_being_lost_ends_it(stack: AsyncExitStack) -> None:
    async def hang_up(_peer: Peer, socket: ServerConnection, _request: dict[str, Any]) -> None:
        await socket.close()

    peer = await stack.enter_async_context(serving(hang_up))
    connection = Connection([peer.url], "test")
    await connection.open()
    asking = asyncio.create_task(connection.send(RequestGroup([ClientRequest("ping")], array=False), DEADLINE))
    while not any(task.get_name() == "qcore.client.write" and task.cancelling() for task in asyncio.all_tasks()):
        await asyncio.sleep(0)
    closing = asyncio.create_task(connection.close())
    await asyncio.wait([closing], timeout=DEADLINE)
    assert closing.done()
    await asking
    assert "qcore.client" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_cancelled_close_is_cancelled_and_has_told_all_who_wait(stack: AsyncExitStack) -> None:
    async def silent(_peer: Peer, _socket: ServerConnection, _request: dict[str, Any]) -> None:
        pass

    peer = await stack.enter_async_context(serving(silent))
    connection = Connection([peer.url], "test")
    await connection.open()
    request = ClientRequest("ping")
    asking = asyncio.create_task(connection.send(RequestGroup([request], array=False), DEADLINE))
    await asyncio.sleep(0)
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    await asking
    assert isinstance(request.error, ConnectionFailed)
    await asyncio.wait_for(peer.left.wait(), DEADLINE)


def test_pauses_grow_to_a_limit_and_are_never_zero() -> None:
    def first(count: int) -> Iterator[float]:
        return islice(pauses(), count)

    for _ in range(20):
        drawn = list(first(12))
        assert all(0 < pause <= LONGEST_PAUSE for pause in drawn)
        assert drawn[-1] >= LONGEST_PAUSE / 2
        assert drawn[0] < 0.1
