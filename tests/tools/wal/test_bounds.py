from __future__ import annotations

import pytest

from qcore_tools.wal.bounds import Range, read_range, read_time

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-28T09:00:00Z", 1_795_856_400 * SECOND),
        ("2026-11-28T10:00:00.5+01:00", 1_795_856_400 * SECOND + SECOND // 2),
        ("-0s", NOW),
        ("-90s", NOW - 90 * SECOND),
        ("-10m", NOW - 600 * SECOND),
        ("-2h", NOW - 7_200 * SECOND),
        ("-3d", NOW - 259_200 * SECOND),
        ("-1w", NOW - 604_800 * SECOND),
    ],
)
def test_a_time_is_rfc_3339_or_how_long_ago(text: str, time: int) -> None:
    assert read_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "-", "10m", "-10", "-m", "-1.5h", "-10x", "-٣m", "2026-11-28", "-1h30m"])
def test_anything_else_is_no_time(text: str) -> None:
    assert read_time(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("5", (5, 5)), ("5..9", (5, 9)), ("5..5", (5, 5)), ("5..", (5, None)), ("..9", (0, 9)), ("0", (0, 0))],
)
def test_a_range_has_both_its_ends(text: str, found: Range) -> None:
    assert read_range(text) == found


@pytest.mark.parametrize("text", ["", "..", "9..5", "-5", "a", "5...9", "5..a", "1 ..2", "٣", "9" * 21])
def test_anything_else_is_no_range(text: str) -> None:
    assert read_range(text) is None
