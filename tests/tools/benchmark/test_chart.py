from __future__ import annotations

import pytest

from qcore_tools.benchmark.chart import BLOCKS, HASHES, draw_histogram
from qcore_tools.benchmark.latencies import Latencies


def test_each_row_has_its_share_and_a_bar() -> None:
    assert draw_histogram(Latencies([{600: 1, 900: 6, 1200: 3}]), 40, HASHES) == [
        "  to 0.7 ms   10.00 %  ###",
        "    to 1 ms   60.00 %  #################",
        "  to 1.5 ms   30.00 %  ########",
    ]


def test_blocks_are_eighths_of_a_column() -> None:
    lines = draw_histogram(Latencies([{600: 1, 900: 64}]), 31, BLOCKS)
    assert [line.rpartition("  ")[2] for line in lines] == ["▏", "████████"]


def test_nothing_has_no_histogram() -> None:
    assert draw_histogram(Latencies(()), 80) == []


@pytest.mark.parametrize("columns", [1, 80, 160, 1000])
def test_the_few_slowest_are_one_row_and_everything_is_counted(columns: int) -> None:
    took = Latencies([{1: 1, 40: 5000, 90_000: 3000, 2_000_000: 1}])
    lines = draw_histogram(took, columns)
    assert len(lines) <= 17
    assert lines[-1].strip().startswith("to 2000 ms")
    assert sum(float(line.split()[3]) for line in lines) == pytest.approx(100, abs=0.1)
    assert columns < 80 or max(map(len, lines)) <= columns
    assert all(line[-1] in BLOCKS for line in lines if float(line.split()[3]))
