from __future__ import annotations

from qcore.engine.openraft.unwritten import MOST_BYTES, Unwritten


class Disk:
    written = -1


def test_what_the_disk_has_makes_room() -> None:
    disk = Disk()
    unwritten = Unwritten(lambda: disk.written)
    for index in range(3):
        assert not unwritten.is_full()
        unwritten.add(index, MOST_BYTES // 3)
    assert unwritten.is_full()
    assert unwritten.was_full
    disk.written = 0
    assert not unwritten.is_full()
    assert not unwritten.was_full


def test_small_entries_count_with_what_they_take_beside_their_text() -> None:
    unwritten = Unwritten(lambda: -1)
    count = 0
    while not unwritten.is_full():
        unwritten.add(count, 0)
        count += 1
    assert count < MOST_BYTES // 100


def test_a_disk_that_keeps_up_leaves_nothing_to_remember() -> None:
    unwritten = Unwritten(lambda: 1_000_000)
    for index in range(100):
        unwritten.add(index, MOST_BYTES)
        assert not unwritten.is_full()
