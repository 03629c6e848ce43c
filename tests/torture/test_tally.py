from __future__ import annotations

from collections import Counter

from tests.torture.tally import Tally, in_words


def test_runs_are_added_up_and_told() -> None:
    tally = Tally([], Counter()).plus(7, {"kill of leader": 1, "a": 2}, 100, 3, 60.0).plus(8, {"a": 1}, 50, 0, 30.0)
    assert tally.seeds == [7, 8]
    first, second = tally.describe().splitlines()
    assert first.startswith("2 runs in 1.5 minutes, 150 operations, 3 with unknown outcome: none lost")
    assert second == "faults: a 3, kill of leader 1"


def test_where_no_run_was_finished_nothing_is_claimed() -> None:
    assert Tally([], Counter()).describe() == "no run was finished"
    assert in_words({}) == ""
