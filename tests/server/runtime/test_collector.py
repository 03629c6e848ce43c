from __future__ import annotations

import time
import weakref

import pytest

from qcore.server.runtime import budgets, collector
from qcore.server.runtime.collector import Collector, resident_bytes
from tests.server.running import until

MEGABYTE = 1 << 20


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.self = self


def test_garbage_is_collected_when_nobody_has_asked_for_a_while_and_not_twice_for_nothing() -> None:
    begun = time.monotonic()
    collecting = Collector(lambda: begun + 700)
    circle = weakref.ref(Circle())
    assert not collecting.collect_if_idle(begun + 701)
    assert collecting.collect_if_idle(begun + 703)
    assert circle() is None
    assert not collecting.collect_if_idle(begun + 1400)


def test_while_others_follow_only_a_short_collection_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    followed = True
    collecting = Collector(lambda: begun + 700, lambda: followed)
    monkeypatch.setattr(budgets, "FOLLOWED_COLLECTIONS", -1)
    assert not collecting.collect_if_idle(begun + 703)
    followed = False
    assert collecting.collect_if_idle(begun + 703)
    followed = True
    monkeypatch.setattr(budgets, "FOLLOWED_COLLECTIONS", 1_000_000)
    collecting = Collector(lambda: begun + 700, lambda: followed)
    assert collecting.collect_if_idle(begun + 703)


def test_memory_is_given_back_once_in_each_silence_after_a_burst_and_now_and_then() -> None:
    begun = time.monotonic()
    called = begun + 1
    collecting = Collector(lambda: called)
    resident = resident_bytes()
    assert not collecting.may_give_back(begun + 2, resident + 60 * MEGABYTE)
    assert collecting.may_give_back(begun + 4, resident)
    assert not collecting.may_give_back(begun + 9, resident), "nobody has asked for anything since"
    called = begun + 13
    assert not collecting.may_give_back(begun + 14, resident + 60 * MEGABYTE)
    assert collecting.may_give_back(begun + 14.5, resident + 130 * MEGABYTE)
    called = begun + 600
    assert not collecting.may_give_back(begun + 601, resident + 130 * MEGABYTE)
    called = begun + 620
    assert collecting.may_give_back(begun + 621, resident + 130 * MEGABYTE)


@pytest.mark.skipif(collector._trim is None, reason="only glibc keeps what is freed and can give it back")
async def test_freed_memory_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "COLLECTOR_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(budgets, "COLLECTION_SECONDS", 0)
    del (bytearray(30 * MEGABYTE))[:]  # once freed, glibc takes blocks up to this size from its heap
    blocks = [bytearray(b"x" * MEGABYTE) for _ in range(200)]
    del blocks[:-1]  # the last one keeps the heap from shrinking
    before = resident_bytes()
    giving = Collector(time.monotonic)
    giving.start()
    await until(lambda: resident_bytes() < before - 100 * MEGABYTE)
    giving.stop()
