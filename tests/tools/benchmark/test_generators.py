"""The processes of the load, started by a process that has nothing but them."""

from __future__ import annotations

import subprocess
import sys

from tests.process import NodeProcess
from tests.tools.running import environment

PROGRAM = """
import asyncio, sys
from qcore.client import connect
from qcore_tools.benchmark.generators import running_generators
from qcore_tools.benchmark.messages import Go, Prepare

def order(number):
    return Prepare(sys.argv[1], "PING", number, 2, 1, 1, "local", 1, "T", "N", [], [], [])

async def run(generators):
    async with connect(sys.argv[1], client="test") as store:
        async def connections():
            return sum(each.name == "benchmark-tool" for each in await store.clients())

        await generators.prepare([order(0), order(1), order(2)])
        print(await connections())
        done = await generators.run([Go(5, None), Go(6, None), Go(0, None)], lambda count: None)
        print([sum(each.microseconds.values()) for each in done])
        await generators.prepare([order(0)])
        while await connections() != 2:
            await asyncio.sleep(0.01)
        print([sum(each.microseconds.values()) for each in await generators.run([Go(7, None)], lambda count: None)])
        generators.stop()
        while await connections():
            await asyncio.sleep(0.01)

with running_generators(3) as generators:
    asyncio.run(run(generators))
"""


def test_those_that_have_no_part_in_a_test_let_go_of_their_connections(node: NodeProcess) -> None:
    program = [sys.executable, "-c", PROGRAM, node.url]
    done = subprocess.run(program, capture_output=True, env=environment(), text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n[5, 6, 0]\n[7]\n", "")
