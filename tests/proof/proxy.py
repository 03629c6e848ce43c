"""A fault proxy: every byte between nodes, and between clients and nodes, goes through it; it runs in its own thread.

Each node has one address here, which all others are told in place of its own. Who dialled it is found out for each
connection, so that every ordered pair of ends has a `Flow` of its own: what is cut from 1 to 2 may pass from 2 to 1,
whichever of the two dialled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from tests.proof.flow import Flow, abort, pump

__all__ = ["CLIENTS", "Proxy"]

CLIENTS = 0
"""The end of everybody who is no node; nodes have their ids."""

T = TypeVar("T")


class _Connection(NamedTuple):
    source: int
    target: int
    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]


class Proxy:
    """Everything may be called from any thread but the proxy's own, and is in force on return.

    `who(host, port)` says which end has that local address, None if it is gone; by default all are clients.
    """

    def __init__(self, who: Callable[[str, int], int | None] = lambda _host, _port: CLIENTS) -> None:
        self._who = who
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self._servers: list[asyncio.Server] = []
        self._targets: dict[int, str] = {}
        self._flows: dict[tuple[int, int], Flow] = defaultdict(Flow)
        self._connections: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def listen(self, target: int) -> str:
        """Return the ``host:port`` at which `target` is to be found from now on, of a port that the kernel picks."""
        return self._call(self._listen(target))

    def point(self, target: int, address: str) -> None:
        """Say where a node really listens; whoever comes before that is turned away."""
        self._targets[target] = address

    def cut(self, source: int, target: int) -> None:
        """Let nothing through from source to target; the other way stays as it is."""
        self._call(self._change(source, target, Flow.cut))

    def slow(self, source: int, target: int, *, delay: float = 0.0, rate: float | None = None) -> None:
        """Delay what goes from source to target by seconds, and let at most `rate` bytes per second through."""

        def change(flow: Flow) -> None:
            flow.delay, flow.rate = delay, rate

        self._call(self._change(source, target, change))

    def heal(self) -> None:
        """End all that was cut or slowed down."""
        self._call(self._heal())

    def reset(self, one: int, other: int) -> int:
        """Reset all connections between two ends, whoever dialled; returns how many there were."""
        return self._call(self._reset({one, other}))

    def connected(self, one: int, other: int) -> int:
        """How many connections there are between two ends, whoever dialled."""
        return sum({found.source, found.target} == {one, other} for found in list(self._connections))

    def held(self, source: int, target: int) -> int:
        """How often something has stood before a cut from source to target."""
        return self._flows[source, target].held

    def passed(self, source: int, target: int) -> int:
        """Bytes that have got through from source to target."""
        return self._flows[source, target].passed

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self, target: int) -> str:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._serve(target, reader, writer))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def _change(self, source: int, target: int, change: Callable[[Flow], None]) -> None:
        change(self._flows[source, target])

    async def _heal(self) -> None:
        for flow in self._flows.values():
            flow.heal()

    async def _reset(self, ends: set[int]) -> int:
        found = [one for one in self._connections if {one.source, one.target} == ends]
        for connection in found:
            for writer in connection.writers:
                abort(writer)
        return len(found)

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            source = await asyncio.to_thread(self._who, *writer.get_extra_info("peername")[:2])
            if source is not None and target in self._targets:
                await self._connect(source, target, reader, writer)
        except* OSError:
            pass  # one of the ends is gone, and so the other one's connection ends, too
        finally:
            abort(writer)

    async def _connect(
        self, source: int, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, back = self._flows[source, target], self._flows[target, source]
        await there.opened()
        await back.opened()
        host, _, port = self._targets[target].rpartition(":")
        its_reader, its_writer = await asyncio.open_connection(host, int(port))
        connection = _Connection(source, target, (writer, its_writer))
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pump(there, reader, its_writer))
                tasks.create_task(pump(back, its_reader, writer))
        except* OSError:
            await there.opened()  # that one end is gone is not told over a cut either
            await back.opened()
        finally:
            self._connections.discard(connection)
            abort(its_writer)
