from __future__ import annotations

import asyncio
import threading

from qcore.cluster.crossing import Crossing
from tests.cluster.linked import DEADLINE


async def test_calls_of_many_threads_are_made_on_the_loops_thread_in_the_order_of_each() -> None:
    crossing = Crossing(asyncio.get_running_loop())
    found: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda name=name: [crossing.call(found.append, (name, n)) for n in range(500)])
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    async with asyncio.timeout(DEADLINE):
        while len(found) < 2000:
            await asyncio.sleep(0)
    for name in range(4):
        assert [number for one, number in found if one == name] == list(range(500))


async def test_on_the_loops_own_thread_it_is_a_plain_call() -> None:
    found: list[int] = []
    assert Crossing(asyncio.get_running_loop()).call(found.append, 1)
    assert found == [1]


async def test_a_call_that_fails_keeps_no_other_from_being_made() -> None:
    loop = asyncio.get_running_loop()
    crossing = Crossing(loop)
    found: list[int] = []
    failures: list[object] = []
    loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))

    def call() -> None:
        crossing.call(int, "no number")
        crossing.call(found.append, 1)

    await asyncio.to_thread(call)
    async with asyncio.timeout(DEADLINE):
        while not found:
            await asyncio.sleep(0)
    assert len(failures) == 1


async def test_what_waits_when_it_is_closed_is_made_and_what_comes_later_is_refused() -> None:
    crossing = Crossing(asyncio.get_running_loop())
    found: list[int] = []
    thread = threading.Thread(target=lambda: crossing.call(found.append, 1))
    thread.start()
    thread.join()
    crossing.close()
    assert found == [1]
    assert not crossing.call(found.append, 2)
    assert not await asyncio.to_thread(crossing.call, found.append, 3)
    assert found == [1]
