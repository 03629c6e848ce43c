"""Messages from frames, and the header of a frame."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from qcore.server.front.frames import Messages, text_header


def test_a_whole_frame_is_a_message() -> None:
    messages = Messages()
    assert messages.add(Frame(Opcode.TEXT, b"{}")) == (True, b"{}")
    assert messages.add(Frame(Opcode.BINARY, b"\x00")) == (False, b"\x00")


@pytest.mark.parametrize(("opcode", "text"), [(Opcode.TEXT, True), (Opcode.BINARY, False)])
def test_fragments_are_a_message_with_the_last_and_control_frames_may_come_between(opcode: Opcode, text: bool) -> None:
    messages = Messages()
    assert messages.add(Frame(opcode, b"a", fin=False)) is None
    assert messages.add(Frame(Opcode.PING, b"x")) is None
    assert messages.add(Frame(Opcode.CONT, b"b", fin=False)) is None
    assert messages.add(Frame(Opcode.CONT, b"c")) == (text, b"abc")
    assert messages.add(Frame(Opcode.TEXT, b"d")) == (True, b"d")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
def test_the_header_is_the_one_the_library_would_write(length: int) -> None:
    data = b"x" * length
    assert text_header(length) + data == Frame(Opcode.TEXT, data).serialize(mask=False)
