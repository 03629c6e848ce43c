"""The bound over all unfinished messages, with senders that a test plays."""

from __future__ import annotations

import logging

import pytest

from qcore.server.front.unfinished import Unfinished
from qcore.server.runtime import budgets
from tests.server.running import until


class Sender:
    peer = "127.0.0.1:1"

    def __init__(self) -> None:
        self.cut_off: list[tuple[int, str]] = []
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def cut_off_unfinished(self, code: int, reason: str) -> None:
        self.cut_off.append((code, reason))


async def test_the_oldest_is_cut_off_however_it_grew() -> None:
    unfinished, (one, two, three) = Unfinished(100), (Sender(), Sender(), Sender())
    unfinished.note(one, 10, anew=False)
    unfinished.note(two, 60, anew=False)
    unfinished.note(one, 40, anew=False)
    unfinished.note(three, 1, anew=False)
    assert [len(each.cut_off) for each in (one, two, three)] == [1, 0, 0]
    assert one.cut_off[0][0] == 1013
    assert unfinished.size == 61


async def test_one_that_was_finished_and_begun_anew_is_the_youngest() -> None:
    unfinished, (one, two) = Unfinished(100), (Sender(), Sender())
    unfinished.note(one, 50, anew=False)
    unfinished.note(two, 50, anew=False)
    unfinished.note(one, 20, anew=True)
    unfinished.note(one, 60, anew=False)
    assert [len(each.cut_off) for each in (one, two)] == [0, 1]


async def test_as_many_go_as_it_takes_the_one_that_grows_too() -> None:
    unfinished, (one, two) = Unfinished(100), (Sender(), Sender())
    unfinished.note(one, 50, anew=False)
    unfinished.note(two, 101, anew=False)
    assert [len(each.cut_off) for each in (one, two)] == [1, 1]
    assert unfinished.size == 0


async def test_nothing_counts_that_was_finished_or_forgotten() -> None:
    unfinished, one = Unfinished(100), Sender()
    for _ in range(10):
        unfinished.note(one, 60, anew=False)
        unfinished.note(one, 0, anew=True)
        unfinished.note(one, 60, anew=False)
        unfinished.forget(one)
    assert (unfinished.size, one.cut_off) == (0, [])


async def test_one_that_is_not_read_from_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MESSAGE_SECONDS", 0.01)
    unfinished, (one, two) = Unfinished(100), (Sender(), Sender())
    one.reading = False
    unfinished.note(one, 10, anew=False)
    for _ in range(3):
        two.cut_off.clear()
        unfinished.note(two, 10, anew=False)
        await until(lambda: two.cut_off)
    assert (one.cut_off, two.cut_off[0][0]) == ([], 1008)
    one.reading = True
    await until(lambda: one.cut_off)
    assert unfinished.size == 0


async def test_of_many_that_are_cut_off_one_line_tells(caplog: pytest.LogCaptureFixture) -> None:
    unfinished = Unfinished(100)
    with caplog.at_level(logging.WARNING, "qcore.websocket"):
        for _ in range(100):
            unfinished.note(Sender(), 101, anew=False)
    (line,) = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert (line["event"], line["bytes"]) == ("message_cut_off", 101)
    assert line["message"].startswith("Client 127.0.0.1:1 is cut off: all unfinished messages")
