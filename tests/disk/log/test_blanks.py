from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.disk.log.blanks import SIZES, blanks, fitting_size, is_torn, padded, reusable_size
from tests.disk.crash import SECTOR, torn
from tests.disk.samples import body, log_id, record_of

texts = st.builds(lambda text, times: text * times, st.text(max_size=40), st.integers(1, 100))


@given(texts, st.sampled_from(SIZES), st.data())
def test_whatever_sectors_were_written_a_file_is_whole_or_blank_or_torn(
    text: str, size: int, data: st.DataObject
) -> None:
    record = record_of(log_id(7), body(text))
    if len(record) > size:
        return
    whole = padded(record).ljust(size)
    sectors = range(-(-len(record) // SECTOR))
    kept = data.draw(st.sets(st.sampled_from(sectors)))
    mixed = b"".join((whole if at in kept else blanks(size))[at * SECTOR :][:SECTOR] for at in range(size // SECTOR))
    assert is_torn(mixed, 7) is (0 < len(kept) < len(sectors))


def test_every_way_of_tearing_a_long_record_is_told_from_the_record_and_from_blanks() -> None:
    whole = padded(record_of(log_id(7), body("x" * 12_000))).ljust(SIZES[1])
    states = set(torn(blanks(SIZES[1]), whole)) - {whole, blanks(SIZES[1])}
    assert len(states) > 60
    assert all(is_torn(state, 7) for state in states)


def test_a_whole_page_is_written() -> None:
    assert [len(padded(b"x" * length)) for length in (1, 4_096, 4_097, 60_000)] == [4_096, 4_096, 8_192, 61_440]
    assert padded(b"x" * 5_000).rstrip(b" ") == b"x" * 5_000


@pytest.mark.parametrize(
    ("length", "size"), [(1, 4_096), (4_096, 4_096), (4_097, 16_384), (65_536, 65_536), (65_537, None)]
)
def test_the_smallest_size_that_fits_is_chosen(length: int, size: int | None) -> None:
    assert fitting_size(length) == size


@pytest.mark.parametrize(
    ("shape", "size"), [((4_096, 1), 4_096), ((4_096, 2), None), ((4_097, 1), None), ((0, 1), None), (None, None)]
)
def test_only_a_file_of_a_prepared_size_and_one_name_is_used_again(
    shape: tuple[int, int] | None, size: int | None
) -> None:
    assert reusable_size(shape) == size


def test_what_another_entry_s_head_announces_is_not_torn() -> None:
    data = bytearray(padded(record_of(log_id(7), body("x" * 2_000))))
    data[1024:1536] = b" " * 512
    assert is_torn(bytes(data), 7)
    assert not is_torn(bytes(data), 8)
    assert not is_torn(bytes(data).replace(b"xxx", b"xx\0", 1), 7)
