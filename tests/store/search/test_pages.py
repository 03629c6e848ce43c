"""How much a request may ask for, and that a cursor is what it was or an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import BadParams, Compacted, TooLarge
from qcore.model.requests.queries import MAX_PATHS
from qcore.store.search.pages import (
    MAX_VALUES,
    check_limit,
    check_paths,
    epoch_of_cursor,
    read_cursor,
    write_cursor,
)
from qcore.store.state.epochs import Epochs

EPOCHS = Epochs()
"""None at all."""


def opened(*names: str) -> Epochs:
    epochs = Epochs()
    for name in names:
        epochs.open(name * 16, 1)
    return epochs


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
    token = write_cursor(parts, EPOCHS)
    assert token.startswith("c.")
    found = read_cursor(token, EPOCHS)
    assert [(type(part), part) for part in found] == [(type(part), part) for part in parts]
    assert read_cursor(token, EPOCHS, *map(type, parts)) == parts


@given(st.text(max_size=20) | st.text("cWyJx.=-_", max_size=20).map("c.".__add__))
def test_any_other_text_is_refused_or_some_cursor(token: str) -> None:
    with suppress(BadParams):
        assert isinstance(read_cursor(token, EPOCHS), list)


def test_a_cursor_has_the_types_that_are_asked_for() -> None:
    token = write_cursor([5], EPOCHS)
    for kinds in ((str,), (int, int), (float,), (bool,)):
        with pytest.raises(BadParams, match="is no cursor"):
            read_cursor(token, EPOCHS, *kinds)


def test_a_huge_token_is_refused_without_being_read() -> None:
    with pytest.raises(BadParams) as caught:
        read_cursor("c." + "W" * 16_000_000, EPOCHS)
    assert len(caught.value.message) < 200


@given(st.lists(st.integers() | st.text()), st.sampled_from("0[e5f"), st.booleans())
def test_a_cursor_holds_the_epoch_it_was_made_in(parts: list[Any], name: str, later: bool) -> None:
    """Whatever byte the epoch begins with, such as that of a bracket."""
    name = {"[": "5b" * 8}.get(name, name * 16)
    epochs = Epochs()
    epochs.open(name, 1)
    token = write_cursor(parts, epochs)
    assert token.startswith("c.")
    assert epoch_of_cursor(token) == name
    if later:
        epochs.open("a" * 16, 7)
    assert read_cursor(token, epochs) == parts


def test_a_cursor_of_another_history_is_compacted() -> None:
    token = write_cursor([5], opened("a", "b"))
    assert len(token) < len(write_cursor([5], EPOCHS)) + 16
    assert read_cursor(token, opened("b"), int) == [5]
    for epochs in (opened("a"), opened("c"), EPOCHS):
        with pytest.raises(Compacted, match="of another history"):
            read_cursor(token, epochs, int)


def test_a_cursor_made_before_there_were_epochs_is_served_as_ever() -> None:
    token = write_cursor([5], EPOCHS)
    assert token == "c.WzVd"
    assert epoch_of_cursor(token) is None
    assert read_cursor(token, opened("a"), int) == [5]


@pytest.mark.parametrize("length", range(10, 15))
def test_a_cursor_that_ends_in_its_epoch_is_none(length: int) -> None:
    with pytest.raises(BadParams, match="is no cursor"):
        read_cursor(write_cursor([5], opened("a"))[:length], opened("a"))
