from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.model.errors import cut
from qcore.model.quoting import listed, quoted, shown

PIECES = st.sampled_from(
    ["a", "'", '"', "\\", "\n", "ä", "\U0001f600", "\x00", "\u2028", "x" * 300, "'" * 1100, "ä" * 900]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
ITEMS = st.one_of(TEXTS, st.integers(), st.none(), st.booleans(), st.floats())


@given(value=st.one_of(ITEMS, st.lists(ITEMS, max_size=30), st.tuples(ITEMS), st.lists(st.integers(), min_size=2100)))
def test_a_message_is_the_same_as_if_all_had_been_quoted(value: Any) -> None:
    for before, after in (("", ""), ("field F: given ", ""), ("a" * 500, "b" * 300)):
        assert cut(f"{before}{quoted(value)}{after}") == cut(f"{before}{value!r}{after}")
    whole = repr(value)
    assert shown(value) == (whole if len(whole) <= 80 else whole[:77] + "...")


@given(
    texts=st.one_of(st.lists(TEXTS.filter(bool), max_size=20), st.lists(st.just("abc"), min_size=990, max_size=1100))
)
def test_a_list_in_words_is_the_same_in_a_message(texts: list[str]) -> None:
    for before, after in (("", ""), ("one of the labels ", " or an index")):
        assert cut(f"{before}{listed(texts)}{after}") == cut(f"{before}{', '.join(texts)}{after}")


@pytest.mark.parametrize("value", ["'" * 10**6, ["x"] * 10**6, ["x" * 10**6] * 10, list(range(10**6)), ("x" * 5000,)])
def test_a_long_value_is_not_written_whole(value: Any) -> None:
    assert len(quoted(value)) < 20_000
