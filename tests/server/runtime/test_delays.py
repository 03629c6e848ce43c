"""What holds up the loop is seen."""

from __future__ import annotations

import gc
import time

import pytest

from qcore.server.runtime import budgets
from qcore.server.runtime.delays import CollectionTimes, LoopLag
from tests.server.running import until


def hold_up(seconds: float) -> None:
    """Keep the loop from doing anything else."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_a_loop_that_was_held_up_was_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "LOOP_LOOK_SECONDS", 0.01)
    lag = LoopLag()
    lag.start()
    hold_up(0.08)
    await until(lambda: lag.seconds.count)
    lag.stop()
    assert lag.seconds.sum > 0.05


async def test_nothing_is_looked_at_after_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "LOOP_LOOK_SECONDS", 0.001)
    stopped, running = LoopLag(), LoopLag()
    stopped.start()
    stopped.stop()
    running.start()
    await until(lambda: running.seconds.count >= 3)
    running.stop()
    assert not stopped.seconds.count


def test_collections_are_counted_by_generation_until_the_stop() -> None:
    times = CollectionTimes()
    times.start()
    gc.collect(1)
    gc.collect(2)
    times.stop()
    gc.collect(2)
    times.stop()
    assert times.seconds[1].count >= 1
    assert times.seconds[2].count == 1
    assert times.seconds[2].sum > 0
