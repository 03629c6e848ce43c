"""What a node sends to the one that leads, and what comes back: MessagePack with named fields.

Both ends may be of different versions: fields are added with defaults, and what a version does not know it ignores.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = [
    "Index",
    "NotLeading",
    "Outcome",
    "Outcomes",
    "Part",
    "ReadIndex",
    "Reply",
    "Request",
    "TransferLeadership",
    "Transferred",
    "UploadPiece",
    "UploadText",
    "Write",
    "Writes",
    "decode_reply",
    "decode_request",
    "encode",
]


class Write(msgspec.Struct, omit_defaults=True):
    """One client's write.

    Attributes:
        method: its name in the API.
        left: seconds until its deadline.
        size: bytes of its request.
        command: its sealed command as JSON, empty where that came in parts before.
        stage, parts: the name of those, and how many there are.
    """

    method: str
    left: float
    size: int
    command: bytes = b""
    stage: str = ""
    parts: int = 0


class Writes(msgspec.Struct, tag="writes", omit_defaults=True):
    """Writes in their order, for the leader of a term.

    A stream has batches numbered from 0. When one of them went astray or comes back, so do all behind it, and its
    sender begins another stream when it knows of each: the order of its writes never changes.

    Attributes:
        run: the sender's process, by chance.
        stream, number: the place among its batches.
        epoch: the history that the sender is in, "" where it has none.
    """

    run: str
    stream: int
    number: int
    term: int
    writes: list[Write]
    epoch: str = ""


class Part(msgspec.Struct, tag="part"):
    """A part of a long write, which a `Write` behind it names. Its answer says nothing."""

    stage: str
    number: int
    text: str


class ReadIndex(msgspec.Struct, tag="read_index", omit_defaults=True):
    """Asks for the log index that a linearizable read has to wait for; see `Engine.read_barrier` on `lease`."""

    lease: bool = False


class UploadText(msgspec.Struct, tag="upload_text", omit_defaults=True):
    """Asks any node for the piece of an upload's text from `offset` on.

    `taken`: the sender has all `offset` bytes of it, and its client; the receiver lets go of it.
    """

    upload: str
    offset: int
    taken: bool = False


class UploadPiece(msgspec.Struct, tag="upload_piece", omit_defaults=True):
    """A piece of a text of `size` bytes, -1 where there is no such upload to be had."""

    size: int = -1
    text: bytes = b""


class TransferLeadership(msgspec.Struct, tag="transfer_leadership"):
    """Asks the leader to hand over to voter `to` (Raft NodeId)."""

    to: int


class Outcome(msgspec.Struct, omit_defaults=True):
    """The JSON of a write's result or error; with neither it was not appended, and never will be."""

    result: bytes | None = None
    error: bytes | None = None


class Outcomes(msgspec.Struct, tag="outcomes", omit_defaults=True):
    """What became of each write of a batch.

    `over`: the leadership it was meant for is no more. Then `leader` and `term` are what this node knows instead.
    """

    outcomes: list[Outcome]
    over: bool = False
    leader: int | None = None
    term: int = 0


class NotLeading(msgspec.Struct, tag="not_leading", omit_defaults=True):
    """This node does not lead, or not in the term of the batch, of which nothing was appended: `leader` does."""

    leader: int | None = None
    term: int = 0


class Index(msgspec.Struct, tag="index"):
    """A read that has this log index applied is linearizable."""

    index: int


class Transferred(msgspec.Struct, tag="transferred"):
    """The other node leads."""


Request = Writes | Part | ReadIndex | UploadText | TransferLeadership
Reply = Outcomes | NotLeading | Index | UploadPiece | Transferred

_encode = msgspec.msgpack.Encoder().encode
_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
_decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def encode(message: Request | Reply) -> bytes:
    """The bytes of a message."""
    return _encode(message)


def decode_request(body: bytes) -> Request:
    """Read what another node sent.

    Raises:
        ValueError: it is no request.
    """
    try:
        return _decode_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ValueError(str(exc)[:200]) from None


def decode_reply(body: bytes) -> Reply:
    """Read what a node answered.

    Raises:
        ValueError: it is no answer.
    """
    try:
        return _decode_reply(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ValueError(str(exc)[:200]) from None
