"""Leadership goes from one real node to another: by CLUSTER TRANSFER, and when the leader is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.server.runtime import budgets
from tests.server.peers.nodes import ClusterNode, Trio, trio
from tests.server.peers.test_three_nodes import age, begin
from tests.server.running import DEADLINE, Client, until


class Writer:
    """Creates one user after the other, one at a time, until it is ended; each write is answered or its test fails."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._ends = False
        self.count = 0
        self.refused: list[Any] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._ends:
            name = f"{self._name} {self.count}"
            answer = await self._client.ask("create", type="User", name=name, timeout=DEADLINE)
            if "error" in answer:
                self.refused.append(answer["error"]["data"])
                return
            self.count += 1

    async def written(self, more: int) -> None:
        """Wait until so many more are acknowledged, or one is refused."""
        wanted = self.count + more
        await until(lambda: self.count >= wanted or self._task.done())

    async def end(self) -> list[str]:
        """The names that were acknowledged."""
        self._ends = True
        await self._task
        return [f"{self._name} {number}" for number in range(self.count)]


async def names(client: Client) -> list[str]:
    found = await client.result("find", type="User", limit=10_000)
    return sorted(each["name"] for each in found["items"])


async def term(node: ClusterNode) -> int:
    return int((await node.client().result("info"))["term"])


async def transfer(cluster: Trio, asked: ClusterNode, to: ClusterNode) -> None:
    assert await asked.client().result("cluster.transfer", id=to.id, timeout=DEADLINE) == {"leader": to.id}
    assert await cluster.leader() is to


async def test_leadership_is_handed_over_under_writes_whoever_is_asked(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        await begin(leader.client())
        writers = [Writer(each.client(), f"w{each.id}") for each in cluster.nodes]
        first, second = await cluster.followers()
        before = await term(leader)
        for asked, to in ((first, second), (leader, first), (first, leader)):
            await transfer(cluster, asked, to)
            for each in writers:
                await each.written(3)
        acknowledged = [name for each in writers for name in await each.end()]
        assert [each.refused for each in writers] == [[], [], []]
        assert await names(leader.client()) == sorted([*acknowledged, "ann"])
        assert await term(leader) == before + 3
        assert len(await cluster.digests()) == 1


async def test_a_leader_that_is_stopped_has_another_one_lead_first_and_loses_no_write(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        await begin(leader.client())
        before = await term(leader)
        writers = [Writer(each.client(), f"w{each.id}") for each in cluster.nodes]
        for each in writers:
            await each.written(3)
        held = leader.client().send("create", type="User", name="held", timeout=DEADLINE)
        await leader.stop()
        new = await cluster.leader()
        assert await term(new) == before + 1
        for each in writers:
            await each.written(3)
        own = writers.pop(cluster.nodes.index(leader))
        acknowledged = [name for each in (*writers, own) for name in await each.end()]
        assert [each.refused for each in writers] == [[], []]
        assert own.refused == [{"kind": "busy", "applied": "no", "elsewhere": True}]
        assert held
        assert await names(new.client()) == sorted([*acknowledged, "ann", "held"])


async def test_a_follower_that_is_stopped_changes_nothing(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        before = await term(leader)
        await (await cluster.followers())[0].stop()
        assert await cluster.leader() is leader
        assert await term(leader) == before


async def test_the_last_of_three_is_stopped_without_a_quorum_in_time(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        for each in await cluster.followers():
            await each.kill()
        client = leader.client()
        sent = [client.send("set", id=user, field="Age", value=value, timeout=DEADLINE) for value in range(3)]
        async with asyncio.timeout(budgets.STOP_SECONDS):
            await leader.stop()
        errors = [client.answers[id]["error"]["data"] for id in sent]
        assert {error["applied"] for error in errors} <= {"no", "unknown"}


async def test_when_all_are_stopped_one_after_the_other_nothing_is_lost(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        await leader.client().result("set", id=user, field="Age", value=7)
        while cluster.up:
            await (await cluster.leader() if len(cluster.up) > 1 else cluster.up[0]).stop()
        for each in cluster.nodes:
            await cluster.restart(each)
        await cluster.leader()
        assert await age(cluster.nodes[0].client(), user, timeout=DEADLINE) == 7
