"""Clients on all nodes while leaders come and go and links are cut: nothing lost, doubled, stale or reordered."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.server.fake_cluster import Cluster, Fate, cluster
from tests.server.running import Client, until

WRITES = 120
"""Of each client."""


class Writer:
    """A client that writes one entity after the other, some of them before it has the answers to those before."""

    def __init__(self, nodes: Cluster, node: int, name: str, choice: random.Random, numbered: bool) -> None:
        self.client = nodes.client(node)
        self.sent: dict[str, int] = {}
        """Name -> id of the request, in their order."""
        self._name = name
        self._choice = choice
        self._numbered = numbered

    async def run(self) -> None:
        session = (await self.client.result("session.open"))["session"] if self._numbered else 0
        for number in itertools.count(1):
            if number > WRITES:
                break
            params: dict[str, Any] = {"session": session, "seq": number} if session else {}
            name = f"{self._name}.{number}"
            self.sent[name] = self.client.send("create", type="Object", name=name, timeout=20, **params)
            if self._choice.random() < 0.3 or number % 100 == 0:
                await until(lambda: set(self.sent.values()) <= self.client.answers.keys())
            else:
                await asyncio.sleep(0)
        await until(lambda: set(self.sent.values()) <= self.client.answers.keys())

    def outcome(self, name: str) -> str:
        answer = self.client.answers.get(self.sent[name], {})
        return "done" if "result" in answer else str(answer.get("error", {}).get("data", {}).get("applied", "open"))

    def done(self) -> int:
        return sum(self.outcome(name) == "done" for name in self.sent)


class Reader:
    """A client that counts again and again: it sees whatever was answered before it asked."""

    def __init__(self, nodes: Cluster, node: int, writers: list[Writer]) -> None:
        self.client: Client = nodes.client(node)
        self._writers = writers
        self.reads = 0

    async def run(self) -> None:
        while True:
            floor = sum(writer.done() for writer in self._writers)
            counted = await self.client.result("count", type="Object", consistency="linearizable", timeout=20)
            assert counted["count"] > floor, "the Root is one of them"
            self.reads += 1
            await asyncio.sleep(0)


async def trouble(nodes: Cluster, choice: random.Random) -> None:
    """Something happens every few turns of the loop, and most of the time somebody leads."""
    while True:
        await asyncio.sleep(choice.random() * 0.01)
        match choice.randrange(6):
            case 0:
                fate: Fate = choice.choice(get_args(Fate))
                nodes.lead(choice.choice((1, 2, 3)), fate, tell_first=choice.choice(("leader", "others")))
            case 1:
                nodes.lose_leader(choice.choice(get_args(Fate)))
                await asyncio.sleep(choice.random() * 0.01)
                nodes.lead(choice.choice((1, 2, 3)))
            case 2:
                nodes.late = choice.random() < 0.5
                nodes.cut(*choice.sample((1, 2, 3), 2))
            case 3:
                nodes.deaf.add(choice.choice((1, 2, 3)))
            case 4:
                followers = [engine for engine in nodes.engines.values() if not engine.leads]
                choice.choice(followers).lagging = True
            case _:
                nodes.heal()
                nodes.catch_up()


@pytest.mark.parametrize("seed", range(4))
async def test_histories_are_linearizable_while_everything_happens(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    async with cluster(tmp_path) as nodes:
        writers = [Writer(nodes, node, f"{node}{kind}", choice, kind == "n") for node in (1, 2, 3) for kind in "pn"]
        readers = [Reader(nodes, node, writers) for node in (1, 2, 3)]
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(reader.run()) for reader in readers]
            troubling = group.create_task(trouble(nodes, choice))
            writing = [group.create_task(writer.run()) for writer in writers]
            await asyncio.wait(writing, timeout=15)
            troubling.cancel()
            nodes.heal()
            nodes.catch_up()
            nodes.lead(1)
            await asyncio.wait(writing)
            for task in others:
                task.cancel()
        names = nodes.names(1)
        check(names, writers)
        await until(lambda: nodes.names(2) == nodes.names(3) == names)
        assert all(reader.reads for reader in readers)
        assert sum(writer.done() for writer in writers) > WRITES


def check(names: list[str], writers: list[Writer]) -> None:
    """What was answered is done once and in its order; what was not applied is not there."""
    assert max(Counter(names).values()) == 1
    there = set(names)
    for writer in writers:
        for name in writer.sent:
            outcome = writer.outcome(name)
            assert outcome in ("done", "no", "unknown"), name
            assert (name in there) == (outcome == "done") or outcome == "unknown", (name, outcome)
        done = [name for name in writer.sent if writer.outcome(name) == "done"]
        assert done == sorted(done, key=names.index)
