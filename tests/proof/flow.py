"""What becomes of bytes on their way from one end to another: held, delayed, slowed down. On the proxy's loop only.

A cut holds bytes back and loses none, as a network does whose lost packets TCP sends again: who is cut off hears
nothing, no end and no reset either, until the cut is healed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

__all__ = ["Flow", "abort", "pump"]

CHUNK_BYTES = 64 << 10
AHEAD_CHUNKS = 64
"""Read at most this far ahead of what has been passed on: behind it, the sender's own buffers fill."""


class Flow:
    """The way of all bytes from one end to another, on whatever connections.

    Attributes:
        delay: seconds that each byte takes.
        rate: bytes per second that get through together, None without a bound.
        passed: bytes that have got through.
        held: how often something stood before a cut.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate: float | None = None
        self.passed = 0
        self.held = 0
        self._open = asyncio.Event()
        self._open.set()
        self._free_at = 0.0

    @property
    def is_cut(self) -> bool:
        return not self._open.is_set()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        """Let everything through again at once, what was held first."""
        self.delay, self.rate, self._free_at = 0.0, None, 0.0
        self._open.set()

    async def opened(self) -> None:
        """Wait until nothing is cut."""
        while self.is_cut:
            self.held += 1
            await self._open.wait()

    async def take(self, size: int, came: float) -> None:
        """Wait until that many bytes that came at `came` are through."""
        loop = asyncio.get_running_loop()
        await self.opened()
        due = came + self.delay
        if self.rate is not None:
            self._free_at = max(self._free_at, loop.time()) + size / self.rate
            due = max(due, self._free_at)
        while (left := due - loop.time()) > 0 and (self.delay or self.rate is not None):
            await asyncio.sleep(min(left, 0.05))  # short, as it may be healed meanwhile
        await self.opened()
        self.passed += size


async def pump(flow: Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what is read until its end, and then the end.

    Raises:
        ExceptionGroup: of OSError, where one of the two sockets is gone.
    """
    chunks: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue(AHEAD_CHUNKS)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(reader, chunks))
        tasks.create_task(_pass_on(flow, chunks, writer))


async def _read(reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[bytes, float]]) -> None:
    data = b"."
    while data:
        data = await reader.read(CHUNK_BYTES)
        await chunks.put((data, asyncio.get_running_loop().time()))


async def _pass_on(flow: Flow, chunks: asyncio.Queue[tuple[bytes, float]], writer: asyncio.StreamWriter) -> None:
    while True:
        data, came = await chunks.get()
        await flow.take(len(data), came)
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


def abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
