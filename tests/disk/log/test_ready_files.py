from __future__ import annotations

import threading

import pytest

from qcore.disk.log.blanks import SIZES
from qcore.disk.log.ready_files import GROUP, Free, GiveBack, Make, ReadyFiles
from tests.process import DEADLINE

SMALL, MIDDLE, LARGE = SIZES


def make(ready_files: ReadyFiles) -> Make:
    """Take an order to make files, and carry it out on paper."""
    order = ready_files.next_order()
    assert isinstance(order, Make)
    ready_files.made(order.indices, order.size)
    return order


def use(ready_files: ReadyFiles, start: int, lengths: list[int]) -> int:
    """Store entries from `start` on; return the next one's number."""
    for number, length in enumerate(lengths):
        ready_files.take(start + number, length)
    return start + len(lengths)


def test_a_first_small_group_lies_ready_after_the_last_entry() -> None:
    ready_files = ReadyFiles(5)
    assert make(ready_files) == Make(range(5, 5 + GROUP[0]), SMALL)
    assert ready_files.ready == GROUP[0]
    assert ready_files.next_order() is None
    assert [ready_files.take(index, 300) for index in range(5, 6 + GROUP[0])] == [True] * GROUP[0] + [False]


def test_one_order_is_given_at_a_time() -> None:
    ready_files = ReadyFiles(0)
    order = ready_files.next_order()
    assert isinstance(order, Make)
    use(ready_files, 0, [300] * 3)
    assert ready_files.next_order() is None
    ready_files.made(order.indices, order.size)
    assert isinstance(ready_files.next_order(), Make)


def test_a_file_used_while_it_was_made_does_not_count() -> None:
    ready_files = ReadyFiles(0)
    order = ready_files.next_order()
    assert isinstance(order, Make)
    assert not ready_files.take(0, 300)
    assert not ready_files.take(1, 300)
    ready_files.made(order.indices, order.size)
    assert ready_files.ready == GROUP[0] - 2
    assert ready_files.take(2, 300)


def test_a_name_that_was_taken_does_not_count() -> None:
    ready_files = ReadyFiles(0)
    order = ready_files.next_order()
    assert isinstance(order, Make)
    ready_files.made([index for index in order.indices if index != 1], order.size)
    assert [ready_files.take(index, 300) for index in range(3)] == [True, False, True]


def test_a_file_made_for_an_entry_that_was_truncated_meanwhile_does_not_count() -> None:
    ready_files = ReadyFiles(0)
    order = ready_files.next_order()
    assert isinstance(order, Make)
    use(ready_files, 0, [300] * 3)
    # The writer truncates to 1: it has removed its own files 1 and 2, and these may be gone.
    ready_files.made(order.indices, order.size)
    assert not ready_files.take(1, 300)


def test_twice_as_many_files_lie_ready_each_time_there_was_none_up_to_a_limit() -> None:
    ready_files, index = ReadyFiles(0), 0
    ready = []
    for _ in range(8):
        while (order := ready_files.next_order()) is not None:
            assert isinstance(order, Make)
            assert GROUP[0] <= len(order.indices) <= GROUP[1]
            ready_files.made(order.indices, order.size)
        ready.append(ready_files.ready)
        while ready_files.take(index, 300):
            index += 1
        index += 1
    assert ready == [32, 64, 128, 192, 192, 192, 192, 192]
    assert max(ready) * LARGE <= 16 << 20


@pytest.mark.parametrize(
    ("lengths", "size"),
    [
        ([300] * 100, SMALL),
        ([300] * 96 + [5_000] * 4, SMALL),
        ([300] * 94 + [5_000] * 6, MIDDLE),
        ([5_000] * 100, MIDDLE),
        ([5_000] * 50 + [20_000] * 50, LARGE),
        ([300] * 60 + [100_000] * 40, LARGE),
        ([5_000] * 100 + [300] * 256, SMALL),
    ],
)
def test_the_size_follows_most_of_the_recent_entries(lengths: list[int], size: int) -> None:
    ready_files = ReadyFiles(0)
    use(ready_files, 0, lengths)
    assert make(ready_files).size == size


def test_nothing_is_made_while_most_entries_would_not_fit() -> None:
    ready_files = ReadyFiles(0)
    after = use(ready_files, 0, [100_000] * 100)
    assert ready_files.next_order() is None
    use(ready_files, after, [300] * 200)
    assert make(ready_files).size == LARGE


def test_an_entry_too_long_for_its_file_uses_it_up() -> None:
    ready_files = ReadyFiles(0)
    make(ready_files)
    assert not ready_files.take(0, SMALL + 1)
    assert not ready_files.take(0, 300)
    assert ready_files.take(1, SMALL)


def test_a_file_blanked_by_the_writer_lies_ready_again() -> None:
    ready_files = ReadyFiles(0)
    make(ready_files)
    use(ready_files, 0, [300] * 3)
    ready_files.add(2, SMALL)
    assert not ready_files.take(1, 300)
    assert ready_files.take(2, 300)


def test_purged_files_are_freed_before_new_ones_are_made_and_what_lies_ready_below_the_mark_with_them() -> None:
    ready_files = ReadyFiles(0)
    make(ready_files)
    use(ready_files, 0, [300] * 6)
    ready_files.free(range(6), 6, 1_000)
    order = ready_files.next_order()
    assert isinstance(order, Free)
    assert list(order.indices) == [0, 1, 2, 3, 4, 5, 6]
    assert not ready_files.take(6, 300)
    assert ready_files.take(7, 300)


def test_as_many_files_are_kept_as_entries_were_stored_since_the_last_purge_up_to_a_limit() -> None:
    ready_files = ReadyFiles(0)
    kept = []
    after = use(ready_files, 0, [300] * 20)
    for entries, most in [(0, 1_000), (5, 1_000), (30, 12)]:
        after = use(ready_files, after, [300] * entries)
        ready_files.free(range(after - 2, after - 1), after - 2, most)
        order = ready_files.next_order()
        assert isinstance(order, Free)
        kept.append(order.spares)
    assert kept == [20, 5, 12]


def test_files_are_made_above_a_mark_that_lies_above_all_there_was() -> None:
    ready_files = ReadyFiles(0)
    ready_files.free(range(0), 99, 1_000)
    assert isinstance(ready_files.next_order(), Free)
    assert make(ready_files).indices[0] == 100


def test_who_waits_for_an_order_gets_it_or_hears_the_end() -> None:
    ready_files = ReadyFiles(0)
    make(ready_files)
    orders: list[Make | Free | GiveBack | None] = []
    heard = threading.Semaphore(0)

    def wait() -> None:
        while True:
            orders.append(ready_files.next_order(wait=True))
            heard.release()
            if orders[-1] is None:
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    use(ready_files, 0, [300] * (GROUP[0] // 2))
    assert heard.acquire(timeout=DEADLINE)
    ready_files.free(range(1), 0, 1_000)
    assert heard.acquire(timeout=DEADLINE)
    ready_files.close()
    thread.join(DEADLINE)
    assert [type(order) for order in orders] == [Make, Free, type(None)]


def test_without_room_none_are_made_and_the_ready_ones_are_given_back_from_the_highest() -> None:
    ready_files = ReadyFiles(0)
    made = make(ready_files).indices
    use(ready_files, 0, [300])
    ready_files.set_room(0)
    assert isinstance(ready_files.next_order(), GiveBack)
    removed: list[int] = []
    ready_files.give_back(removed.append)
    assert removed == list(reversed(made[1:]))
    assert ready_files.ready == 0
    use(ready_files, 1, [300])
    ready_files.free(range(1), 0, 1_000)
    assert ready_files.next_order() == Free([0], 0)
    assert ready_files.next_order() is None
    ready_files.set_room(1 << 20)
    assert make(ready_files).indices[0] == 2


def test_what_is_made_stays_within_the_room_there_is() -> None:
    ready_files = ReadyFiles(0)
    ready_files.set_room(3 * 4096 + 1)
    assert make(ready_files).indices == range(3)
    assert ready_files.next_order() is None
    ready_files.set_room(4 * 4096)
    assert make(ready_files).indices == range(3, 7)
