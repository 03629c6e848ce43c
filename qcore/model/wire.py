"""JSON text as it goes over the wire and into files: one encoder and one generic decoder for all rooms."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

__all__ = ["cut_text", "decode_json", "encode_json", "text_size"]

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


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
