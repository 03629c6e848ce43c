"""Instants: every form of RFC 3339, the limits of 64 bits, and texts that only look like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.times import NS, format_time, parse_time

FIRST, LAST = -(2**63), 2**63 - 1
DAY = 86_400 * NS


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2000-02-29T00:00:00Z", 951_782_400 * NS),
        ("2024-02-29T12:00:00Z", 1_709_208_000 * NS),
        ("2001-09-09T01:46:40Z", 10**9 * NS),
        ("1677-09-21T00:12:43.145224192Z", FIRST),
        ("2262-04-11T23:47:16.854775807Z", LAST),
    ],
)
def test_an_instant_is_written_and_read(text: str, ns: int) -> None:
    assert parse_time(text) == ns
    assert format_time(ns) == text


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00+00:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00+02:00", -7200 * NS),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T23:59:00+23:59", 0),
        ("1970-01-01T00:00:00.000Z", 0),
        ("1970-01-01T00:00:00.123456789+01:00", -3600 * NS + 123_456_789),
        ("1970-01-01T00:00:00.120Z", 120_000_000),
        ("2262-04-12T01:47:16.854775807+02:00", LAST),
        ("1677-09-20T22:12:43.145224192-02:00", FIRST),
    ],
)
def test_other_ways_to_write_an_instant_are_read(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "now",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.-5Z",
        "1970-01-01T00:00:00.5.5Z",
        "1970-01-01T00:00:00.٥Z",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00 Z",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z\n",
        "1970-01-01_00:00:00Z",
        "1970/01/01T00:00:00Z",
        "1970-01-01T00.00.00Z",
        "1970-1-1T00:00:00Z",
        "70-01-01T00:00:00Z",
        "+1970-01-01T00:00:00Z",
        "-970-01-01T00:00:00Z",
        "+970-01-01T00:00:00Z",
        "19_0-01-01T00:00:00Z",
        "１９７０-01-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00+0200",
        "1970-01-01T00:00:00+02",
        "1970-01-01T00:00:00+2:00",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-01-01T00:00:00±02:00",
        "1970-01-01T00:00:00+٠٢:00",
        "1970-01-01T00:00:00[UTC]",
        "1970-01-01T00:00:00CET",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1677-09-21T00:12:43.145224191Z",
        "2262-04-11T23:47:16.854775808Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_what_is_no_instant_of_the_range_is_none(text: str) -> None:
    assert parse_time(text) is None


@given(st.integers(FIRST, LAST))
def test_text_keeps_every_nanosecond(ns: int) -> None:
    text = format_time(ns)
    assert parse_time(text) == ns
    assert text.endswith("Z")
    assert not text.removesuffix("Z").endswith(".")
    assert "." not in text or not text.endswith("0Z")


@given(st.integers(FIRST // NS + 1, LAST // NS - 1), st.integers(-1439, 1439))
def test_an_offset_is_only_another_way_to_write_it(seconds: int, minutes: int) -> None:
    local = seconds + 60 * minutes
    if not FIRST // NS < local < LAST // NS:
        return
    sign = "-" if minutes < 0 else "+"
    text = format_time(local * NS).removesuffix("Z") + f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert parse_time(text) == seconds * NS


@given(st.text(st.sampled_from("0123456789-:+.TZtz \u0660")))
def test_no_text_makes_reading_an_instant_fail(text: str) -> None:
    found = parse_time(text)
    assert found is None or FIRST <= found <= LAST


def test_all_days_of_leap_and_other_years_follow_each_other() -> None:
    for first, days in ((parse_time("1999-12-31T00:00:00Z"), 800), (parse_time("2099-12-31T00:00:00Z"), 400)):
        assert first is not None
        texts = [format_time(first + day * DAY) for day in range(days)]
        assert [parse_time(text) for text in texts] == [first + day * DAY for day in range(days)]
        assert texts == sorted(texts)
