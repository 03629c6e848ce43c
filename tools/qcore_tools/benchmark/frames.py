"""What goes over the sockets of the load: WebSocket frames as a client writes and reads them. No I/O.

Requests are made ready before anything is measured; an answer is taken apart no further than it has to be.
"""

from __future__ import annotations

import struct
from typing import Any

from qcore.model.api import SUBPROTOCOL
from qcore.model.errors import ConnectionFailed
from qcore.model.wire import encode_json

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "frame", "handshake", "request_frame", "take_frames"]

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_FINAL = 0x80
_MASKED = 0x80


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame as a client sends it: masked, with the key 0, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
    elif size < 65_536:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
    return head + bytes(4) + payload


def request_frame(number: int, method: str, params: dict[str, Any]) -> bytes:
    """The frame of a JSON-RPC request."""
    return frame(encode_json({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))


def handshake(host: str) -> bytes:
    """The HTTP request that opens a connection to `host`, which is ``name:port``."""
    lines = (
        "GET /?client=benchmark-tool HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def take_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The frames that have come whole, each as opcode and payload, and the bytes behind them.

    Raises:
        ConnectionFailed: a frame in pieces, or a masked one; the servers meant here send neither.
    """
    found: list[tuple[int, bytes]] = []
    place, end = 0, len(data)
    while end - place >= 2:
        first, size = data[place], data[place + 1]
        start = place + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if not first & _FINAL or data[place + 1] & _MASKED:
            raise ConnectionFailed("the server sent a WebSocket frame that is in pieces or masked")
        if start + size > end:
            break
        found.append((first & 0x0F, data[start : start + size]))
        place = start + size
    return found, data[place:] if place else data
