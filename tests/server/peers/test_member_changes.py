"""A cluster that grows, shrinks and heals: real nodes in one process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.model.entry import raft_node_id
from qcore.model.errors import Removed
from qcore.model.leader_commands import RemoveDisk
from qcore.server.peers.member_changes import Heard
from tests.server.peers.nodes import ClusterNode, Trio, trio
from tests.server.peers.test_three_nodes import age, begin
from tests.server.running import DEADLINE, Client, until


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition that has to be asked for."""
    async with asyncio.timeout(DEADLINE):
        while not await condition():
            await asyncio.sleep(0.05)


async def votes(node: ClusterNode) -> dict[int, str]:
    """Who is a member, as a node sees it."""
    found = await node.client().result("cluster.status")
    return {each["node"]: each["vote"] for each in found["members"]}


async def member_votes(cluster: Trio, wanted: dict[int, str]) -> None:
    """Wait until the leader sees these members."""

    async def look() -> bool:
        return await votes(await cluster.leader()) == wanted

    await eventually(look)


async def join(cluster: Trio, folder: Path, id: int) -> ClusterNode:
    """Start a blank node that knows the others."""
    node = ClusterNode(folder, id)
    await node.open()
    cluster.nodes.append(node)
    await node.start([other.addr for other in cluster.nodes if other is not node])
    return node


async def removed(node: ClusterNode) -> None:
    """Wait until a node wants to stop because it was removed, and let it."""
    await until(lambda: bool(node.fatal))
    assert [type(error) for error in node.fatal] == [Removed]
    node.fatal.clear()
    await node.kill()


VOTER, LEARNER = "voter", "learner"


async def test_a_fourth_node_joins_as_a_learner_and_gets_a_vote_when_it_is_told_to(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        user = await begin((await cluster.leader()).client())
        fourth = await join(cluster, tmp_path, 4)
        added = await fourth.client().result("cluster.add", id=4, timeout=DEADLINE)
        assert (added["node"], added["vote"]) == (4, LEARNER)
        assert await age(fourth.client(), user, timeout=DEADLINE) == 0
        promoted = await fourth.client().result("cluster.promote", id=4, timeout=DEADLINE)
        assert promoted == {"node": 4, "vote": VOTER, "waiting": None}
        assert await votes(await cluster.leader()) == dict.fromkeys([1, 2, 3, 4], VOTER)
        assert len(await cluster.digests()) == 1


async def test_a_node_that_joins_after_the_log_was_purged_gets_a_snapshot(tmp_path: Path) -> None:
    async with trio(tmp_path, max_log_files=10, log_cleanup_interval=1) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        for value in range(60):
            await leader.client().result("set", id=user, field="Age", value=value)
        await until(lambda: (leader.engine.status().first or 0) > 0)
        fourth = await join(cluster, tmp_path, 4)
        await member_votes(cluster, {**dict.fromkeys([1, 2, 3], VOTER), 4: LEARNER})
        assert await age(fourth.client(), user, timeout=DEADLINE) == 59
        assert len(await cluster.digests()) == 1


async def test_later_voters_come_in_pairs_and_the_leader_says_why_one_waits(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        await join(cluster, tmp_path, 4)
        await member_votes(cluster, {**dict.fromkeys([1, 2, 3], VOTER), 4: LEARNER})
        leader = await cluster.leader()

        async def waits() -> bool:
            found = await leader.client().result("cluster.status")
            return "one more node has to join" in str(found["members"][3]["waiting"])

        await eventually(waits)
        await join(cluster, tmp_path, 5)
        await member_votes(cluster, dict.fromkeys([1, 2, 3, 4, 5], VOTER))


async def test_a_node_that_is_removed_stops_and_only_an_order_brings_it_back(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        user = await begin((await cluster.leader()).client())
        leaving, staying = await cluster.followers()
        gone = await staying.client().result("cluster.remove", id=leaving.id, timeout=DEADLINE)
        assert gone == {"node": leaving.id, "vote": "none", "waiting": None}
        await removed(leaving)
        assert leaving.id not in await votes(await cluster.leader())
        await cluster.restart(leaving)
        await removed(leaving)
        back = await staying.client().result("cluster.add", id=leaving.id, timeout=DEADLINE)
        assert (back["vote"], back["waiting"]) == ("none", "it is let in again: start it, and it is added")
        await staying.client().result("set", id=user, field="Age", value=7, timeout=DEADLINE)
        await cluster.restart(leaving)
        await member_votes(cluster, dict.fromkeys([1, 2, 3], VOTER))
        assert await age(leaving.client(), user, timeout=DEADLINE) == 7
        assert len(await cluster.digests()) == 1


async def test_a_leader_that_is_removed_hands_over_first(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        term = leader.engine.status().term
        await leader.client().result("cluster.remove", id=leader.id, timeout=DEADLINE)
        await removed(leader)
        other = await cluster.leader()
        assert other.engine.status().term == term + 1
        assert sorted(await votes(other)) == sorted({1, 2, 3} - {leader.id})


async def test_a_removal_that_a_leader_has_begun_is_finished_by_the_next_one(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        await join(cluster, tmp_path, 4)
        await member_votes(cluster, {**dict.fromkeys([1, 2, 3], VOTER), 4: LEARNER})
        leader, fourth = await cluster.leader(), cluster.nodes[3]
        command = RemoveDisk(node=raft_node_id(4, 0), incarnation=fourth.directory.identity.incarnation)
        listed = asyncio.Event()
        leader.node.put_own(command, Heard(lambda error: listed.set()))
        await listed.wait()
        await leader.kill()
        await removed(fourth)
        cluster.nodes.remove(fourth)
        await member_votes(cluster, dict.fromkeys([1, 2, 3], VOTER))
        await cluster.restart(leader)
        assert len(await cluster.digests()) == 1
        cluster.nodes.append(fourth)


async def test_a_member_whose_address_changed_is_noted_there(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        mover = (await cluster.followers())[0]
        await mover.stop()
        mover.port = 0
        await cluster.restart(mover)

        async def noted() -> bool:
            found = await (await cluster.leader()).client().result("cluster.status")
            return {each["addr"] for each in found["members"]} == {each.addr for each in cluster.nodes}

        await eventually(noted)


async def test_a_node_that_lost_its_disk_is_healed_under_its_id(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        user = await begin((await cluster.leader()).client())
        wiped = (await cluster.followers())[0]
        await wiped.kill()
        shutil.rmtree(tmp_path / f"node_{wiped.id}")
        await (await cluster.leader()).client().result("set", id=user, field="Age", value=7, timeout=DEADLINE)
        await cluster.restart(wiped)
        await until(lambda: wiped.anew is not None and wiped.anew.done())
        await member_votes(cluster, dict.fromkeys([1, 2, 3], VOTER))
        assert wiped.directory.identity.generation == 1
        assert await age(wiped.client(), user, timeout=DEADLINE) == 7
        assert len(await cluster.digests()) == 1


async def write_on(client: Client, user: int, acknowledged: list[int], enough: asyncio.Event) -> None:
    """Write ages that rise, one at a time."""
    value = 0
    while not enough.is_set():
        value += 1
        answer = await client.ask("set", id=user, field="Age", value=value, timeout=DEADLINE)
        if "result" in answer:
            acknowledged.append(value)
        else:
            assert answer["error"]["data"]["kind"] in ("no_quorum", "timeout"), answer


async def test_under_load_nodes_join_and_the_leader_is_removed_and_nothing_is_lost(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        follower = (await cluster.followers())[0]
        acknowledged: list[int] = []
        enough = asyncio.Event()
        writing = asyncio.ensure_future(write_on(follower.client(), user, acknowledged, enough))
        await join(cluster, tmp_path, 4)
        await join(cluster, tmp_path, 5)
        await member_votes(cluster, dict.fromkeys([1, 2, 3, 4, 5], VOTER))
        await follower.client().result("cluster.remove", id=leader.id, timeout=DEADLINE)
        await removed(leader)
        count = len(acknowledged)
        await until(lambda: len(acknowledged) > count + 20)
        enough.set()
        await writing
        for each in cluster.up:
            assert await age(each.client(), user, timeout=DEADLINE) == acknowledged[-1]
        assert len(await cluster.digests()) == 1


async def test_orders_that_cannot_be_carried_out_are_refused_by_name(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        first, second = await cluster.followers()
        unknown = (await first.client().ask("cluster.remove", id=9))["error"]
        assert (unknown["data"]["kind"], unknown["message"]) == (
            "not_found",
            "node 9 is no member of the cluster; its members: 1, 2, 3",
        )
        nobody = (await first.client().ask("cluster.add", id=9))["error"]
        assert nobody["data"]["kind"] == "not_found"
        await second.kill()
        await until(lambda: not any(each.hello.id == second.id for each in leader.peering.status))
        refused = (await first.client().ask("cluster.remove", id=first.id))["error"]
        assert refused["data"]["kind"] == "forbidden"
        assert "of the voters without it 1 can be reached and 2 are needed" in refused["message"]
        await first.client().result("cluster.remove", id=second.id, timeout=DEADLINE)
        assert len(await votes(leader)) == 2
