"""How a snapshot file goes to another node: in pieces, each confirmed, so that a cut one goes on where it was.

    begin {checksum, size}            ->  how much is there already
    chunk {checksum, offset, data}    ->  written
    end   {checksum, body}            ->  the answer of the receiver's engine

A transfer is known by the hash of its file. The receiver keeps what came of the last ones in memory and in a file under
a temporary name; only a file that is whole, checked and durable is handed to the engine. Whoever takes it over
enters it in `SnapshotFiles`; what is not there when the engine answers was refused or not wanted, and is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from qcore.cluster import budgets
from qcore.disk.received_snapshot import ReceivedSnapshot, checksum_of
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.errors import BadParams, Busy, Damaged, DiskFailed, DiskFull

__all__ = ["TRANSFER_KINDS", "Ask", "Begin", "Begun", "Chunk", "End", "IncomingSnapshots", "send_snapshot"]

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""Asks the other side with a kind, a body and a limit in seconds; raises `RequestError`."""

TRANSFER_KINDS = ("snapshot_begin", "snapshot_chunk", "snapshot_end")

_CHECKSUM = re.compile("[0-9a-f]{32}")
_Record = TypeVar("_Record", bound=msgspec.Struct)


class Begin(msgspec.Struct):
    """A file of `size` bytes is to be sent."""

    checksum: str
    size: int


class Begun(msgspec.Struct):
    """So many bytes of it are there."""

    received: int


class Chunk(msgspec.Struct):
    """A piece of it."""

    checksum: str
    offset: int
    data: bytes


class End(msgspec.Struct):
    """All of it was sent; `body` is for the receiver's engine."""

    checksum: str
    body: bytes


_encode = msgspec.msgpack.Encoder().encode


async def send_snapshot(ask: Ask, files: Executor, descriptor: int, body: bytes) -> bytes:
    """Send an open file; returns what the receiver's engine answers.

    Raises:
        RequestError: it was refused, or there is no progress.
        OSError: it cannot be read.
    """
    loop = asyncio.get_running_loop()
    size, checksum = await loop.run_in_executor(files, checksum_of, descriptor)
    begun = msgspec.msgpack.decode(
        await ask("snapshot_begin", _encode(Begin(checksum, size)), budgets.CHUNK_SECONDS), type=Begun
    )
    unconfirmed: deque[Awaitable[bytes]] = deque()
    offset = begun.received
    while offset < size:
        data = await loop.run_in_executor(files, os.pread, descriptor, budgets.CHUNK_BYTES, offset)
        if not data:
            raise DiskFailed(f"the snapshot ends at {offset} bytes and had {size}")
        chunk = _encode(Chunk(checksum, offset, data))
        unconfirmed.append(ask("snapshot_chunk", chunk, budgets.CHUNK_SECONDS))
        offset += len(data)
        if len(unconfirmed) == budgets.CHUNKS_AHEAD:
            await unconfirmed.popleft()
    while unconfirmed:
        await unconfirmed.popleft()
    return await ask("snapshot_end", _encode(End(checksum, body)), budgets.INSTALL_SECONDS)


class IncomingSnapshots:
    """What comes of snapshots, on the loop's thread; the disk is asked by `files`, one thread, in order.

    `reserve` answers how many bytes of the disk are kept for the log.
    """

    def __init__(self, snapshots: SnapshotFiles, files: Executor, reserve: Callable[[], int]) -> None:
        self._snapshots = snapshots
        self._files = files
        self._reserve = reserve
        self._partial: dict[str, _Partial] = {}
        """By hash, the one that was last begun at the end."""

    async def take(self, kind: str, body: bytes) -> bytes | tuple[SnapshotFile, bytes]:
        """Carry out a request of a sender; at the end the file comes out, with what is for the engine.

        Raises:
            RequestError: it cannot be carried out; the sender begins anew.
        """
        try:
            if kind == "snapshot_begin":
                return _encode(Begun(await self._begin(_read(body, Begin))))
            if kind == "snapshot_chunk":
                await self._extend(_read(body, Chunk))
                return b""
            end = _read(body, End)
            return await self._finish(end.checksum), end.body
        except DiskFailed as exc:
            raise DiskFull(exc.message) from None
        except Damaged as exc:
            raise BadParams(exc.message) from None

    def answered(self, found: SnapshotFile) -> None:
        """The engine has answered for a file: one that it did not take over goes, lest the next start take it."""
        if not self._snapshots.holds(found):
            self._files.submit(self._remove, found)

    def _remove(self, found: SnapshotFile) -> None:
        with contextlib.suppress(DiskFailed):  # it was taken over, and removed for newer ones since
            self._snapshots.remove([found])

    def abandon_all(self) -> None:
        """Remove what is not whole; on the thread of the files, or after it has ended."""
        while self._partial:
            self._partial.popitem()[1].file.abandon()

    async def _begin(self, begin: Begin) -> int:
        if not _CHECKSUM.fullmatch(begin.checksum) or begin.size < 0:
            raise BadParams("a transfer is named by the hash of its file")
        found = self._partial.pop(begin.checksum, None)
        if found is None or found.file.size != begin.size or found.ending:
            if found is not None and found.ending:
                self._partial[begin.checksum] = found
                raise Busy("this snapshot is being taken over already")
            seconds = int(time.time())
            file = ReceivedSnapshot(self._snapshots, begin.checksum, begin.size, seconds, self._reserve())
            found = _Partial(file)
        self._partial[begin.checksum] = found
        while len(self._partial) > budgets.PARTIAL_SNAPSHOTS:
            await self._drop(next(iter(self._partial)))
        return found.offset

    async def _extend(self, chunk: Chunk) -> None:
        partial = self._known(chunk.checksum)
        if chunk.offset != partial.offset or partial.ending:
            raise BadParams(f"a piece at {chunk.offset} came where one at {partial.offset} was due")
        partial.offset += len(chunk.data)
        try:
            await self._run(partial.file.extend, chunk.data)
        except BaseException:
            await self._drop(chunk.checksum)
            raise

    async def _finish(self, checksum: str) -> SnapshotFile:
        partial = self._known(checksum)
        partial.ending = True
        try:
            found = await self._run(partial.file.finish)
        except BaseException:
            await self._drop(checksum)
            raise
        self._partial.pop(checksum, None)
        return found

    def _known(self, checksum: str) -> _Partial:
        partial = self._partial.get(checksum)
        if partial is None:
            raise BadParams("no such snapshot is being received: it begins anew")
        return partial

    async def _drop(self, checksum: str) -> None:
        partial = self._partial.pop(checksum, None)
        if partial is not None:
            await self._run(partial.file.abandon)

    async def _run(self, function: Callable[..., _Result], *args: bytes) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._files, function, *args)


_Result = TypeVar("_Result")


class _Partial:
    """`offset` counts what is on its way to the disk, too; `ending` while the file is checked."""

    __slots__ = ("ending", "file", "offset")

    def __init__(self, file: ReceivedSnapshot) -> None:
        self.file = file
        self.offset = 0
        self.ending = False


def _read(body: bytes, record: type[_Record]) -> _Record:
    try:
        return msgspec.msgpack.decode(body, type=record)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadParams(f"no request of a transfer: {exc}") from None
