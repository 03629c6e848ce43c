from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qcore.disk.log.cache import CACHE_BYTES, RecordCache

STEPS = st.lists(
    st.tuples(st.sampled_from(["push", "push", "push", "truncate", "purge", "purge beyond"]), st.integers(0, 30)),
    max_size=60,
)


def kept(cache: RecordCache) -> list[int]:
    return [index for index in range(200) if cache.get(index) is not None]


def test_it_keeps_64_mebibytes() -> None:
    assert RecordCache().max_bytes == CACHE_BYTES == 64 * 1024 * 1024


def test_the_oldest_go_for_the_newest() -> None:
    cache = RecordCache()
    cache.max_bytes = 25
    for index in range(3, 8):
        cache.push(index, b"x" * 10)
    assert kept(cache) == [6, 7]
    cache.push(8, b"x" * 25)
    assert kept(cache) == [8]
    cache.push(9, b"x" * 26)
    assert kept(cache) == []
    cache.push(10, b"x")
    assert kept(cache) == [10]


def test_it_keeps_nothing_where_nothing_may_be_kept() -> None:
    cache = RecordCache()
    cache.max_bytes = 0
    for index in range(3):
        cache.push(index, b"x")
    assert kept(cache) == []


@given(STEPS)
def test_it_holds_the_newest_entries_that_fit_whatever_is_truncated_and_purged(steps: list[tuple[str, int]]) -> None:
    cache, log, first = RecordCache(), dict[int, bytes](), 0
    cache.max_bytes = 20
    for step, number in steps:
        following = max([first - 1, *log]) + 1
        if step == "push":
            log[following] = bytes(1 + number % 5)
            cache.push(following, log[following])
        elif step == "truncate" and first <= number < following:
            log = {index: data for index, data in log.items() if index < number}
            cache.truncate(number)
        elif (step == "purge" and first <= number < following) or step == "purge beyond":
            upto = number if step == "purge" else following + number
            log, first = {index: data for index, data in log.items() if index > upto}, max(first, upto + 1)
            cache.purge(upto)
        there = kept(cache)
        assert all(cache.get(index) == log[index] for index in there)
        assert sum(len(log[index]) for index in there) <= 20
        assert there == list(range(there[0], max(log) + 1)) if there else True
        if step == "push":
            assert there[-1] == following
