from __future__ import annotations

from qcore.cluster.connections.asked import Asked
from qcore.model.errors import NoQuorum, RequestError


class Ends:
    def __init__(self) -> None:
        self.asked = Asked()
        self.heard: list[tuple[str, bytes, str | None]] = []

    def begin(self, name: str, deadline: float) -> int:
        def done(body: bytes, error: RequestError | None) -> None:
            self.heard.append((name, body, None if error is None else error.kind))

        return self.asked.begin(done, deadline)


def test_a_request_ends_with_its_answer_once() -> None:
    ends = Ends()
    first, second = ends.begin("a", 1.0), ends.begin("b", 1.0)
    ends.asked.end(second, b"x")
    ends.asked.end(second, b"y")
    ends.asked.end(99, b"z")
    ends.asked.end(first, b"", NoQuorum("gone"))
    assert ends.heard == [("b", b"x", None), ("a", b"", "no_quorum")]
    assert len(ends.asked) == 0


def test_nobody_hears_of_a_request_that_is_forgotten() -> None:
    ends = Ends()
    id = ends.begin("a", 1.0)
    assert ends.asked.forget(id)
    assert not ends.asked.forget(id)
    ends.asked.end(id, b"x")
    ends.asked.end_all(NoQuorum("gone"))
    assert ends.heard == []


def test_the_next_deadline_is_that_of_a_request_which_is_open() -> None:
    ends = Ends()
    assert ends.asked.next_deadline() is None
    late, early = ends.begin("late", 5.0), ends.begin("early", 2.0)
    assert ends.asked.next_deadline() == 2.0
    ends.asked.end(early, b"")
    assert ends.asked.next_deadline() == 5.0
    assert ends.asked.late(4.9) == []
    assert ends.asked.late(5.0) == [late]
    assert len(ends.asked) == 1


def test_deadlines_of_what_has_ended_take_no_room() -> None:
    ends = Ends()
    for number in range(10_000):
        ends.asked.end(ends.begin("a", 100.0 + number), b"")
    assert len(ends.asked._deadlines) <= 128


def test_all_end_with_the_connection_and_may_ask_anew_meanwhile() -> None:
    asked = Asked()
    again: list[int] = []
    asked.begin(lambda _body, _error: again.append(asked.begin(lambda *_: None, 1.0)), 1.0)
    asked.end_all(NoQuorum("gone"))
    assert len(again) == len(asked) == 1
