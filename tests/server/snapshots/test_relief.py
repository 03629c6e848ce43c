"""When room is made on a full disk; what is let go is tested with the taker of snapshots."""

from __future__ import annotations

from qcore.server.runtime import budgets
from qcore.server.snapshots.relief import Pause

LEAST = budgets.RELIEF_SECONDS


def paused(took: float, entities: int = 100) -> Pause:
    """After a try that ended at 10 seconds."""
    pause = Pause()
    pause.begun(appended=1, entities=entities)
    pause.ended(10.0, took)
    return pause


def test_the_first_try_is_at_once() -> None:
    assert Pause().is_over(0.0, appended=0, urgent=False, entities=1)


def test_nothing_new_is_no_reason() -> None:
    assert not paused(0.0).is_over(1000.0, appended=1, urgent=True, entities=0)


def test_tries_take_a_quarter_of_the_time_and_urgent_ones_half() -> None:
    pause = paused(took=2.0)
    assert not pause.is_over(11.9, appended=2, urgent=True, entities=100)
    assert pause.is_over(12.0, appended=2, urgent=True, entities=100)
    assert not pause.is_over(15.9, appended=2, urgent=False, entities=100)
    assert pause.is_over(16.0, appended=2, urgent=False, entities=100)


def test_a_quick_try_is_no_reason_for_one_after_the_other() -> None:
    pause = paused(took=0.0)
    assert not pause.is_over(10.0 + 0.9 * LEAST, appended=2, urgent=True, entities=100)
    assert pause.is_over(10.0 + LEAST, appended=2, urgent=False, entities=100)


def test_a_state_of_half_the_entities_is_tried_at_once() -> None:
    pause = paused(took=5.0)
    assert not pause.is_over(10.0, appended=2, urgent=False, entities=51)
    assert pause.is_over(10.0, appended=2, urgent=False, entities=50)
    pause.begun(appended=2, entities=50)
    pause.ended(11.0, 1.0)
    assert not pause.is_over(11.0, appended=3, urgent=False, entities=50)
