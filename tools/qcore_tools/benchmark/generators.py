"""The processes that generate the load, as the tool sees them."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import msgspec

from qcore.model.errors import ConnectionFailed, Internal
from qcore_tools.benchmark.generator import generate
from qcore_tools.benchmark.messages import (
    HEADER,
    Broken,
    Go,
    Prepare,
    Prepared,
    Progressed,
    Release,
    RoundDone,
    ToGenerator,
    ToTool,
    pack,
    size_of,
)

__all__ = ["Generators", "running_generators"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_decode = msgspec.msgpack.Decoder(ToTool).decode


@contextmanager
def running_generators(count: int) -> Iterator[Generators]:
    """Start so many processes; before the loop and any thread, as they are copies of this process."""
    pairs = [socket.socketpair() for _ in range(count)]
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    fork = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until a process has its own way with them
    try:
        for number, end in enumerate(theirs):
            others = [*ours, *theirs[:number], *theirs[number + 1 :]]
            processes.append(fork.Process(target=_run, args=(end, others), daemon=True))
            processes[-1].start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for end in theirs:
            end.close()
    try:
        yield Generators(ours)
    finally:
        for end in ours:
            end.close()
        for process in processes:
            process.kill()
            process.join()


def _run(end: socket.socket, others: Sequence[socket.socket]) -> None:
    for other in others:
        other.close()
    generate(end)


class Generators:
    """Processes that are told what to do at the same time, each over its end of a socket pair."""

    def __init__(self, ends: Sequence[socket.socket]) -> None:
        self._ends = ends
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._ends)

    def stop(self) -> None:
        """Have all of them let go of their connections and end."""
        for _, writer in self._streams:
            writer.transport.abort()

    async def prepare(self, orders: Sequence[Prepare]) -> None:
        """Have the first ones open their connections, one order for each, and the others let go of theirs.

        Raises:
            ConnectionFailed: one of the connections cannot be opened, and why.
        """
        if not self._streams:
            self._streams = [await asyncio.open_connection(sock=end) for end in self._ends]
        await self._tell([*orders, *[Release()] * (self.count - len(orders))])
        for place in range(len(orders)):
            answer = await self._hear(place)
            if isinstance(answer, Broken):
                raise ConnectionFailed(answer.message)
            if not isinstance(answer, Prepared):
                raise Internal(f"a load process answered {answer}")

    async def run(self, orders: Sequence[Go], on_progress: Callable[[int], None]) -> list[RoundDone]:
        """Have the same ones send requests, and wait until all are done."""
        await self._tell(orders)
        return list(await asyncio.gather(*(self._round(place, on_progress) for place in range(len(orders)))))

    async def _tell(self, orders: Sequence[ToGenerator]) -> None:
        for order, (_, writer) in zip(orders, self._streams, strict=False):
            writer.write(pack(order))
        for _, writer in self._streams[: len(orders)]:
            await writer.drain()

    async def _round(self, place: int, on_progress: Callable[[int], None]) -> RoundDone:
        while True:
            message = await self._hear(place)
            if isinstance(message, RoundDone):
                return message
            if isinstance(message, Progressed):
                on_progress(message.count)

    async def _hear(self, place: int) -> ToTool:
        reader, _ = self._streams[place]
        try:
            size = size_of(await reader.readexactly(HEADER.size))
            message: ToTool = _decode(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            raise Internal("a process that generates load has ended") from None
        return message
