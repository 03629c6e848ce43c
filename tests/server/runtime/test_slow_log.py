"""Slow work is told of, but not in floods."""

from __future__ import annotations

import logging

import pytest

from qcore.model.requests.commands import Delete
from qcore.server.calls import Call
from qcore.server.runtime import budgets
from qcore.server.runtime import slow_log as slow
from tests.server.running import until


class Nobody:
    """Hears no answers."""

    def answered(self, call: Call, text: bytes | None) -> None:
        pass


def call(method: str, params: object = None) -> Call:
    return Call(Nobody(), b"1", method, params, 0.0, 0)


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


async def test_the_first_is_told_with_method_and_duration(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "qcore.node"):
        slow.SlowLog().tell("slow_apply", "Applying a command took long", call("create"), 0.1234)
    (line,) = told(caplog)
    assert (line["event"], line["method"], line["ms"], line["left_out"]) == ("slow_apply", "create", 123, 0)


async def test_a_flood_is_one_line_and_each_event_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    log = slow.SlowLog()
    with caplog.at_level(logging.WARNING, "qcore.node"):
        for _ in range(1000):
            log.tell("slow_request", "A request took long", call("create"), 0.5)
        log.tell("slow_apply", "Applying a command took long", call("create"), 0.5)
    assert [line["event"] for line in told(caplog)] == ["slow_request", "slow_apply"]


async def test_the_next_line_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = slow.SlowLog()
    with caplog.at_level(logging.WARNING, "qcore.node"):
        for _ in range(5):
            log.tell("slow_request", "A request took long", call("create"), 0.5)
        monkeypatch.setattr(budgets, "SLOW_LOG_SECONDS", 0.0)
        log.tell("slow_request", "A request took long", call("create"), 0.5)
    assert [line["left_out"] for line in told(caplog)] == [0, 4]


async def test_what_was_left_out_is_told_also_if_nothing_slow_follows(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "SLOW_LOG_SECONDS", 0.01)
    log = slow.SlowLog()
    with caplog.at_level(logging.WARNING, "qcore.node"):
        for ms, method in ((500, "create"), (510, "get"), (530, "set"), (520, "get")):
            log.tell("slow_request", "A request took long", call(method), ms / 1000)
        await until(lambda: len(told(caplog)) == 2)
    assert [(line["method"], line["ms"], line["left_out"]) for line in told(caplog)] == [
        ("create", 500, 0),
        ("set", 530, 2),
    ]


async def test_the_entity_is_named_if_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "qcore.node"):
        slow.SlowLog().tell("slow_apply", "Applying a command took long", call("delete", Delete(id="User$7")), 0.2)
    assert told(caplog)[0]["entity"] == "User$7"
