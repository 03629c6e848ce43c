"""The systems that are measured side by side: a qcore node and a Redis server, both durable, both real processes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from benchmarks.wire import Api, json_rpc, resp, websocket_frame
from qcore.disk.mounts import durability_warning, mount_table
from tests.process import NodeProcess

__all__ = [
    "ENTITIES",
    "FOLDER",
    "START_DEADLINE",
    "Peer",
    "Qcore",
    "Redis",
    "console_script",
    "create_entities",
    "durable_folder",
    "entity_messages",
    "free_addresses",
    "start_node",
]

FOLDER = Path(__file__).parent.parent / ".bench"
ENTITIES = 1_000
MESSAGES = 20 * ENTITIES
"""Different requests of one kind; each entity gets a new value in every pass."""

START_DEADLINE = 30.0
SCHEMA = {"entityType": "BenchUser", "inheritsFrom": ["Object"], "fields": [{"name": "Age", "dataType": "Int"}]}


class Peer(Protocol):
    """What the benchmark needs of a system."""

    name: str
    protocol: str
    """The load client's word for it: ws or resp."""

    @property
    def address(self) -> str:
        """`host:port`."""

    def prepare(self) -> None:
        """Wait until it serves, and create `ENTITIES` entities or keys."""

    def messages(self, operation: str) -> list[bytes]:
        """Ready requests for SET or GET."""

    def describe(self) -> str:
        """Version and durability, as the system itself reports them."""


def durable_folder(folder: Path) -> Path:
    """Return an empty `folder` on a file system that keeps what was fsynced; exit 2 on any other."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    warning = durability_warning(str(folder.resolve()), mount_table())
    if warning:
        print(f"{warning}; name another folder with --folder", file=sys.stderr)
        sys.exit(2)
    return folder


def console_script() -> tuple[str, ...]:
    """The daemon as its users start it, from the environment that runs this."""
    script = Path(sys.executable).with_name("qcore")
    return (str(script),) if script.exists() else (sys.executable, "-m", "qcore.server.main")


def start_node(folder: Path, *flags: str, command: Sequence[str] | None = None) -> NodeProcess:
    """A started node with its data in `folder`."""
    node = NodeProcess(folder, *flags, command=command or console_script())
    node.start()
    return node


def free_addresses(count: int) -> list[str]:
    """So many addresses, host:port on loopback, at which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def create_entities(api: Api) -> list[int]:
    """Create `ENTITIES` entities of `SCHEMA`; return their ids."""
    create: dict[str, Any] = {"type": "BenchUser", "parent": 1}
    api.call("schema.set", schema=SCHEMA)
    return [each["id"] for each in api.batch([("create", create | {"name": f"user {n}"}) for n in range(ENTITIES)])]


def entity_messages(operation: str, ids: Sequence[int]) -> list[bytes]:
    """Ready requests for SET or GET of the Age of these entities in turn."""
    return [websocket_frame(_request(operation, n, ids[n % len(ids)])) for n in range(MESSAGES)]


def _request(operation: str, number: int, entity: int) -> bytes:
    if operation == "SET":
        return json_rpc(number, "set", {"id": entity, "field": "Age", "value": number})
    return json_rpc(number, "get", {"id": entity, "fields": ["Age"]})


class Qcore:
    """A fresh node with `ENTITIES` entities, each with an Age."""

    name = "qcore"
    protocol = "ws"

    def __init__(self, folder: Path, command: Sequence[str] | None = None) -> None:
        self.node = start_node(folder, command=command)
        self.ids: list[int] = []

    def prepare(self) -> None:
        with Api(self.node.url) as api:
            self.ids = create_entities(api)

    @property
    def address(self) -> str:
        return self.node.address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.kill()

    def messages(self, operation: str) -> list[bytes]:
        return entity_messages(operation, self.ids)

    def describe(self) -> str:
        with Api(self.node.url) as api:
            info = api.call("info")
        return f"{info['version']}, engine {info['engine']}, durability {info['durability']}"


class Redis:
    """A redis-server that fsyncs its append-only file before it answers, with as many keys as the node has entities."""

    name = "Redis"
    protocol = "resp"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (self.address,) = free_addresses(1)
        port = self.address.rsplit(":", 1)[1]
        where = ("--bind", "127.0.0.1", "--port", port, "--dir", str(folder), "--logfile", "redis.log")
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        self._process = subprocess.Popen(["redis-server", *where, *durable])

    def prepare(self) -> None:
        self._wait()
        for n in range(ENTITIES):
            self._command("SET", f"user:{n}", n)

    @staticmethod
    def installed() -> bool:
        return shutil.which("redis-server") is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def messages(self, operation: str) -> list[bytes]:
        keys = [f"user:{n % ENTITIES}" for n in range(MESSAGES)]
        if operation == "SET":
            return [resp("SET", key, n) for n, key in enumerate(keys)]
        return [resp("GET", key) for key in keys]

    def describe(self) -> str:
        facts = dict(line.split(":", 1) for line in self._command("INFO").splitlines() if ":" in line)
        durability = " ".join(self._command("CONFIG", "GET", "appendfsync").split()[2::2])
        return f"{facts['redis_version']}, {durability}"

    def _wait(self) -> None:
        end = time.monotonic() + START_DEADLINE
        while self._process.poll() is None and time.monotonic() < end:
            try:
                self._command("PING")
            except ConnectionRefusedError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"redis-server did not start, see its output (exit code {self._process.poll()})")

    def _command(self, *words: str | int) -> str:
        """Send one command on a connection of its own; return its whole answer as text."""
        host, port = self.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(resp(*words) + resp("QUIT"))
            with connection.makefile("rb") as answer:
                return answer.read().removesuffix(b"+OK\r\n").decode()
