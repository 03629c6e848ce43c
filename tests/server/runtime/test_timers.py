"""Timers: when they run, how often, and that they end."""

from __future__ import annotations

import asyncio

from qcore.server.runtime.timers import Alarm, Debounce, Periodic
from tests.server.running import until


class Clock:
    """Stands where a step or a callback does; counts how often it was called, and wants to be `most` times."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.count = 0
        self.most = most

    def step(self) -> bool:
        self.count += 1
        return self.count < self.most

    def call(self) -> None:
        self.count += 1


async def test_a_periodic_step_is_taken_until_there_is_nothing_left() -> None:
    clock = Clock(most=3)
    timer = Periodic(0.001, clock.step)
    timer.start()
    timer.start()
    assert (clock.count, timer.running) == (0, True)
    await until(lambda: not timer.running)
    assert clock.count == 3


async def test_it_can_be_started_again() -> None:
    clock = Clock(most=1)
    timer = Periodic(0.001, clock.step)
    for count in (1, 2):
        timer.start()
        await until(lambda count=count: clock.count == count)  # type: ignore[misc]


async def test_once_stopped_it_is_never_started_again() -> None:
    timer = Periodic(0.0, Clock().step)
    timer.start()
    timer.stop()
    timer.start()
    assert not timer.running


async def test_a_step_may_stop_its_own_timer() -> None:
    def step() -> bool:
        timer.stop()
        return True

    timer = Periodic(0.0, step)
    timer.start()
    await until(lambda: not timer.running)


async def test_a_step_that_fails_leaves_a_timer_that_can_be_started() -> None:
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    def step() -> bool:
        raise ZeroDivisionError

    timer = Periodic(0.0, step)
    timer.start()
    await until(lambda: failures)
    assert not timer.running


async def test_many_triggers_are_one_call_and_the_last_is_not_lost() -> None:
    clock = Clock()
    debounce = Debounce(0.001, clock.call)
    for _ in range(10):
        debounce.trigger()
    assert clock.count == 0
    await until(lambda: clock.count == 1)
    debounce.trigger()
    await until(lambda: clock.count == 2)


async def test_triggers_that_were_cancelled_are_forgotten_and_later_ones_are_not() -> None:
    clock, other = Clock(), Clock()
    debounce, mark = Debounce(0.0, clock.call), Debounce(0.001, other.call)
    debounce.trigger()
    debounce.cancel()
    mark.trigger()
    await until(lambda: other.count == 1)
    assert clock.count == 0
    debounce.trigger()
    await until(lambda: clock.count == 1)


async def test_a_stopped_debounce_calls_no_more() -> None:
    clock, other = Clock(), Clock()
    debounce, mark = Debounce(0.0, clock.call), Debounce(0.001, other.call)
    debounce.trigger()
    debounce.stop()
    debounce.trigger()
    mark.trigger()
    await until(lambda: other.count == 1)
    assert clock.count == 0


async def test_an_alarm_that_is_set_again_rings_once_and_for_the_last() -> None:
    first, second = Clock(), Clock()
    alarm = Alarm()
    alarm.set(0.0, first.call)
    alarm.set(0.001, second.call)
    await until(lambda: second.count == 1)
    assert first.count == 0


async def test_an_alarm_that_was_cancelled_does_not_ring() -> None:
    clock, other = Clock(), Clock()
    alarm, mark = Alarm(), Alarm()
    alarm.set(0.0, clock.call)
    alarm.cancel()
    alarm.cancel()
    mark.set(0.001, other.call)
    await until(lambda: other.count == 1)
    assert clock.count == 0
