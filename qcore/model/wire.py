"""JSON text as it goes over the wire and into files: one encoder and one generic decoder for all rooms.

The decoder takes the last of several equal keys, so what people send is looked through for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = [
    "COLON",
    "cut_text",
    "decode_json",
    "decode_members",
    "encode_json",
    "lone_surrogate",
    "repeated_key",
    "repeated_member",
    "text_size",
]

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode
decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The members of an object, their values not read yet."""

COLON = b":"
"""A text has at least as many as keys."""

_LONE_SURROGATE = re.compile(
    rb"""(?:[^\\]++|\\[^u]|\\u[^dD]|\\u[dD][0-7]|\\u[dD][89abAB]..\\u[dD][c-fC-F])*+\\u[dD][89a-fA-F]..""",
    re.DOTALL,
)


class _Repeated(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def _look(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len(dict(pairs)) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(key)
            seen.add(key)


def repeated_key(text: bytes) -> str | None:
    """A key that stands twice in an object of a JSON text, wherever that is; None where there is none.

    This reads the whole text; count first (`COLON`) where that can exclude it.
    """
    try:
        json.loads(text, object_pairs_hook=_look, parse_int=len, parse_float=len)
    except _Repeated as exc:
        return exc.key
    except (ValueError, RecursionError):  # it is no JSON, or so deep that nothing of ours has that form
        return None
    return None


def repeated_member(text: bytes) -> str | None:
    """A key that stands twice in the JSON object itself; its values are only looked through where there is one."""
    members = decode_members(text)
    inner = sum(bytes(value).count(COLON) for value in members.values()) + sum(key.count(":") for key in members)
    if text.count(COLON) - inner == len(members) and b"\\u003" not in text:
        return None
    return repeated_key(text)


def lone_surrogate(data: bytes) -> tuple[str, bytes] | None:
    """The first half of a surrogate pair that stands alone as an escape, which no text can hold.

    Returns it as it was written, and the data with the escapes of surrogates changed to others of the same length, so
    that the rest can be read.
    """
    found = _LONE_SURROGATE.match(data)
    if found is None:
        return None
    written = data[found.end() - 6 : found.end()]
    # others than half pairs are changed with them, at the speed of C: what is read of it is not carried out
    return written.decode("ascii", "replace"), data.replace(b"\\ud", b"\\u0").replace(b"\\uD", b"\\u0")


def cut_text(data: bytes, size: int) -> Iterator[str]:
    """UTF-8 in pieces of at most `size` bytes, at least 4.

    Raises:
        UnicodeDecodeError: it is none; `start` counts from the beginning of its piece.
    """
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        while end < len(data) and end > start + 1 and data[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        yield data[start:end].decode()
        start = end


def text_size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
