"""Lines of a file or pipe for an event loop, as they come."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncIterator

from qcore_tools.console import FileError

__all__ = ["read_lines"]

CHUNK = 64 * 1024


async def read_lines(fd: int, name: str) -> AsyncIterator[str]:
    """Give the lines of an open file, without their newlines and without a byte order mark before the first.

    Bytes that are no UTF-8 come as surrogates. A daemon thread reads, as a read from a silent pipe can neither be
    waited for by the loop nor be cancelled.

    Raises:
        FileError: it cannot be read, or not to its end; names it.
    """
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(2)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(fd, room, loop, chunks), daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    rest = ""
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise FileError(f"cannot read {name}: {chunk.strerror}")
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line
        room.release()
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def _read(
    fd: int, room: threading.Semaphore, loop: asyncio.AbstractEventLoop, chunks: asyncio.Queue[bytes | OSError]
) -> None:
    chunk: bytes | OSError = b"-"
    while chunk and not isinstance(chunk, OSError):
        room.acquire()
        try:
            chunk = os.read(fd, CHUNK)
        except OSError as exc:
            chunk = exc
        try:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except RuntimeError:
            return  # the loop has ended before the file
