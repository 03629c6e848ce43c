"""Running a read: its result, its errors, and long ones in slices until their deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from qcore.model.errors import NotFound
from qcore.server.calls import Call
from qcore.server.reads.running import run_read
from qcore.server.runtime.scheduler import Scheduler, Work
from tests.server.running import until


class Asker:
    """Asks for one read and keeps the answer."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    def ask(self, run: Callable[[Any], Any], given: Any = None, seconds: float = 30.0) -> None:
        call = Call(self, b"1", "find", None, time.monotonic(), 0)
        call.deadline = call.begun + seconds
        run_read(call, Scheduler(), run, given)

    def answered(self, call: Call, text: bytes | None) -> None:
        self.answers.append(json.loads(text or b"null"))

    @property
    def kinds(self) -> list[str]:
        return [answer["error"]["data"]["kind"] for answer in self.answers]


@pytest.fixture
def asker() -> Asker:
    return Asker()


def doubled(given: int) -> Work[int]:
    yield
    yield
    return 2 * given


def endless(_given: Any) -> Work[None]:
    while True:
        yield


def missing(_given: Any) -> Any:
    raise NotFound("no such thing")


def missing_later(_given: Any) -> Work[None]:
    yield
    raise NotFound("no such thing")


def broken(_given: Any) -> Any:
    raise ZeroDivisionError


def broken_later(_given: Any) -> Work[None]:
    yield
    raise ZeroDivisionError


async def test_a_result_is_answered_at_once(asker: Asker) -> None:
    asker.ask(lambda given: given + 1, 5)
    assert [answer["result"] for answer in asker.answers] == [6]


async def test_a_work_is_run_to_its_result(asker: Asker) -> None:
    asker.ask(doubled, 5)
    assert asker.answers == []
    await until(lambda: asker.answers)
    assert asker.answers[0]["result"] == 10


@pytest.mark.parametrize("run", [missing, missing_later])
async def test_an_error_of_the_read_is_its_answer(asker: Asker, run: Callable[[Any], Any]) -> None:
    asker.ask(run)
    await until(lambda: asker.answers)
    assert asker.kinds == ["not_found"]


@pytest.mark.parametrize("run", [broken, broken_later])
async def test_a_defect_is_an_internal_error(asker: Asker, run: Callable[[Any], Any]) -> None:
    asker.ask(run)
    await until(lambda: asker.answers)
    assert asker.kinds == ["internal"]


async def test_a_work_is_cut_off_at_the_deadline_of_its_call(asker: Asker) -> None:
    asker.ask(endless, seconds=0.0)
    await until(lambda: asker.answers)
    assert asker.kinds == ["timeout"]
