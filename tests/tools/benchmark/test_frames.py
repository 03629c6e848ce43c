from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from qcore.model.errors import ConnectionFailed
from qcore_tools.benchmark.frames import CLOSE, PING, PONG, TEXT, frame, take_frames

SIZES = [0, 1, 125, 126, 65_535, 65_536]


@pytest.mark.parametrize("size", SIZES)
def test_a_server_reads_a_frame_as_it_was_meant(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(frame(b"a" * size))
    parsed = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as end:
        next(parsed)
    assert end.value.value == Frame(Opcode.TEXT, b"a" * size)


@pytest.mark.parametrize("size", SIZES)
def test_frames_of_a_server_are_taken_once_they_are_whole(size: int) -> None:
    data = Frame(Opcode.TEXT, b"a" * size).serialize(mask=False)
    assert take_frames(data + data) == ([(TEXT, b"a" * size)] * 2, b"")
    for end in {0, 1, 2, 3, 9, len(data) - 1}:
        if end < len(data):
            assert take_frames(data[:end]) == ([], data[:end])
            assert take_frames(data + data[:end]) == ([(TEXT, b"a" * size)], data[:end])


def test_control_frames_are_told_apart() -> None:
    data = b"".join(Frame(code, b"x").serialize(mask=False) for code in (Opcode.PING, Opcode.PONG, Opcode.CLOSE))
    assert [code for code, _ in take_frames(data)[0]] == [PING, PONG, CLOSE]


@pytest.mark.parametrize(
    "data", [Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=False), Frame(Opcode.TEXT, b"x").serialize(mask=True)]
)
def test_frames_that_are_in_pieces_or_masked_are_refused(data: bytes) -> None:
    with pytest.raises(ConnectionFailed, match="pieces or masked"):
        take_frames(data)
