"""The bytes of one log entry, without any I/O.

A record is one JSON object on one line, and blanks may follow it to the end of its file::

    {"head":"<format> <length> <index> <term> <node> <checksum> <crc>","feature":1,"time":...,...}\\n

The head has a fixed width and lies within the first 512 bytes, so one sector tells what a file holds. Its
numbers are decimal with leading zeros: format, length of the record in bytes with its newline, and the log id.
`checksum` is blake2b with 64 bits over all that follows the head, `crc` is CRC-32 over the head before it.
The head keeps this layout in every format. What follows it is the entry's body without its brace: bytes that are
the same on every node, so a body that came from elsewhere is stored as it came. No run of blanks in a record is
longer than 255, so a wholly blank sector is never content: `encode_body` breaks longer ones, and `foreign_body` refuses
a body that holds one. It is not mended, as then two nodes would hold different bytes under one log id.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple, NewType
from zlib import crc32

import msgspec

from qcore.disk.damage import FORMAT, damaged, newer, wrong_format
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.errors import Damaged

__all__ = [
    "HEAD_SIZE",
    "Body",
    "RawEntry",
    "body_of",
    "check",
    "decode",
    "decode_body",
    "decode_checked",
    "encode",
    "encode_body",
    "feature_of",
    "foreign_body",
    "is_blank",
    "stated_length",
]

Body = NewType("Body", bytes)
"""The JSON object of an entry's body as bytes that a record may hold; made by `encode_body` or `foreign_body`."""


class RawEntry(NamedTuple):
    """An entry whose body is not decoded."""

    id: LogId
    body: Body


_OPEN = b'{"head":"'
_CLOSE = b'",'
_HEAD_WIDTH = 4 + 10 + 3 * 20 + 16 + 8 + 6

HEAD_SIZE = len(_OPEN) + _HEAD_WIDTH + len(_CLOSE)
"""Bytes of a record before its body."""

_RUN = b" " * 256
_BROKEN_RUN = b" " * 255 + b"\\u0020"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EntryBody)


class _Feature(msgspec.Struct):
    """The one member of a body that every version can read."""

    feature: int


_feature_decoder = msgspec.json.Decoder(_Feature)


def encode_body(body: EntryBody) -> Body:
    """Return the bytes of an entry's body, which are the same wherever it is stored."""
    # Compact JSON has blanks inside strings only, where the escape means the same.
    return Body(_encoder.encode(body).replace(_RUN, _BROKEN_RUN))


def foreign_body(data: bytes) -> Body:
    """Return a body that came from another node, byte for byte.

    Whether it is an entry that this version can read is `decode_body`'s to say.

    Raises:
        ValueError: no record may hold it: it is no JSON object on one line, or has 256 blanks in a row.
    """
    if not (data.startswith(b'{"') and data.endswith(b"}")) or b"\n" in data:
        raise ValueError(f"expected an entry's body, a JSON object on one line, found {data[:40]!r}")
    if _RUN in data:
        raise ValueError("expected an entry's body with at most 255 blanks in a row, found more")
    return Body(data)


def encode(log_id: LogId, body: Body) -> bytes:
    """Return the record of an entry, newline included."""
    text = body[1:] + b"\n"
    return _head(FORMAT, HEAD_SIZE + len(text), log_id, _checksum(text)) + text


def check(data: bytes, index: int, path: str) -> LogId:
    """Return the log id of the record in `data`, the content of the file of entry `index`.

    Raises:
        Damaged: a byte is not what was written, or the format is newer than this code.
    """
    length, log_id, checksum = _parse_head(data, path)
    if log_id.index != index:
        raise damaged(path, f"expected entry {index} by its name, found entry {log_id.index}")
    if length > len(data):
        raise damaged(path, f"expected at least {length} bytes by its head, found {len(data)}")
    if data[length:].strip(b" "):
        raise damaged(path, f"expected nothing but blanks after byte {length}, found other bytes")
    found = _checksum(data[HEAD_SIZE:length])
    if found != checksum:
        raise damaged(path, f"expected checksum {checksum.decode()} by its head, found {found.decode()}")
    return log_id


def decode(data: bytes, index: int, path: str) -> Entry:
    """Return the entry in `data`, the content of the file of entry `index`.

    Raises:
        Damaged: a byte is not what was written, or the entry needs a newer version.
    """
    return decode_checked(data, check(data, index, path), path)


def decode_checked(data: bytes, log_id: LogId, path: str) -> Entry:
    """Return the entry in `data`, which `check` found to be that of `log_id`.

    Raises:
        Damaged: the entry needs a newer version.
    """
    return Entry(log_id, decode_body(body_of(data), path))


def body_of(data: bytes) -> Body:
    """Return the body in `data`, in which `check` found a record, as it was stored."""
    return Body(b"{" + data[HEAD_SIZE:].rstrip(b" ")[:-1])


def decode_body(body: bytes, path: str) -> EntryBody:
    """Return what the bytes of a body say; `path` names in messages where they came from.

    Raises:
        Damaged: they are no body, or the entry needs a newer version.
    """
    try:
        found = _decoder.decode(body)
    except msgspec.DecodeError as error:
        _refuse_newer(feature_of(body, path), path)
        raise damaged(path, f"expected an entry, but its JSON does not fit: {error}") from error
    _refuse_newer(found.feature, path)
    return found


def stated_length(data: bytes, index: int) -> int | None:
    """Return the length that a valid head of entry `index` states, None where there is no such head."""
    try:
        length, log_id, _ = _parse_head(data, "")
    except Damaged:
        return None
    return length if log_id.index == index else None


def is_blank(data: bytes) -> bool:
    """Tell whether a file was made ready for an entry that was never written: empty, blanks or zeros."""
    return not data.strip(b" \0")


def _head(version: int, length: int, log_id: LogId, checksum: bytes) -> bytes:
    text = b"%04d %010d %020d %020d %020d %s" % (
        version,
        length,
        log_id.index,
        log_id.term,
        log_id.node,
        checksum,
    )
    return b"%s%s %08x%s" % (_OPEN, text, crc32(text), _CLOSE)


def _checksum(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).hexdigest().encode()


def _parse_head(data: bytes, path: str) -> tuple[int, LogId, bytes]:
    """Return length, log id and body checksum; the head is valid if encoding it again gives the same bytes."""
    if is_blank(data):
        raise damaged(path, f"expected an entry, found {'an empty file' if not data else 'blanks or zeros only'}")
    head = data[:HEAD_SIZE]
    words = head[len(_OPEN) : -len(_CLOSE)].split(b" ")
    try:
        version, length, index, term, node = map(int, words[:5])
        log_id, checksum = LogId(term, node, index), words[5]
        valid = _head(version, length, log_id, checksum) == head
    except (ValueError, IndexError):
        valid = False
    if not valid:
        raise damaged(path, f"expected an entry's head in its first {HEAD_SIZE} bytes, found something else")
    if version != FORMAT:
        raise wrong_format(path, version)
    return length, log_id, checksum


def feature_of(text: bytes, path: str) -> int:
    """Return the feature level of a body, whose commands need not be known; `path` names where it came from.

    Raises:
        Damaged: it is no body.
    """
    try:
        return _feature_decoder.decode(text).feature
    except msgspec.DecodeError as error:
        raise damaged(path, f"expected a JSON object with a feature level: {error}") from error


def _refuse_newer(feature: int, path: str) -> None:
    if feature > FEATURE_LEVEL:
        raise newer(path, f"feature level {feature}, this version knows up to {FEATURE_LEVEL}")
