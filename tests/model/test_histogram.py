"""Counting durations, one by one and many at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qcore.model.histogram import Histogram

BOUNDS = (1.0, 2.0, 4.0)


def test_a_duration_counts_up_to_its_bound() -> None:
    histogram = Histogram(BOUNDS)
    for seconds in (0.5, 1.0, 1.5, 4.0, 5.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 1, 1, 1]
    assert (histogram.count, histogram.sum) == (5, 12.0)
    assert histogram.cumulative() == [(1.0, 2), (2.0, 3), (4.0, 4)]


@given(st.lists(st.integers(0, 24).map(lambda quarters: quarters / 4), min_size=1))
def test_many_at_once_count_as_they_do_one_by_one(ages: list[float]) -> None:
    one_by_one, at_once = Histogram(BOUNDS), Histogram(BOUNDS)
    for age in ages:
        one_by_one.observe(age)
    at_once.observe_since([100.0 - age for age in ages], 100.0)
    assert at_once.counts == one_by_one.counts
    assert at_once.sum == one_by_one.sum
