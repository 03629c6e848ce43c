"""Which revisions are of this history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.store.state.epochs import MAX_EPOCHS, Epochs
from tests.store.samples import epoch


def opened(*firsts: int) -> Epochs:
    """Epochs 0, 1, 2, ... with their first revisions."""
    epochs = Epochs()
    for number, first in enumerate(firsts):
        epochs.open(epoch(number), first)
    return epochs


def test_there_are_none_at_first() -> None:
    epochs = Epochs()
    assert (epochs.current, epochs.all, len(epochs)) == (None, [], 0)
    assert epoch(0) not in epochs
    assert not epochs.belongs(epoch(0), 0)
    assert not epochs.reaches(epoch(0), 0)
    assert epochs.judge(epoch(0), 0) == "unknown"


@pytest.mark.parametrize(
    ("number", "revision", "belongs", "reaches"),
    [
        (0, 0, True, True),
        (0, 9, True, True),
        (0, 10, False, False),
        (1, 8, False, True),
        (1, 9, True, True),
        (1, 10, False, False),
        (2, 9, True, True),
        (2, 24, True, True),
        (2, 25, False, False),
        (3, 3, False, True),
        (3, 24, True, True),
        (3, 10**9, True, True),
    ],
)
def test_a_revision_belongs_to_the_epoch_that_was_current_at_it(
    number: int, revision: int, belongs: bool, reaches: bool
) -> None:
    """The epochs begin with revisions 1, 10, 10 again, and 25; who asks may have seen the last one before its epoch."""
    epochs = opened(1, 10, 10, 25)
    assert epochs.belongs(epoch(number), revision) is belongs
    assert epochs.reaches(epoch(number), revision) is reaches
    assert epochs.judge(epoch(number), revision) == ("known" if belongs else "other")


def test_the_epoch_of_a_revision_is_the_newest_that_it_belongs_to() -> None:
    epochs = opened(3, 10, 10, 25)
    found = [epochs.at(revision) for revision in (0, 1, 2, 8, 9, 23, 24, 10**9)]
    assert found == [None, None, *(epoch(number) for number in (0, 0, 2, 2, 3, 3))]
    assert Epochs().at(5) is None


def test_an_epoch_that_was_opened_already_begins_nothing() -> None:
    epochs = opened(1, 10)
    for number in (0, 1):
        epochs.open(epoch(number), 20)
    assert epochs.all == [(epoch(0), 1), (epoch(1), 10)]
    assert epochs.current == epoch(1)


def test_the_newest_thousand_are_kept() -> None:
    epochs = opened(*range(1, MAX_EPOCHS + 3))
    assert len(epochs) == MAX_EPOCHS
    assert epochs.all[0] == (epoch(2), 3)
    assert epochs.judge(epoch(1), 1) == "unknown"
    assert epochs.judge(epoch(2), 2) == "known"


@given(st.lists(st.integers(0, 3), max_size=8), st.integers(-1, 9), st.integers(-1, 30))
def test_bounds_are_what_the_list_says(steps: list[int], number: int, revision: int) -> None:
    firsts = [1 + sum(steps[: place + 1]) for place in range(len(steps))]
    epochs = opened(*firsts)
    again = Epochs()
    again.load(epochs.all)
    expected = False
    if 0 <= number < len(firsts):
        after = firsts[number + 1] if number + 1 < len(firsts) else 10**9
        expected = firsts[number] - 1 <= revision < after
    assert epochs.belongs(epoch(number % 2**64), revision) is expected
    assert again.belongs(epoch(number % 2**64), revision) is expected
    assert again.all == epochs.all
    at = epochs.at(revision)
    assert at is None or epochs.belongs(at, revision)
