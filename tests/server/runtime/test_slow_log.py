"""Slow work is told of, but not in floods."""

from __future__ import annotations

import logging

import pytest

from qcore.server.runtime import slow_log as slow


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


def test_the_first_is_told_with_method_and_duration(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "qcore.node"):
        slow.SlowLog().tell("slow_apply", "Applying a command took long", "create", 0.1234)
    (line,) = told(caplog)
    assert (line["event"], line["method"], line["ms"], line["left_out"]) == ("slow_apply", "create", 123, 0)


def test_a_flood_is_one_line_and_each_event_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    log = slow.SlowLog()
    with caplog.at_level(logging.WARNING, "qcore.node"):
        for _ in range(1000):
            log.tell("slow_request", "A request took long", "create", 0.5)
        log.tell("slow_apply", "Applying a command took long", "create", 0.5)
    assert [line["event"] for line in told(caplog)] == ["slow_request", "slow_apply"]


def test_the_next_line_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = slow.SlowLog()
    with caplog.at_level(logging.WARNING, "qcore.node"):
        for _ in range(5):
            log.tell("slow_request", "A request took long", "create", 0.5)
        monkeypatch.setattr(slow, "_PAUSE", 0.0)
        log.tell("slow_request", "A request took long", "create", 0.5)
    assert [line["left_out"] for line in told(caplog)] == [0, 4]
