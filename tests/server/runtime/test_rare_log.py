"""Many warnings of one kind are few lines."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from qcore.server.runtime import budgets, logs
from qcore.server.runtime.rare_log import RareLog
from tests.server.running import until


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


async def test_a_flood_is_one_line_and_then_one_with_the_number_of_those_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = RareLog(logs.get("qcore.websocket"), "message_cut_off", "warning")
    with caplog.at_level(logging.WARNING, "qcore.websocket"):
        for number in range(1000):
            rare.tell(message=f"client {number}")
        assert [(line["message"], line["left_out"]) for line in told(caplog)] == [("client 0", 0)]
        monkeypatch.setattr(budgets, "SLOW_LOG_SECONDS", 0.0)
        rare.tell(message="client 1000")
    assert [(line["event"], line["left_out"]) for line in told(caplog)][1:] == [("message_cut_off", 999)]


async def test_the_last_one_is_told_also_if_none_follows(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "SLOW_LOG_SECONDS", 0.01)
    rare = RareLog(logs.get("qcore.websocket"), "message_cut_off", "warning")
    with caplog.at_level(logging.WARNING, "qcore.websocket"):
        for number in range(4):
            rare.tell(message=f"client {number}")
        await until(lambda: len(told(caplog)) == 2)
    assert [(line["message"], line["left_out"]) for line in told(caplog)] == [("client 0", 0), ("client 3", 2)]
