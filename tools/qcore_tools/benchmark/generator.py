"""A process that generates load, as it is told over its end of a socket pair; it ends when the other end is closed."""

from __future__ import annotations

import contextlib
import gc
import resource
import select
import signal
import socket

import msgspec

from qcore.model.errors import ConnectionFailed
from qcore_tools.benchmark.load import Load
from qcore_tools.benchmark.messages import (
    HEADER,
    Broken,
    Prepare,
    Prepared,
    Progressed,
    Release,
    ToGenerator,
    ToTool,
    pack,
    size_of,
)

__all__ = ["generate"]

POLL_SECONDS = 0.1

_decode = msgspec.msgpack.Decoder(ToGenerator).decode


def generate(tool: socket.socket) -> None:
    """Do what the tool asks for, until it is gone.

    Ctrl-C at a terminal is for the tool, which then closes its end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
    gc.disable()  # nothing here is in a circle, and a collection would be told as a slow answer
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # where the kernel takes less than that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        _Generator(tool).run()
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return


class _Generator:
    def __init__(self, tool: socket.socket) -> None:
        self._tool = tool
        self._load: Load | None = None
        self._poll = select.epoll()
        self._poll.register(tool.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Serve the tool and the connections, whatever has something to say."""
        tool = self._tool.fileno()
        while True:
            was_running = self._load is not None and self._load.is_running
            wait = self._poll.poll if self._load is None else self._load.wait
            for fileno, events in wait(POLL_SECONDS):
                if fileno == tool:
                    self._obey()
                elif self._load is not None and self._load.owns(fileno):
                    self._load.serve(fileno, events)
            if was_running and self._load is not None:
                self._load.look_around()
                if not self._load.is_running:
                    self._tell(self._load.result())

    def _obey(self) -> None:
        order = _decode(self._receive(size_of(self._receive(HEADER.size))))
        if isinstance(order, Release):
            self._release()
        elif isinstance(order, Prepare):
            self._release()
            self._prepare(order)
        elif self._load is not None:
            self._load.begin(order)
            if not self._load.is_running:
                self._tell(self._load.result())

    def _release(self) -> None:
        if self._load is not None:
            self._load.close()
            self._load = None

    def _prepare(self, order: Prepare) -> None:
        try:
            self._load = Load(order, self._poll, lambda count: self._tell(Progressed(count)))
        except ConnectionFailed as exc:
            self._tell(Broken(exc.message))
        else:
            self._tell(Prepared())

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._tool.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return data

    def _tell(self, message: ToTool) -> None:
        self._tool.sendall(pack(message))
