from __future__ import annotations

from qcore.engine.base import Proposal
from qcore.engine.openraft.in_flight import InFlight
from qcore.model.entry import FEATURE_LEVEL, EntryBody


def proposal(name: str) -> Proposal:
    return Proposal(EntryBody(FEATURE_LEVEL, 0, "commands"), name)


def names(proposals: list[Proposal]) -> list[str]:
    return [each.token for each in proposals]


def test_there_is_room_for_so_many_and_so_many_bytes() -> None:
    flight = InFlight()
    flight.most = 2
    assert flight.has_room()
    token = flight.add(proposal("a"), 5 << 20)
    assert not flight.has_room()
    assert flight.take(token) is not None
    first = flight.add(proposal("b"), 1)
    assert flight.has_room()
    flight.add(proposal("c"), 1)
    assert not flight.has_room()
    flight.take(first)
    assert flight.has_room()


def test_what_was_given_up_is_heard_of_no_more() -> None:
    flight = InFlight()
    token = flight.add(proposal("a"), 1)
    assert names(flight.take_all()) == ["a"]
    assert flight.take(token) is None
    assert len(flight) == 0


def test_after_one_came_back_none_is_made_before_the_later_ones_are_back() -> None:
    flight = InFlight()
    flight.most = 3
    appended, back, later = (flight.add(proposal(name), 1) for name in "abc")
    found = flight.take_returned(back, 7)
    assert found is not None
    assert (found.token, flight.stretch) == ("b", 7)
    assert not flight.has_room()
    flight.take_returned(later, 7)
    assert flight.has_room()  # the one before them is in the log
    assert flight.take(appended) is not None
