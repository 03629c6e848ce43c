"""A process that only listens: connections with listeners on one type, whose events it counts.

It looks at frame headers alone, so that it hears as many events as Python can. Whoever measures asks for its `Count`
by a line on its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self, cast

import msgspec
import uvloop

from benchmarks.wire import json_rpc, websocket_frame

__all__ = ["FIELD", "HANDSHAKE", "Count", "Ears"]

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TYPE, FIELD = "BenchUser", "Age"


class Count(NamedTuple):
    """Frames that came, how many of them said `lost`, and when the last one came, in monotonic seconds."""

    frames: int
    lost: int
    last: float


class Ears:
    """The process: `listeners` in turn on `connections` connections to `address`, ready when entered."""

    def __init__(self, address: str, listeners: int, connections: int) -> None:
        arguments = [sys.executable, "-m", "benchmarks.ears", address, str(listeners), str(connections)]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Self:
        self.count()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def count(self, frames: int = 0) -> Count:
        """What it heard, once there are so many frames or it was lost."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(frames, file=self._process.stdin)
        return msgspec.json.decode(self._process.stdout.readline(), type=Count)

    def settle(self) -> Count:
        """What it heard, once nothing comes any more."""
        found = self.count()
        while True:
            time.sleep(0.2)
            again = self.count()
            if again == found:
                return found
            found = again


class _Line(asyncio.Protocol):
    """One connection; counts its frames."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.frames = 0
        self.lost = 0
        self.last = 0.0
        self._requests = requests
        self._left = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        cast(asyncio.WriteTransport, transport).write(HANDSHAKE + b"".join(self._requests))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        left = self._left
        left += data
        place, size = 0, len(left)
        if not self._open:
            place = left.find(b"\r\n\r\n") + 4
            if place < 4:
                return
            self._open = True
        if b'"lost"' in data:
            self.lost += data.count(b'"lost"')
        while place + 4 <= size:
            length, head = left[place + 1], 2
            if length == 126:
                length, head = int.from_bytes(left[place + 2 : place + 4], "big"), 4
            if place + head + length > size:
                break
            place += head + length
            self.frames += 1
        del left[:place]
        self.last = time.monotonic()


async def _hear(address: str, listeners: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    host, port = address.rsplit(":", 1)
    lines: list[_Line] = []
    for number in range(connections):
        mine = range(number, listeners, connections)
        asks = [websocket_frame(json_rpc(n, "listen", {"target": TYPE, "field": FIELD})) for n in mine]
        _, line = await loop.create_connection(lambda asks=asks: _Line(asks), host, int(port))  # type: ignore[misc]
        lines.append(line)
    while command := await asyncio.to_thread(sys.stdin.readline):
        goal = listeners + int(command)  # the answers are frames, too
        while sum(line.frames for line in lines) < goal and not any(line.lost for line in lines):  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
        frames = sum(line.frames for line in lines) - listeners
        count = Count(frames, sum(line.lost for line in lines), max(line.last for line in lines))
        print(msgspec.json.encode(count).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_hear(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
