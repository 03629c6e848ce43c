"""A node inside the test's own process, and a client that speaks raw frames, for what real clients never send."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.engine.base import Engine
from qcore.model.errors import Fatal
from qcore.model.requests.commands import Bootstrap
from qcore.server.client import Client as ConnectedClient
from qcore.server.config.settings import Settings
from qcore.server.forwarding.link import ForwardLink
from qcore.server.front.http import FrontDoor
from qcore.server.front.rpc import Conversation
from qcore.server.front.service import Limits
from qcore.server.front.websocket import Connection
from qcore.server.node import Node
from qcore.server.outbox import Outbox
from qcore.server.recovery import load
from qcore.server.snapshots.taking import SnapshotTaker
from tests.engines import engine_of

__all__ = [
    "DEADLINE",
    "Client",
    "GatedFiles",
    "RawClient",
    "Running",
    "request",
    "running",
    "stop_listening",
    "taker",
    "until",
]

DEADLINE = 30.0
"""Seconds after which a wait for a condition is given up; generous, as it only bounds a failure."""


class GatedFiles(Files):
    """A disk whose flushes can be held back, and made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.failing = False
        self.failing_in = ""
        """What a path must hold for its flush to fail."""
        self.gated = ""
        """What a path must hold for its flush to be held back."""
        self.held: list[str] = []
        """Paths of the flushes that began while the gate was shut, those of all that is `apart` too."""

    def fsync(self, descriptor: int, path: str) -> None:
        self._pass(path)
        super().fsync(descriptor, path)

    def fdatasync(self, descriptor: int, path: str) -> None:
        self._pass(path)
        super().fdatasync(descriptor, path)

    def sync_all(self, folder: str) -> bool:
        return False  # each file by itself, by its path

    def _pass(self, path: str) -> None:
        if not self.open.is_set() and self.gated in path:
            self.held.append(path)
            if not self.open.wait(DEADLINE):
                raise AssertionError("the gate stayed shut")
        if self.failing and self.failing_in in path:
            raise OSError(5, "Input/output error")


def taker(node: Node) -> SnapshotTaker:
    """What takes the snapshots of a node with the data."""
    assert isinstance(node._snapshots, SnapshotTaker)
    return node._snapshots


class Running:
    """A started node on a directory; `fatal` holds why it wanted to end the daemon."""

    def __init__(
        self,
        directory: Directory,
        settings: Settings,
        engine: Engine | None = None,
        schema_file: Bootstrap | None = None,
    ) -> None:
        self.directory = directory
        self.fatal: list[Fatal] = []
        self.state, snapshot = load(directory)
        self.ready = 0
        """How often writes began to flow."""
        self.engine = engine_of(directory) if engine is None else engine
        self.node = Node(
            settings,
            self.state,
            self.engine,
            directory,
            "127.0.0.1:1",
            self.fatal.append,
            snapshot,
            schema_file,
            self._became_ready,
        )
        self.front = FrontDoor(self.node)
        self.port = 0
        self._raw: list[RawClient] = []

    def _became_ready(self) -> None:
        self.ready += 1

    async def dial(self) -> RawClient:
        """A socket without a handshake yet; dropped when the block of `running` ends."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.port))
        self._raw.append(client)
        return client

    async def open(self, target: str = "/", headers: Sequence[str] = ()) -> RawClient:
        """A WebSocket: the answer to the handshake must be 101."""
        client = await self.dial()
        status, _, body = await client.handshake(target, headers)
        assert status == 101, (status, body)
        return client

    async def hang_up(self) -> None:
        """Drop all raw clients and wait until the node has noticed."""
        for client in self._raw:
            client.close()
        await until(lambda: not self.front.connections)

    def client(self) -> Client:
        """A client without a socket."""
        return Client(self.node, self.front.limits)


class Client:
    """One session on a node, without a socket; keeps the answers by id."""

    def __init__(self, node: Node, limits: Limits) -> None:
        connected = ConnectedClient("", "", Outbox(self._take_events))
        self._session = Conversation(node.router, limits, connected, self._take, lambda: None)
        self.events: list[dict[str, Any]] = []
        self.messages: list[Any] = []
        """Answers and events, as they came."""
        self._ids = 0
        self.answers: dict[Any, dict[str, Any]] = {}

    def send(self, method: str, **params: Any) -> int:
        """Send a request; its answer will be in `answers` under the id this returns."""
        self._ids += 1
        self.send_text(request(method, self._ids, **params))
        return self._ids

    def send_text(self, text: bytes) -> None:
        self._session.receive(text, asyncio.get_running_loop().time())

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the whole answer of a request."""
        id = self.send(method, **params)
        await until(lambda: id in self.answers)
        return self.answers[id]

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def kind(self, method: str, **params: Any) -> str:
        """Return the kind of the error a request is answered with."""
        answer = await self.ask(method, **params)
        assert "error" in answer, answer
        return str(answer["error"]["data"]["kind"])

    async def told(self, token: int, count: int) -> list[dict[str, Any]]:
        """Wait for so many events of a token, and return all that came, without it and without their epochs."""
        await until(lambda: sum(event["token"] == token for event in self.events) >= count)
        left_out = ("token", "epoch")
        found = [event for event in self.events if event["token"] == token]
        return [{k: v for k, v in event.items() if k not in left_out} for event in found]

    def hang_up(self) -> None:
        """End as a connection does that is lost."""
        self._session.close()

    def _take_events(self) -> None:
        for text in self._session.client.outbox.take(1 << 30):
            self.messages.append(json.loads(text))
            self.events.append(self.messages[-1]["params"])

    def _take(self, text: bytes) -> None:
        found = json.loads(text)
        self.messages.append(found)
        for answer in found if isinstance(found, list) else [found]:
            self.answers[answer["id"]] = answer


@asynccontextmanager
async def running(
    folder: Path,
    *,
    files: Files | None = None,
    listen: bool = False,
    host: str = "127.0.0.1",
    engine: Callable[[Directory], Engine] = engine_of,
    schema_file: Bootstrap | None = None,
    wait: bool = True,
    id: int = 1,
    link: ForwardLink | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run a node on `folder` until the block ends, then stop it unless it failed; `wait` until writes flow first."""
    directory = Directory.open(folder, id, machine="testbed", files=files)
    run = Running(directory, Settings(**settings), engine(directory), schema_file)
    if link is not None:
        run.node.connect(link)
    run.node.start()
    run.node.run()
    if wait:
        await until(lambda: run.ready or run.fatal)
    server = None
    if listen:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(run.front), host, 0)
        run.port = server.sockets[0].getsockname()[1]
    try:
        yield run
    finally:
        if server is not None:
            await stop_listening(server)
            await run.hang_up()
        if not run.fatal and not run.node.stopping:
            await run.node.stop()
        directory.close()


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server; what it has accepted by now gets its connection.

    asyncio connects a socket in a task that it makes when it accepts it. Of a server that is closed before that task
    begins it drops the socket without closing it.
    """
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    await asyncio.sleep(0)
    server.close()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


def request(method: str, id: Any = None, /, **params: Any) -> bytes:
    """Return the text of a request, of a notification without an id."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if id is not None:
        message["id"] = id
    return json.dumps(message).encode()


class RawClient:
    """A WebSocket client that sends exactly the bytes it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def handshake(self, target: str = "/", headers: Sequence[str] = ()) -> tuple[int, dict[str, str], str]:
        """Ask for a WebSocket; returns status, headers and body."""
        own = (
            "Host: test",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        )
        return await self.http("GET", target, (*own, *headers))

    async def http(self, method: str, target: str, headers: Sequence[str] = ()) -> tuple[int, dict[str, str], str]:
        """Send an HTTP request; returns status, headers with lower-case names, and body."""
        self.writer.write("\r\n".join([f"{method} {target} HTTP/1.1", *headers, "", ""]).encode("latin-1"))
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            status = int(head[0].split()[1])
            body = b"" if status == 101 else await self.reader.read()
        return status, found, body.decode()

    def send(self, data: bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> None:
        """Send one frame."""
        self.writer.write(Frame(opcode, data, fin).serialize(mask=True))

    async def receive(self) -> tuple[Opcode, bytes]:
        """Return the next frame of the server, whatever it is."""
        async with asyncio.timeout(DEADLINE):
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            return Opcode(head[0] & 0x0F), await self.reader.readexactly(length)

    async def answer(self) -> Any:
        """Return the JSON of the next text frame; pings in between are skipped, not answered."""
        opcode, data = await self.receive()
        while opcode is Opcode.PING:
            opcode, data = await self.receive()
        assert opcode is Opcode.TEXT, (opcode, data)
        return json.loads(data)

    async def closed(self) -> tuple[int, str]:
        """Skip to the server's goodbye; returns its code and reason."""
        opcode, data = await self.receive()
        while opcode is not Opcode.CLOSE:
            opcode, data = await self.receive()
        return int.from_bytes(data[:2], "big"), data[2:].decode()

    def own_port(self) -> str:
        """``:port`` of this client, with which the server's name for it ends."""
        return f":{self.writer.get_extra_info('sockname')[1]}"

    async def ended(self) -> None:
        """Wait until the server has closed the socket; what it still sends is thrown away."""
        async with asyncio.timeout(DEADLINE):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass

    def close(self) -> None:
        """Drop the socket."""
        self.writer.transport.abort()
