from __future__ import annotations

import pytest

from qcore.disk.hint import BUSY_SECONDS, QUIET_SECONDS, CommittedHint
from tests.disk.samples import log_id


def test_there_is_nothing_to_write_until_something_changes() -> None:
    hint = CommittedHint(None)
    assert hint.wait(5.0) is None
    hint.stored(5.0)
    assert hint.wait(5.0) == QUIET_SECONDS == 1.0


def test_it_is_written_when_it_has_been_quiet_since_the_last_change() -> None:
    hint = CommittedHint(None)
    hint.take(log_id(3), 5.0)
    hint.stored(5.5)
    assert hint.wait(6.25) == 0.25
    assert hint.wait(6.5) == hint.wait(99.0) == 0.0


def test_what_was_written_is_not_written_again() -> None:
    hint = CommittedHint(None)
    hint.take(log_id(3), 5.0)
    hint.written(5.5)
    assert hint.wait(99.0) is None
    assert not hint.is_due(99.0)
    assert hint.committed == log_id(3)


def test_it_is_written_ten_times_a_second_at_most_while_hints_come() -> None:
    hint = CommittedHint(None)
    assert BUSY_SECONDS == 0.1
    hint.take(log_id(3), 5.0)
    assert hint.is_due(5.0)
    hint.written(5.0)
    hint.take(log_id(4), 5.0625)
    assert not hint.is_due(5.0625)
    assert hint.is_due(5.125)


def test_an_entry_alone_waits_until_it_is_quiet() -> None:
    hint = CommittedHint(None)
    hint.stored(5.0)
    assert not hint.is_due(5.0)
    assert hint.wait(5.0) == QUIET_SECONDS


@pytest.mark.parametrize("waited", [0.0, 0.5, 2.0])
def test_a_wait_is_never_negative(waited: float) -> None:
    hint = CommittedHint(None)
    hint.stored(1.0)
    assert 0.0 <= (hint.wait(1.0 + waited) or 0.0) <= QUIET_SECONDS
