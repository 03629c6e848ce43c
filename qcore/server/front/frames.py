"""WebSocket frames: messages put together from fragments, and the header of a frame that the server makes itself."""

from __future__ import annotations

from websockets.frames import Frame, Opcode

__all__ = ["Messages", "text_header"]

_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
_SHORT = [bytes((0x81, length)) for length in range(126)]
"""The headers of short texts."""


class Messages:
    """Puts the data frames of one connection together."""

    def __init__(self) -> None:
        self._fragments = bytearray()  # a list would cost 40 bytes for each empty one of a flood
        self._text = True

    @property
    def size(self) -> int:
        """Bytes of the message that is not whole yet."""
        return len(self._fragments)

    def add(self, frame: Frame) -> tuple[bool, bytes] | None:
        """Whether a message is text, and its data, once `frame` ends one; None for fragments and control frames.

        That fragments follow each other as they must is for the protocol to check, as is their whole length.
        """
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY:
            if frame.fin:
                return opcode is _TEXT, bytes(frame.data)
            self._fragments = bytearray(frame.data)
            self._text = opcode is _TEXT
        elif opcode is _CONT:
            self._fragments += frame.data
            if frame.fin:
                data, self._fragments = bytes(self._fragments), bytearray()
                return self._text, data
        return None


def text_header(length: int) -> bytes:
    """What stands before the text of a whole, unmasked frame (RFC 6455, 5.2)."""
    if length < 126:
        return _SHORT[length]
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
