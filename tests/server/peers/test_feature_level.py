"""The feature level is raised when every member knows the next one, and no sooner."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.model.entry import FEATURE_LEVEL
from tests.server.peers.nodes import Trio, trio
from tests.server.peers.test_three_nodes import begin
from tests.server.running import until

OLD = FEATURE_LEVEL - 1


async def upgrade(cluster: Trio, at: int) -> None:
    """Start a node again that knows more than it said before."""
    node = cluster.nodes[at]
    await node.stop()
    node.settings = node.settings.model_copy(update={"max_feature_level": None})
    await cluster.restart(node)
    await cluster.leader()


async def test_a_rolling_upgrade_raises_the_level_with_its_last_node(tmp_path: Path) -> None:
    async with trio(tmp_path, max_feature_level=OLD) as cluster:
        await begin((await cluster.leader()).client())
        for at in (0, 1):
            await upgrade(cluster, at)
            leader = await cluster.leader()
            await leader.client().result("create", type="User", name=f"after {at}")
            assert {each.node.state.level for each in cluster.up} == {OLD}
        await upgrade(cluster, 2)
        await until(lambda: {each.node.state.level for each in cluster.up} == {FEATURE_LEVEL})
        leader = await cluster.leader()
        await leader.client().result("create", type="User", name="after all")
        assert len(await cluster.digests()) == 1


async def test_a_member_that_is_away_keeps_the_level_as_it_is(tmp_path: Path) -> None:
    async with trio(tmp_path, max_feature_level=OLD) as cluster:
        await begin((await cluster.leader()).client())
        await cluster.nodes[2].stop()
        for at in (0, 1):
            await upgrade(cluster, at)
        leader = await cluster.leader()
        await leader.client().result("create", type="User", name="without node 3")
        assert leader.node.state.level == OLD
        await cluster.restart(cluster.nodes[2])
        await cluster.leader()
        assert {each.node.state.level for each in cluster.up} == {OLD}
