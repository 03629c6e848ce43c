from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.cluster.connections.messages import (
    Answer,
    Cancel,
    Failure,
    Message,
    Ping,
    Pong,
    Request,
    decode,
    encode,
    size,
)

MESSAGES: list[Message] = [
    Request(1, "append", 0.5, b"\x00\xff"),
    Request(2, "call", 1.0, b"x", session=(1 << 53) - 1, epoch="00" * 8),
    Answer(1, b"body"),
    Failure(2, "not_found", "there is none", {"applied": "no"}),
    Cancel(3),
    Ping(1.5),
    Pong(1.5, 1_700_000_000_000_000_000),
]


def test_a_frame_gives_back_its_messages() -> None:
    assert decode(encode(MESSAGES)) == MESSAGES
    assert decode(encode([])) == []


def test_fields_have_names_and_defaults_are_left_out() -> None:
    (found,) = msgspec.msgpack.decode(encode(MESSAGES[:1]))
    assert found == {"type": "request", "id": 1, "kind": "append", "left": 0.5, "body": b"\x00\xff"}


def test_a_field_that_a_later_version_adds_is_ignored() -> None:
    frame = msgspec.msgpack.encode([{"type": "cancel", "id": 4, "why": "late"}])
    assert decode(frame) == [Cancel(4)]


NO_FRAMES = [
    b"",
    b"\xc1",
    b"\x91",
    b"\x80",
    b"\x91" * 5000,
    encode(MESSAGES)[:-1],
    msgspec.msgpack.encode([{"type": "dance"}]),
    msgspec.msgpack.encode([{"id": 1}]),
]


@pytest.mark.parametrize("frame", NO_FRAMES)
def test_what_is_no_frame_is_told_by_a_value_error(frame: bytes) -> None:
    with pytest.raises(ValueError, match="a frame cannot be read"):
        decode(frame)


@given(st.binary(max_size=200))
def test_whatever_comes_raises_nothing_else(frame: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(frame)


def test_the_size_of_a_message_is_that_of_its_body_and_little_more() -> None:
    assert len(encode([Request(1, "append", 0.5, b"x" * 100_000)])) <= size(Request(1, "append", 0.5, b"x" * 100_000))
    assert size(Request(1, "append", 0.5, b"x" * 100_000)) < 101_000
