"""Turns and places of one connection's catch-ups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qcore.server.watch.catch_up_queue import AT_ONCE, Lane


class Road:
    """A lane, and the steps that were asked for; who takes a step notes it."""

    def __init__(self) -> None:
        self.later: deque[Callable[[], bool]] = deque()
        self.lane = Lane(self.later.append)
        self.taken: list[str] = []

    def car(self, name: str, steps: int) -> Callable[[], bool]:
        left = [steps]

        def step() -> bool:
            self.taken.append(name)
            left[0] -= 1
            if not left[0]:
                self.lane.leave(step)
            return left[0] > 0

        return step

    def drive(self) -> None:
        while self.later:
            step = self.later.popleft()
            if step():
                self.later.append(step)


def test_they_take_turns_few_at_a_time_and_all_are_one_step_to_others() -> None:
    road = Road()
    for name in "abcdef":
        road.lane.enter(road.car(name, 2))
    assert len(road.later) == 1
    road.drive()
    assert "".join(road.taken) == "abcdabcdefef"
    assert AT_ONCE == 4


def test_one_that_takes_all_places_waits_until_they_are_free_and_nobody_overtakes_it() -> None:
    road = Road()
    road.lane.enter(road.car("a", 3))
    road.lane.enter(road.car("B", 2), AT_ONCE)
    road.lane.enter(road.car("c", 1))
    road.drive()
    assert "".join(road.taken) == "aaaBBc"


def test_who_leaves_while_waiting_is_never_called() -> None:
    road = Road()
    first, second = road.car("A", 2), road.car("b", 1)
    road.lane.enter(first, AT_ONCE)
    road.lane.enter(second)
    road.lane.leave(second)
    road.drive()
    assert "".join(road.taken) == "AA"


def test_who_stops_is_called_again_when_resumed() -> None:
    road = Road()

    def step() -> bool:
        road.taken.append("x")
        return False

    road.lane.enter(step)
    road.drive()
    road.lane.resume(step)
    road.drive()
    road.lane.leave(step)
    assert road.taken == ["x", "x"]
    assert not road.lane._places
