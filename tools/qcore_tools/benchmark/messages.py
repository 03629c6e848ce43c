"""What the tool and the processes that generate its load tell each other, over a socket pair."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from qcore.model.requests.queries import Consistency

__all__ = [
    "HEADER",
    "Broken",
    "Go",
    "Prepare",
    "Prepared",
    "Progressed",
    "Release",
    "RoundDone",
    "ToGenerator",
    "ToTool",
    "pack",
    "size_of",
]

HEADER = struct.Struct("<I")


class Prepare(msgspec.Struct, tag_field="is", tag=True):
    """Open `clients` connections to `url` and make the requests of a test ready.

    `ids` are the entities to read and write (for LISTEN one for each client), `folders` the parents of new ones,
    `cursors` those of the pages to be read. `number` tells the processes of a run apart.
    """

    url: str
    test: str
    number: int
    clients: int
    pipeline: int
    data_size: int
    consistency: Consistency
    seed: int
    type: str
    new_type: str
    ids: list[int]
    folders: list[int]
    cursors: list[str]


class Go(msgspec.Struct, tag_field="is", tag=True):
    """Send requests until so many are sent or so many seconds have passed; `stock` are entities to delete, once."""

    requests: int | None
    seconds: float | None
    stock: list[int] = []


class Release(msgspec.Struct, tag_field="is", tag=True):
    """Let go of all connections: this process has no part in the test."""


ToGenerator = Prepare | Go | Release


class Prepared(msgspec.Struct, tag_field="is", tag=True):
    """All connections are open."""


class Progressed(msgspec.Struct, tag_field="is", tag=True):
    """So many requests were answered since the last message."""

    count: int


class RoundDone(msgspec.Struct, tag_field="is", tag=True):
    """What was sent with one `Go` is answered, or will not be.

    `microseconds` says how many answers took that long, `errors` counts others by kind, `samples` has the first message
    of each kind. `begun` and `ended` are monotonic nanoseconds of the first request and the last answer, which
    processes of one machine share; `waited` are the seconds in which this one had nothing to do. `lost`: a connection
    is gone.
    """

    microseconds: dict[int, int]
    errors: dict[str, int]
    samples: dict[str, str]
    begun: int
    ended: int
    waited: float
    lost: bool


class Broken(msgspec.Struct, tag_field="is", tag=True):
    """The connections cannot be opened, and why."""

    message: str


ToTool = Prepared | Progressed | RoundDone | Broken

_encode: Callable[[ToGenerator | ToTool], bytes] = msgspec.msgpack.Encoder().encode


def pack(message: ToGenerator | ToTool) -> bytes:
    """A message with its size before it."""
    data = _encode(message)
    return HEADER.pack(len(data)) + data


def size_of(header: bytes) -> int:
    """How many bytes follow a header."""
    size: int = HEADER.unpack(header)[0]
    return size
