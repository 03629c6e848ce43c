from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore_tools.benchmark.latencies import Latencies


@given(st.lists(st.dictionaries(st.integers(0, 10**9), st.integers(1, 20), max_size=30), max_size=3), st.floats(0, 1))
def test_a_quantile_is_the_latency_at_its_rank(counts: list[dict[int, int]], share: float) -> None:
    every = sorted(value for each in counts for value, count in each.items() for _ in range(count))
    took = Latencies(counts)
    assert took.count == len(every)
    if not every:
        assert (took.min, took.avg, took.quantile(share), took.max) == (0, 0, 0, 0)
        return
    assert (took.min, took.max) == (every[0] / 1e6, every[-1] / 1e6)
    assert took.avg == pytest.approx(sum(every) / len(every) / 1e6)
    assert took.quantile(share) == every[max(1, math.ceil(share * len(every))) - 1] / 1e6


def test_those_up_to_a_bound_include_the_bound() -> None:
    assert Latencies([{1000: 2, 1001: 3}, {1000: 1}]).up_to([0.0009, 0.001, 0.0011]) == [0, 3, 6]
