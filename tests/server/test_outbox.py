from __future__ import annotations

import pytest

from qcore.server.outbox import Feed


class Socket:
    """Counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0
        self.feed = Feed(self.wake)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def socket() -> Socket:
    return Socket()


def test_messages_are_taken_in_order_as_far_as_there_is_room(socket: Socket) -> None:
    feed = socket.feed
    for text in (b"one", b"two", b"three"):
        feed.put(1, text)
    assert (socket.woken, feed.size) == (1, 11)
    assert feed.take(4) == [b"one", b"two"]
    assert feed.size == 5
    assert feed.take(1) == [b"three"]
    assert feed.take(1) == []
    feed.put(1, b"four")
    assert (socket.woken, feed.size) == (2, 4)


def test_what_a_listener_was_not_sent_can_be_dropped(socket: Socket) -> None:
    feed = socket.feed
    for token, text in [(1, b"one"), (2, b"two"), (1, b"three")]:
        feed.put(token, text)
    feed.drop(1)
    assert feed.size == 3
    assert feed.take(99) == [b"two"]
    feed.drop(2)


def test_held_messages_wait_until_all_holds_are_released(socket: Socket) -> None:
    feed = socket.feed
    feed.hold()
    feed.hold()
    feed.put(1, b"one")
    feed.release()
    assert (socket.woken, feed.take(99)) == (0, [])
    feed.release()
    assert (socket.woken, feed.take(99)) == (1, [b"one"])


def test_whoever_waits_for_room_is_called_once_there_is(socket: Socket) -> None:
    feed, called = socket.feed, []
    for _ in range(4):
        feed.put(1, b"x" * 10)
    feed.wait(20, lambda: called.append("half"))
    feed.wait(0, lambda: called.append("empty"))
    feed.take(5)
    assert called == []
    feed.take(5)
    assert called == ["half"]
    feed.drop(1)
    assert called == ["half", "empty"]


def test_a_closed_feed_keeps_nothing_and_lets_nobody_wait(socket: Socket) -> None:
    feed, called = socket.feed, []
    feed.put(1, b"one")
    feed.wait(0, lambda: called.append("gone"))
    feed.close()
    feed.put(1, b"two")
    assert (feed.size, feed.take(99), called, feed.closed) == (0, [], ["gone"], True)
