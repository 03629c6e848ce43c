"""Long work takes turns with other long work and with the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from qcore.server.runtime import budgets
from qcore.server.runtime.scheduler import Scheduler, TurnBudget, Work, step_of
from tests.server.running import until


def counting(log: list[str], name: str, steps: int, slow: bool = False) -> Callable[[], bool]:
    """A step that notes its name; with `slow` each takes a whole slice."""
    left = steps

    def step() -> bool:
        nonlocal left
        end = time.monotonic() + budgets.SLICE_SECONDS
        while slow and time.monotonic() < end:
            pass
        left -= 1
        log.append(name)
        return left > 0

    return step


async def test_nothing_runs_before_the_loop_comes_round() -> None:
    scheduler, log = Scheduler(), list[str]()
    scheduler.add(counting(log, "a", 3))
    assert log == []
    await until(lambda: len(log) == 3)


async def test_quick_works_run_to_their_end_in_the_order_they_came() -> None:
    scheduler, log = Scheduler(), list[str]()
    scheduler.add(counting(log, "a", 3))
    scheduler.add(counting(log, "b", 2))
    await until(lambda: len(log) == 5)
    assert log == ["a", "a", "a", "b", "b"]


async def test_long_works_take_turns() -> None:
    scheduler, log = Scheduler(), list[str]()
    scheduler.add(counting(log, "a", 3, slow=True))
    scheduler.add(counting(log, "b", 3, slow=True))
    await until(lambda: len(log) == 6)
    assert log == ["a", "b", "a", "b", "a", "b"]


async def test_the_loop_is_served_between_two_slices() -> None:
    scheduler, log = Scheduler(), list[str]()
    scheduler.add(counting(log, "work", 4, slow=True))

    def other() -> None:
        log.append("loop")
        if log.count("work") < 4:
            asyncio.get_running_loop().call_soon(other)

    other()
    await until(lambda: log.count("work") == 4)
    assert ["work", "work"] not in [log[place : place + 2] for place in range(len(log))]


async def test_a_step_may_add_another() -> None:
    scheduler, log = Scheduler(), list[str]()

    def first() -> bool:
        scheduler.add(counting(log, "second", 1))
        return False

    scheduler.add(first)
    await until(lambda: log == ["second"])
    scheduler.add(counting(log, "third", 1))
    await until(lambda: log == ["second", "third"])


async def test_a_step_that_fails_takes_no_other_with_it() -> None:
    scheduler, log, failures = Scheduler(), list[str](), list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    def broken() -> bool:
        raise ZeroDivisionError

    scheduler.add(broken)
    scheduler.add(counting(log, "a", 2))
    await until(lambda: len(log) == 2)
    assert [type(failure["exception"]) for failure in failures] == [ZeroDivisionError]


@pytest.mark.parametrize("steps", [1, 1000])
async def test_every_work_is_finished(steps: int) -> None:
    scheduler, log = Scheduler(), list[str]()
    for name in "abcde":
        scheduler.add(counting(log, name, steps))
    await until(lambda: len(log) == 5 * steps)


def test_a_step_of_a_work_takes_it_to_its_next_pause() -> None:
    log: list[str] = []

    def work() -> Work[str]:
        log.append("begin")
        yield
        log.append("end")
        return "dropped"

    step = step_of(work())
    assert log == []
    assert step()
    assert log == ["begin"]
    assert not step()
    assert log == ["begin", "end"]
    assert not step()


async def test_the_result_and_the_error_of_a_work_are_those_of_its_future() -> None:
    def work(fails: bool) -> Work[str]:
        yield
        if fails:
            raise ZeroDivisionError
        return "done"

    scheduler = Scheduler()
    assert await scheduler.run(work(False)) == "done"
    with pytest.raises(ZeroDivisionError):
        await scheduler.run(work(True))


async def test_a_work_that_nobody_waits_for_any_more_is_closed() -> None:
    log: list[str] = []

    def work() -> Work[None]:
        try:
            while True:
                yield
        finally:
            log.append("closed")

    future = Scheduler().run(work())
    await asyncio.sleep(0)
    future.cancel()
    await until(lambda: log == ["closed"])


class Clock:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("busy", "turns"), [(False, 4), (True, 16)])
async def test_turns_are_shorter_while_requests_come(monkeypatch: pytest.MonkeyPatch, busy: bool, turns: int) -> None:
    clock = Clock()
    monkeypatch.setattr("qcore.server.runtime.scheduler.time", clock)
    scheduler, left, seen = Scheduler(busy=lambda: busy), 32, 0

    def step() -> bool:
        nonlocal left
        clock.now += budgets.SLICE_SECONDS / 8
        left -= 1
        return left > 0

    scheduler.add(step)
    while left:
        seen += 1
        await asyncio.sleep(0)
    assert seen == turns


async def test_a_turn_is_shared_by_all_who_ask_until_the_loop_comes_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.now = 5.0
    monkeypatch.setattr("qcore.server.runtime.scheduler.time", clock)
    turn = TurnBudget()
    assert turn.end() == 5.0 + budgets.SLICE_SECONDS
    clock.now = 6.0
    assert turn.end() == 5.0 + budgets.SLICE_SECONDS
    await asyncio.sleep(0)
    assert turn.end() == 6.0 + budgets.SLICE_SECONDS
