"""One connection of the load: a plain socket, as fast as Python can drive one."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from qcore.model.errors import ConnectionFailed
from qcore_tools.benchmark.frames import CLOSE, PING, PONG, frame, handshake, take_frames

__all__ = ["Client", "dial"]

SECONDS = 10.0
"""How long a server gets to open a connection."""

RECEIVE = 1 << 18
"""Bytes that are read at a time."""

LONGEST_ANSWER = 1 << 16
"""Bytes of the answer to a handshake."""

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Client:
    """A connection that is open.

    Attributes:
        active: whether it sends more when all is answered.
        goodbye: why the server ends the connection, once it has said so.
        frames: the requests that it sends.
        unanswered: those under way, and `unheard` those of them whose events have not come yet.
        sent_at: when these were sent, in monotonic nanoseconds.
    """

    __slots__ = (
        "_rest",
        "_socket",
        "_unwritten",
        "active",
        "fileno",
        "frames",
        "goodbye",
        "sent_at",
        "unanswered",
        "unheard",
    )

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._rest = rest
        self._unwritten = b""
        self.fileno = connection.fileno()
        self.active = False
        self.goodbye = ""
        self.frames: Iterator[bytes] = iter(())
        self.unanswered = 0
        self.unheard = 0
        self.sent_at = 0

    def write(self, data: bytes) -> bool:
        """Write; False where the socket does not take all of it yet, so that `flush` has to be called when it does.

        Raises:
            ConnectionFailed: the connection is gone.
        """
        if self._unwritten:
            self._unwritten += data
            return False
        try:
            sent = self._socket.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as exc:
            raise ConnectionFailed(_why(exc)) from None
        if sent == len(data):
            return True
        self._unwritten = data[sent:]
        return False

    def flush(self) -> bool:
        """Write what is left; True when nothing is."""
        data, self._unwritten = self._unwritten, b""
        return not data or self.write(data)

    def read(self) -> list[bytes]:
        """The texts that have come whole; pings are answered.

        Raises:
            ConnectionFailed: the connection is gone, and why.
        """
        try:
            data = self._socket.recv(RECEIVE)
            while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                data += self._socket.recv(self._socket.pending())
        except _WOULD_BLOCK:
            return []
        except OSError as exc:
            raise ConnectionFailed(_why(exc)) from None
        if not data:
            raise ConnectionFailed("the server closed the connection without a word")
        frames, self._rest = take_frames(self._rest + data if self._rest else data)
        texts = []
        for opcode, payload in frames:
            if opcode == PING:
                self.write(frame(payload, PONG))
            elif opcode == CLOSE:
                reason = payload[2:].decode("utf-8", "replace")
                self.goodbye = f"closed with {int.from_bytes(payload[:2], 'big')} {reason}".rstrip()
            elif opcode != PONG:
                texts.append(payload)
        return texts

    def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()


def dial(url: str) -> Client:
    """Open a connection to ``ws://host:port`` or ``wss://host:port``.

    Raises:
        ConnectionFailed: it cannot be opened, and why.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        connection = socket.create_connection((host, port), SECONDS)
    except OSError as exc:
        raise ConnectionFailed(_why(exc)) from None
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "wss":
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        connection.sendall(handshake(parts.netloc))
        return Client(connection, _handshake_answer(connection))
    except OSError as exc:
        connection.close()
        raise ConnectionFailed(_why(exc)) from None
    except BaseException:
        connection.close()
        raise


def _handshake_answer(connection: socket.socket) -> bytes:
    """Read the answer to the handshake; returns what came behind it."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(4096)
        if not data or len(answer) > LONGEST_ANSWER:
            raise ConnectionFailed("the server closed the connection in the handshake")
        answer += data
    head, _, rest = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    if not status.startswith("HTTP/1.1 101"):
        body = rest.decode("utf-8", "replace").strip()
        raise ConnectionFailed(f"refused with {status.removeprefix('HTTP/1.1 ')}" + (f": {body}" if body else ""))
    return rest


def _why(exc: OSError) -> str:
    return str(exc.strerror or exc).lower()
