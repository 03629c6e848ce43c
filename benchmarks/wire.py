"""What goes over the sockets: ready messages for the load client, and a small blocking JSON-RPC caller.

The caller is not the SDK on purpose: preparing data should cost as little as possible and retry nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.sync.client import connect

__all__ = ["Api", "json_rpc", "resp", "websocket_frame", "write_messages"]


def json_rpc(number: int, method: str, params: dict[str, Any]) -> bytes:
    """One JSON-RPC 2.0 request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def websocket_frame(payload: bytes) -> bytes:
    """A final text frame as a client sends it: masked, here with the key 0, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + bytes(4) + payload


def resp(*words: str | int) -> bytes:
    """A Redis command as an array of bulk strings."""
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def write_messages(path: Path, messages: Iterable[bytes]) -> None:
    """Write the load client's file: each message with its length, 32 bits little-endian, before it."""
    path.write_bytes(b"".join(struct.pack("<I", len(message)) + message for message in messages))


class Api:
    """A blocking JSON-RPC connection; an error answer raises RuntimeError with the request's method."""

    def __init__(self, url: str) -> None:
        self._connect = connect(url, max_size=None, compression=None)

    def __enter__(self) -> Self:
        self._socket = self._connect.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connect.__exit__(kind, error, trace)

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of one request."""
        return self.batch([(method, params)])[0]

    def batch(self, requests: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
        """Send one JSON-RPC batch array; return the results in order."""
        encoded = (json_rpc(number, method, params) for number, (method, params) in enumerate(requests))
        self._socket.send(b"[" + b",".join(encoded) + b"]", text=True)
        answers = msgspec.json.decode(self._socket.recv())
        if not isinstance(answers, list):
            raise RuntimeError(f"a batch of {len(requests)} was answered with {answers}")
        for answer, (method, _) in zip(answers, requests, strict=True):
            if "error" in answer:
                raise RuntimeError(f"{method} failed: {answer['error']}")
        return [answer["result"] for answer in answers]
