"""The native protocol of systemd's journal: fields instead of text, in one datagram or in sealed memory.

See https://systemd.io/JOURNAL_NATIVE_PROTOCOL. Nothing here waits for journald: a line that it does not take at once is
lost, as a log must not stop a database.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import re
import socket
from collections.abc import Mapping

__all__ = ["SOCKET", "JournalSocket", "encode_fields", "stderr_is_journal"]

SOCKET = "/run/systemd/journal/socket"

_BUFFER_BYTES = 8 << 20
"""As systemd's own library asks for."""

_NO_NAME = re.compile("[^A-Z0-9_]")
_LONGEST_NAME = 64
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_TOO_LONG = (errno.EMSGSIZE, errno.ENOBUFS)


def stderr_is_journal(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr is the stream to the journal that ``$JOURNAL_STREAM`` names by device and inode."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """Write fields as the journal reads them; names become its own: A-Z, 0-9 and _, at most 64 of them."""
    parts = []
    for name, value in fields.items():
        head = _NO_NAME.sub("_", name.upper())[:_LONGEST_NAME].encode("ascii")
        body = value.encode("utf-8", "backslashreplace")
        if b"\n" in body:
            parts.append(b"%b\n%b%b\n" % (head, len(body).to_bytes(8, "little"), body))
        else:
            parts.append(b"%b=%b\n" % (head, body))
    return b"".join(parts)


class JournalSocket:
    """A connection to journald, which may come and go."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def connect(self) -> bool:
        """Whether journald is there."""
        self.close()
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            found.connect(self._path)
        except OSError:
            found.close()
            return False
        self._socket = found
        return True

    def send(self, fields: Mapping[str, str]) -> bool:
        """Send one line; whether journald has it."""
        data = encode_fields(fields)
        return self._send(data) or (self._socket is None and self.connect() and self._send(data))

    def close(self) -> None:
        """Let go of it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno in _TOO_LONG:
                return self._send_memory(self._socket, data)
            self.close()  # journald was started anew with another socket
            return False
        return True

    def _send_memory(self, found: socket.socket, data: bytes) -> bool:
        """Send what is too long for a datagram as a descriptor of memory that nobody can change any more."""
        with contextlib.suppress(OSError):
            memory = os.memfd_create("qcore-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            with os.fdopen(memory, "wb") as file:
                file.write(data)
                file.flush()
                fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
                found.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))])
            return True
        return False
