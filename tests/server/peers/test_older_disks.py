"""A disk of a member that was put back to what it was: refused by name, and the others go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from tests.server.peers.nodes import trio
from tests.server.peers.test_three_nodes import age, begin
from tests.server.running import until


async def test_a_follower_whose_older_disk_is_put_back_is_refused_and_the_leader_lives(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        follower = (await cluster.followers())[0]
        await follower.stop()
        older = tmp_path / "older"
        shutil.copytree(follower.directory.path, older)
        await cluster.restart(follower)
        await cluster.leader()
        for value in range(5):
            await leader.client().result("set", id=user, field="Age", value=value)
        await until(lambda: follower.node.state.revision == leader.node.state.revision)
        await follower.stop()
        shutil.rmtree(follower.directory.path)
        older.rename(follower.directory.path)
        await cluster.restart(follower)
        await until(lambda: leader.node.about.refused())
        assert "has forgotten what it had: its log" in leader.node.about.refused()[0]
        await leader.client().result("set", id=user, field="Age", value=77)
        assert await age(leader.client(), user) == 77
        assert not leader.fatal
        await follower.stop()


async def test_a_node_on_an_empty_disk_forms_no_cluster_beside_its_own(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        await begin(leader.client())
        follower = (await cluster.followers())[0]
        await follower.stop()
        shutil.rmtree(follower.directory.path)
        await cluster.restart(follower)
        assert await follower.client().kind("cluster.init", ids=[follower.id], timeout=2) in ("timeout", "forbidden")
        await until(lambda: follower.directory.identity.cluster == leader.directory.identity.cluster)
        if follower.anew is not None:
            await follower.anew
        await cluster.leader()
