from __future__ import annotations

from qcore.engine.base import Proposal
from qcore.engine.openraft.in_flight import InFlight
from qcore.model.entry import FEATURE_LEVEL, EntryBody


def proposal(name: str) -> Proposal:
    return Proposal(EntryBody(FEATURE_LEVEL, 0, "commands"), name)


def names(proposals: list[Proposal]) -> list[str]:
    return [each.token for each in proposals]


def test_small_ones_go_side_by_side_up_to_so_many() -> None:
    flight = InFlight()
    flight.most = 2
    first = flight.add(proposal("a"), 100)
    assert flight.has_room()
    flight.add(proposal("b"), 100)
    assert not flight.has_room()
    flight.take(first)
    assert flight.has_room()


def test_while_many_writes_are_on_their_way_the_next_ones_gather() -> None:
    flight = InFlight()
    flight.most = 3
    small = flight.add(proposal("a"), 100)
    large = flight.add(proposal("b"), 1_000)
    assert not flight.has_room()
    flight.take(small)
    assert not flight.has_room()
    flight.take(large)
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
