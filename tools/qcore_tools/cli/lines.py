"""Lines of a file or pipe for an event loop, as they come."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncIterator

__all__ = ["read_lines"]

CHUNK = 64 * 1024


async def read_lines(fd: int) -> AsyncIterator[str]:
    """Give the lines of an open file, without their newlines; bytes that are no UTF-8 come as surrogates.

    A daemon thread reads, as a read from a silent pipe can neither be waited for by the loop nor be cancelled.
    """
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(2)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(fd, room, loop, chunks), daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest = ""
    while chunk := await chunks.get():
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line
        room.release()
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _read(fd: int, room: threading.Semaphore, loop: asyncio.AbstractEventLoop, chunks: asyncio.Queue[bytes]) -> None:
    chunk = b"-"
    while chunk:
        room.acquire()
        try:
            chunk = os.read(fd, CHUNK)
        except OSError:
            chunk = b""
        try:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except RuntimeError:
            return  # the loop has ended before the file
