from __future__ import annotations

import resource
import time
import weakref
from pathlib import Path

import pytest

from qcore.server import collector
from qcore.server.collector import Collector
from tests.server.running import until

MEGABYTE = 1 << 20


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.self = self


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_garbage_is_collected_when_nobody_has_asked_for_a_while_and_not_twice_for_nothing() -> None:
    begun = time.monotonic()
    collecting = Collector(lambda: begun + 700)
    circle = weakref.ref(Circle())
    assert not collecting.collect_if_idle(begun + 701)
    assert collecting.collect_if_idle(begun + 703)
    assert circle() is None
    assert not collecting.collect_if_idle(begun + 1400)


@pytest.mark.skipif(collector._trim is None, reason="only glibc keeps what is freed and can give it back")
async def test_freed_memory_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOOK", 0.001)
    del (bytearray(30 * MEGABYTE))[:]  # once freed, glibc takes blocks up to this size from its heap
    blocks = [bytearray(b"x" * MEGABYTE) for _ in range(200)]
    del blocks[:-1]  # the last one keeps the heap from shrinking
    before = resident()
    giving = Collector(time.monotonic)
    giving.start()
    await until(lambda: resident() < before - 100 * MEGABYTE)
    giving.stop()
