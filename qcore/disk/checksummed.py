"""The bytes of the small files (node, vote, committed, purged), without any I/O.

A checksummed file is one JSON object on one line; blanks may follow it::

    {"check":"<blake2b, 64 bits>","format":1,"term":3,"node":65536,"committed":true}\\n

The check covers every byte after it, newline included.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TypeVar

import msgspec

from qcore.disk.damage import FORMAT, damaged, wrong_format
from qcore.model.errors import Damaged

__all__ = ["decode_checksummed", "decode_formats", "encode_checksummed", "is_checksummed", "not_as_written"]

T = TypeVar("T", bound=msgspec.Struct)

_OPEN = b'{"check":"'
_START = len(_OPEN) + 16
_FORMAT = b'","format":%d,'


class _Format(msgspec.Struct):
    """The one member that every version can read."""

    format: int


def encode_checksummed(record: msgspec.Struct, size: int = 0, *, format: int = FORMAT) -> bytes:
    """Return the file's content, filled up with blanks to `size` bytes."""
    text = _FORMAT % format + msgspec.json.encode(record)[1:] + b"\n"
    return (_OPEN + _check(text) + text).ljust(size)


def decode_checksummed(data: bytes, kind: type[T], path: str) -> T:
    """Return the record in a file's content.

    Raises:
        Damaged: a byte is not what was written, the record is no `kind`, or the format is newer than this code.
    """
    return decode_formats(data, {FORMAT: kind}, path)


def decode_formats(data: bytes, kinds: Mapping[int, type[T]], path: str) -> T:
    """Return the record in the content of a file that has several formats, `kinds` of records by format.

    Raises:
        Damaged: as from `decode_checksummed`.
    """
    if not is_checksummed(data):
        raise not_as_written(path)
    text = data.rstrip(b" ")[_START:]
    format = next((known for known in kinds if text.startswith(_FORMAT % known)), None)
    if format is None:
        raise wrong_format(path, _format_of(text, path), max(kinds))
    kind = kinds[format]
    try:
        return msgspec.json.decode(b"{" + text[len(_FORMAT % format) :], type=kind)
    except msgspec.DecodeError as error:
        raise damaged(path, f"expected the record {kind.__name__}, but its JSON does not fit: {error}") from error


def not_as_written(path: str) -> Damaged:
    """Return the error for a file whose check does not match."""
    return damaged(path, "expected one line of JSON that matches its check, found other bytes than were written")


def is_checksummed(data: bytes) -> bool:
    """Tell whether the content is as it was written, in whatever format."""
    line, newline, rest = data.partition(b"\n")
    return bool(newline) and not rest.strip(b" ") and line[:_START] == _OPEN + _check(line[_START:] + newline)


def _check(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).hexdigest().encode()


def _format_of(text: bytes, path: str) -> int:
    try:
        return msgspec.json.decode(b'{"check":"' + text, type=_Format).format
    except msgspec.DecodeError as error:
        raise damaged(path, f"expected a JSON object with a format: {error}") from error
