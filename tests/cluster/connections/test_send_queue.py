from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qcore.cluster.connections.messages import Answer, Ping, Request, size
from qcore.cluster.connections.send_queue import SendQueue


def request(id: int, length: int = 0) -> Request:
    return Request(id, "append", 1.0, b"x" * length)


def taken(queue: SendQueue, max_bytes: int) -> list[int]:
    return [message.id for message in queue.take(max_bytes) if isinstance(message, Request | Answer)]


def test_requests_leave_in_their_order_and_small_ones_share_a_frame() -> None:
    queue = SendQueue(1 << 20)
    for id in range(1, 6):
        assert queue.put_request(request(id))
    assert taken(queue, 3 * size(request(0))) == [1, 2, 3]
    assert taken(queue, 1 << 20) == [4, 5]
    assert not queue
    assert queue.take(1 << 20) == []


def test_what_is_small_leaves_before_requests_that_wait() -> None:
    queue = SendQueue(1 << 20)
    queue.put_request(request(1, 100_000))
    queue.put(Answer(7, b""))
    queue.put(Ping(0.0))
    assert queue.take(1000) == [Answer(7, b""), Ping(0.0)]
    assert taken(queue, 1000) == [1]


def test_a_large_message_has_a_frame_of_its_own() -> None:
    queue = SendQueue(1 << 20)
    queue.put(Answer(1, b"x" * 5000))
    queue.put(Answer(2, b""))
    queue.put_request(request(3, 5000))
    queue.put_request(request(4))
    assert [taken(queue, 1000) for _ in range(4)] == [[1], [2], [3], [4]]


def test_requests_are_bounded_but_one_of_any_size_has_room() -> None:
    queue = SendQueue(1000)
    assert queue.put_request(request(1, 5000))
    assert not queue.put_request(request(2))
    queue.put(Answer(3, b"x" * 5000))
    assert taken(queue, 10) == [3]
    assert taken(queue, 10) == [1]
    assert queue.size == 0
    assert queue.put_request(request(2))


def test_a_request_that_is_withdrawn_never_leaves() -> None:
    queue = SendQueue(1000)
    queue.put_request(request(1))
    queue.put_request(request(2))
    assert queue.withdraw(1)
    assert not queue.withdraw(1)
    assert taken(queue, 1000) == [2]
    assert not queue.withdraw(2)


def test_what_is_left_at_the_end_are_the_requests_that_never_left() -> None:
    queue = SendQueue(1000)
    queue.put_request(request(1))
    queue.put(Ping(0.0))
    assert queue.withdraw_all() == [request(1)]
    assert not queue
    assert queue.size == 0


@given(st.lists(st.tuples(st.sampled_from(["ask", "answer", "withdraw", "take"]), st.integers(0, 900)), max_size=60))
def test_every_request_leaves_once_or_is_withdrawn_once(steps: list[tuple[str, int]]) -> None:
    queue, waiting, left = SendQueue(3000), [], list[int]()
    for id, (step, number) in enumerate(steps):
        if step == "ask":
            if queue.put_request(request(id, number)):
                waiting.append(id)
        elif step == "answer":
            queue.put(Ping(float(number)))
        elif step == "withdraw":
            assert queue.withdraw(number) is (number in waiting)
            waiting = [one for one in waiting if one != number]
        else:
            found = taken(queue, number)
            assert found == waiting[: len(found)]
            left += found
            waiting = waiting[len(found) :]
        assert queue.size == sum(size(one) for one in queue._requests.values())
    assert [one.id for one in queue.withdraw_all()] == waiting
    assert len(set(left)) == len(left)
