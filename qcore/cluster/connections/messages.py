"""What goes over a connection once the handshake is done: frames of messages, as MessagePack with named fields.

A frame is a list of messages, so that what is ready at the same moment travels together. A later version may add
fields with defaults, which earlier ones ignore; anything else takes another number of the link's protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["Answer", "Cancel", "Failure", "Message", "Ping", "Pong", "Request", "decode", "encode", "size"]


class Request(msgspec.Struct, tag="request", omit_defaults=True):
    """Asks the other side for something.

    Attributes:
        id: by which the answer names it, unique on the connection.
        kind: what is asked.
        left: seconds in which the answer is of use; clocks differ, so no time of day.
        body: what only the two ends of `kind` can read.
        session: of the client's write that is forwarded, None where it has none.
        epoch: the history in which it was made, "" where it is not known.
    """

    id: int
    kind: str
    left: float
    body: bytes
    session: int | None = None
    epoch: str = ""


class Answer(msgspec.Struct, tag="answer"):
    """Answers a request."""

    id: int
    body: bytes


class Failure(msgspec.Struct, tag="failure", omit_defaults=True):
    """Answers a request by the error that it ended with, or that kept it from being carried out."""

    id: int
    kind: str
    message: str
    data: dict[str, Any] = {}


class Cancel(msgspec.Struct, tag="cancel"):
    """Nobody waits for the answer to a request any more."""

    id: int


class Ping(msgspec.Struct, tag="ping"):
    """Asks for a sign of life; `sent` comes back as it is."""

    sent: float


class Pong(msgspec.Struct, tag="pong"):
    """A sign of life. `clock` is the sender's time, ns since 1970."""

    sent: float
    clock: int


Message = Request | Answer | Failure | Cancel | Ping | Pong

_OVERHEAD = 128
"""Bytes of a message beside its body, roughly."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Message]).decode


def encode(messages: Sequence[Message]) -> bytes:
    """Return the frame that holds these messages."""
    return _encode(messages)


def decode(frame: bytes) -> list[Message]:
    """Return the messages of a frame.

    Raises:
        ValueError: it is none.
    """
    try:
        return _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(f"a frame cannot be read: {str(exc)[:200]}") from None


def size(message: Message) -> int:
    """About how many bytes a message takes in a frame."""
    return _OVERHEAD + (len(message.body) if isinstance(message, Request | Answer) else 0)
