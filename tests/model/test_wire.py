"""Text on the wire: how many bytes it has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qcore.model.wire import cut_text, text_size


@given(st.text(st.characters(codec="utf-8")))
def test_the_size_of_a_text_is_that_of_its_bytes(text: str) -> None:
    assert text_size(text) == len(text.encode())


def test_half_a_surrogate_pair_has_a_size_too() -> None:
    assert text_size("a\ud800") == 4


@given(st.text(st.characters(codec="utf-8")), st.integers(4, 20))
def test_pieces_of_a_text_have_at_most_so_many_bytes(text: str, size: int) -> None:
    pieces = list(cut_text(text.encode(), size))
    assert "".join(pieces) == text
    assert all(0 < text_size(piece) <= size for piece in pieces)
