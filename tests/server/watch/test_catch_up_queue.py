"""Turns and places of one connection's catch-ups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qcore.server.runtime import budgets
from qcore.server.watch.catch_up_queue import CatchUpQueue


class Road:
    """A queue, and the steps that were asked for; who takes a step notes it."""

    def __init__(self) -> None:
        self.scheduled: deque[Callable[[], bool]] = deque()
        self.queue = CatchUpQueue(self.scheduled.append)
        self.taken: list[str] = []

    def car(self, name: str, steps: int) -> Callable[[], bool]:
        left = [steps]

        def step() -> bool:
            self.taken.append(name)
            left[0] -= 1
            if not left[0]:
                self.queue.leave(step)
            return left[0] > 0

        return step

    def drive(self) -> None:
        while self.scheduled:
            step = self.scheduled.popleft()
            if step():
                self.scheduled.append(step)


def test_they_take_turns_few_at_a_time_and_all_are_one_step_to_others() -> None:
    road = Road()
    for name in "abcdef":
        road.queue.enter(road.car(name, 2))
    assert len(road.scheduled) == 1
    road.drive()
    assert "".join(road.taken) == "abcdabcdefef"
    assert budgets.CATCH_UPS == 4


def test_one_that_takes_all_places_waits_until_they_are_free_and_nobody_overtakes_it() -> None:
    road = Road()
    road.queue.enter(road.car("a", 3))
    road.queue.enter(road.car("B", 2), budgets.CATCH_UPS)
    road.queue.enter(road.car("c", 1))
    road.drive()
    assert "".join(road.taken) == "aaaBBc"


def test_who_leaves_while_waiting_is_never_called() -> None:
    road = Road()
    first, second = road.car("A", 2), road.car("b", 1)
    road.queue.enter(first, budgets.CATCH_UPS)
    road.queue.enter(second)
    road.queue.leave(second)
    road.drive()
    assert "".join(road.taken) == "AA"


def test_who_stops_is_called_again_when_resumed() -> None:
    road = Road()

    def step() -> bool:
        road.taken.append("x")
        return False

    road.queue.enter(step)
    road.drive()
    road.queue.resume(step)
    road.drive()
    road.queue.leave(step)
    assert road.taken == ["x", "x"]
    assert not road.queue._places
