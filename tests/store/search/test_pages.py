"""How much a request may ask for, and that a cursor is what it was or an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, TooLarge
from qcore.store.search.pages import MAX_PATHS, MAX_VALUES, check_limit, check_paths, read_cursor, write_cursor


def test_a_limit_is_from_one_to_the_largest_page() -> None:
    check_limit(1, 10)
    check_limit(10, 10)
    for limit in (0, -1, -(2**62)):
        with pytest.raises(BadParams, match=f"at least 1, {limit} given"):
            check_limit(limit, 10)
    for limit in (11, 2**62, 2**70):
        with pytest.raises(TooLarge, match=f"at most 10 items, {limit} asked"):
            check_limit(limit, 10)


def test_each_hop_of_a_path_counts() -> None:
    assert check_paths([]) == 0
    assert check_paths(["A", "B->C", "L->0->N"]) == 6
    assert check_paths(["->".join(["A"] * 100)] * 100) == MAX_PATHS
    with pytest.raises(TooLarge, match="at most 10000 fields, 10001 given"):
        check_paths(["->".join(["A"] * 100)] * 100 + ["A"])


def test_a_page_has_a_bounded_number_of_values() -> None:
    assert check_paths(["A"] * 50, 10_000) == 50
    with pytest.raises(TooLarge, match=f"at most {MAX_VALUES} values, 10000 items of 51 fields asked"):
        check_paths(["A"] * 49 + ["B->C"], 10_000)


def test_a_name_longer_than_any_field_is_refused_before_it_is_looked_for() -> None:
    check_paths(["x" * 255 + "->" + "y" * 255])
    with pytest.raises(TooLarge, match="at most 255 characters"):
        check_paths(["x" * 16_000_000])


@given(st.lists(st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_a_cursor_holds_its_parts(parts: list[Any]) -> None:
    token = write_cursor(parts)
    assert token.startswith("c.")
    found = read_cursor(token)
    assert [(type(part), part) for part in found] == [(type(part), part) for part in parts]
    assert read_cursor(token, *map(type, parts)) == parts


@given(st.text(max_size=20) | st.text("cWyJx.=-_", max_size=20).map("c.".__add__))
def test_any_other_text_is_refused_or_some_cursor(token: str) -> None:
    with suppress(BadParams):
        assert isinstance(read_cursor(token), list)


def test_a_cursor_has_the_types_that_are_asked_for() -> None:
    token = write_cursor([5])
    for kinds in ((str,), (int, int), (float,), (bool,)):
        with pytest.raises(BadParams, match="is no cursor"):
            read_cursor(token, *kinds)


def test_a_huge_token_is_refused_without_being_read() -> None:
    with pytest.raises(BadParams) as caught:
        read_cursor("c." + "W" * 16_000_000)
    assert len(caught.value.message) < 200
