from __future__ import annotations

import pytest

from qcore.cluster.notices import Notice, Notices


class Told:
    def __init__(self, most: int = 10) -> None:
        self.found: list[Notice] = []
        self.notices = Notices(self.found.append, pause=10.0, longest=40.0, most=most)

    def note(self, now: float, key: str = "b", event: str = "lost", message: str = "") -> None:
        self.notices.note("info", event, key, message, now)

    def counts(self) -> list[int]:
        return [notice.count for notice in self.found]


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_first_notice_is_told_at_once_and_those_after_it_as_one(told: Told) -> None:
    for now in range(5):
        told.note(float(now), message=f"at {now}")
    assert told.counts() == [1]
    assert told.notices.next_due() == 10.0
    told.notices.due(9.9)
    assert told.counts() == [1]
    told.notices.due(10.0)
    assert told.counts() == [1, 4]
    assert told.found[-1] == Notice("info", "lost", "b", "at 4", 4)


def test_after_a_quiet_pause_a_notice_is_told_at_once_again(told: Told) -> None:
    told.note(0.0)
    told.notices.due(10.0)
    assert told.notices.next_due() is None
    told.note(11.0)
    assert told.counts() == [1, 1]


def test_each_pause_is_twice_as_long_as_the_one_before_as_long_as_it_goes_on(told: Told) -> None:
    seconds = []
    for now in range(200):
        before = len(told.found)
        told.notices.due(float(now))
        told.note(float(now))
        seconds += [now] * (len(told.found) - before)
    assert seconds == [0, 10, 30, 70, 110, 150, 190]
    told.notices.flush()
    assert sum(told.counts()) == 200


def test_after_a_quiet_pause_the_pauses_are_short_again(told: Told) -> None:
    for now in (0.0, 1.0, 11.0):
        told.notices.due(now)
        told.note(now)
    told.notices.due(31.0)
    assert told.notices.next_due() is None
    told.notices.due(71.0)
    told.note(71.0)
    told.note(72.0)
    assert told.notices.next_due() == 81.0


def test_a_notice_that_comes_before_the_look_carries_the_held_ones(told: Told) -> None:
    told.note(0.0)
    told.note(1.0)
    told.note(30.0)
    assert told.counts() == [1, 2]
    told.note(31.0)
    assert told.notices.next_due() == 50.0, "it went on meanwhile: the next pause is longer"


def test_events_and_keys_are_counted_apart(told: Told) -> None:
    told.note(0.0, key="a")
    told.note(0.0, key="b")
    told.note(0.0, key="a", event="up")
    assert told.counts() == [1, 1, 1]


def test_what_is_counted_is_bounded_and_nothing_is_lost() -> None:
    told = Told(most=3)
    for number in range(50):
        told.note(0.0, key=str(number))
        told.note(0.0, key=str(number))
    assert len(told.notices._pauses) == 3
    told.notices.flush()
    assert sum(told.counts()) == 100
