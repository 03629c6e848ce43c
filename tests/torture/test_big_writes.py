from __future__ import annotations

import pytest

from tests.proof.data import read_value
from tests.torture.big_writes import CHARACTERS, big_text, number_of


def test_a_text_stands_for_its_number() -> None:
    for number in (0, 1, 12345):
        assert number_of(big_text(number)) == number == read_value("big:0", big_text(number))
    assert CHARACTERS[0] - 10 < len(big_text(7)) <= CHARACTERS[1]


def test_a_text_of_parts_of_two_was_never_written() -> None:
    text = big_text(7)
    for wrong in (text[:-2], text[:1000] + big_text(8)[1000:], text + "7;"):
        with pytest.raises(AssertionError, match="was never written"):
            number_of(wrong)
