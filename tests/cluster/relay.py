"""A relay between two nodes that cuts, holds, swallows or slows what it carries, by channel."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.linked import DEADLINE, LinkedNode, started, until

__all__ = ["Relay", "relayed"]

_CHANNELS = (b"urgent", b"append", b"forward", b"snapshot")


class Relay:
    """Listens on `address` and carries each connection to `target`, two threads each."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.closed = False
        self.carried = 0
        """Bytes that went to the target."""
        self._pairs: list[_Pair] = []
        self._held: set[str] = set()
        self._swallowed: set[_Pair] = set()
        self._free = threading.Condition()
        self._pace: tuple[int, float] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self, channel: str = "") -> None:
        """Cut the connections of a channel, or all."""
        for pair in self._of(channel):
            pair.cut()

    def hold(self, channel: str) -> None:
        """Carry nothing to the target on a channel, and read nothing, until `release`."""
        with self._free:
            self._held.add(channel)

    def release(self) -> None:
        """Carry everything again."""
        with self._free:
            self._held.clear()
            self._pace = None
            self._free.notify_all()

    def swallow(self, channel: str = "") -> None:
        """Carry nothing any more on the connections of a channel that are there, or of all; they stay open."""
        with self._free:
            self._swallowed.update(self._of(channel))

    def trickle(self, size: int, seconds: float) -> None:
        """Carry at most so many bytes to the target in so many seconds."""
        self._pace = size, seconds

    def close(self) -> None:
        """Cut everything and listen no more."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.release()
        self.cut()

    def _of(self, channel: str) -> Iterator[_Pair]:
        return (pair for pair in list(self._pairs) if not channel or pair.channel == channel)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
                far = socket.create_connection(self._target, DEADLINE)
            except OSError:
                if self.closed:
                    return
                near.close()
                continue
            far.settimeout(None)
            pair = _Pair(near, far)
            self._pairs.append(pair)
            threading.Thread(target=self._carry, args=(pair, near, far), daemon=True).start()
            threading.Thread(target=self._carry, args=(pair, far, near), daemon=True).start()

    def _carry(self, pair: _Pair, source: socket.socket, target: socket.socket) -> None:
        forth = source is pair.near
        with contextlib.suppress(OSError):
            while data := self._read(pair, source, forth):
                if pair not in self._swallowed:
                    target.sendall(data)
                    self.carried += len(data) if forth else 0
        if pair not in self._swallowed:  # a half-open one tells the other side nothing of an end
            pair.cut()

    def _read(self, pair: _Pair, source: socket.socket, forth: bool) -> bytes:
        with self._free:
            while forth and pair.channel in self._held:
                self._free.wait(DEADLINE)
        pace = self._pace if forth else None
        if pace is not None:
            time.sleep(pace[1])
        data = source.recv(pace[0] if pace else 1 << 16)
        if not forth and not pair.channel:
            pair.learn(data)
        with self._free:
            while forth and pair.channel in self._held:
                self._free.wait(DEADLINE)
        return data


class _Pair:
    """A connection to the relay, and the one to the target; both ends are cut together."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near = near
        self.far = far
        self.channel = ""
        self._seen = b""

    def learn(self, data: bytes) -> None:
        """Find out the channel: the accepter's hello, which is not masked, repeats it."""
        self._seen += data
        for channel in _CHANNELS:
            if b"channel" + bytes((0xA0 + len(channel),)) + channel in self._seen:
                self.channel = channel.decode()

    def cut(self) -> None:
        """Close both."""
        for one in (self.near, self.far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def relayed(folder: Path) -> Iterator[tuple[LinkedNode, LinkedNode, Relay]]:
    """Two nodes of which the first one reaches the second by a relay, and the other way there is nothing."""
    first, second = LinkedNode(1, folder / "1", addr="nowhere"), LinkedNode(2, folder / "2", addr="nowhere")
    with Relay(second.address) as relay, started(first, second):
        first.dial(relay.address)
        until(lambda: first.reaches(second) and len(first.host.hellos) == 4)
        yield first, second, relay
