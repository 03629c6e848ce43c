from __future__ import annotations

import pytest

from qcore.server.outbox import Outbox


class Socket:
    """Counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0
        self.outbox = Outbox(self.wake)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def socket() -> Socket:
    return Socket()


def test_messages_are_taken_in_order_up_to_a_size(socket: Socket) -> None:
    outbox = socket.outbox
    for text in (b"one", b"two", b"three"):
        outbox.append(1, text)
    assert (socket.woken, outbox.size) == (1, 11)
    assert outbox.take(4) == [b"one", b"two"]
    assert outbox.size == 5
    assert outbox.take(1) == [b"three"]
    assert outbox.take(1) == []
    outbox.append(1, b"four")
    assert (socket.woken, outbox.size) == (2, 4)


def test_what_a_listener_was_not_sent_can_be_dropped(socket: Socket) -> None:
    outbox = socket.outbox
    for token, text in [(1, b"one"), (2, b"two"), (1, b"three")]:
        outbox.append(token, text)
    outbox.discard(1)
    assert outbox.size == 3
    assert outbox.take(99) == [b"two"]
    outbox.discard(2)


def test_held_messages_wait_until_all_holds_are_released(socket: Socket) -> None:
    outbox = socket.outbox
    outbox.hold()
    outbox.hold()
    outbox.append(1, b"one")
    outbox.release()
    assert (socket.woken, outbox.take(99)) == (0, [])
    outbox.release()
    assert (socket.woken, outbox.take(99)) == (1, [b"one"])


def test_whoever_waits_is_called_once_enough_was_taken(socket: Socket) -> None:
    outbox, called = socket.outbox, []
    for _ in range(4):
        outbox.append(1, b"x" * 10)
    outbox.call_when_below(20, lambda: called.append("half"))
    outbox.call_when_below(0, lambda: called.append("empty"))
    outbox.take(5)
    assert called == []
    outbox.take(5)
    assert called == ["half"]
    outbox.discard(1)
    assert called == ["half", "empty"]


def test_a_closed_outbox_keeps_nothing_and_lets_nobody_wait(socket: Socket) -> None:
    outbox, called = socket.outbox, []
    outbox.append(1, b"one")
    outbox.call_when_below(0, lambda: called.append("gone"))
    outbox.close()
    outbox.append(1, b"two")
    assert (outbox.size, outbox.take(99), called, outbox.closed) == (0, [], ["gone"], True)
