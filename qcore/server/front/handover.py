"""Gives the socket of a connection away to another thread, which goes on where this one stopped reading."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

__all__ = ["TakeSocket", "hand_over"]

TakeSocket = Callable[[socket.socket, bytes, bytes], None]
"""Takes over a socket, the HTTP request that was read from it, and what was read behind that."""


def hand_over(transport: asyncio.Transport, head: bytes, rest: bytes, take: TakeSocket) -> None:
    """Give the socket of a transport away, on which nothing was written yet; the transport ends.

    No byte is lost: after `pause_reading` none is read here. Where no file is left for a second descriptor, the
    connection is dropped.
    """
    if transport.is_closing():
        return
    transport.pause_reading()
    try:
        duplicate = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    except OSError:
        transport.abort()
        return
    duplicate.setblocking(False)
    transport.abort()
    take(duplicate, head, rest)
