from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from tests.server.peers.nodes import trio
from tests.server.running import DEADLINE, Client

SCHEMA = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}]}


async def begin(client: Client) -> int:
    """The id of a user."""
    await client.result("schema.set", schema=SCHEMA)
    return int((await client.result("create", type="User", name="ann"))["id"])


async def age(client: Client, user: int, **params: Any) -> Any:
    return (await client.result("get", id=user, fields=["Age"], **params))["fields"]["Age"]["value"]


async def test_what_is_written_through_one_node_is_read_through_another(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        first, second = await cluster.followers()
        writer, reader = first.client(), second.client()
        user = await begin(writer)
        for value in range(20):
            await writer.result("set", id=user, field="Age", value=value)
            assert await age(reader, user) == value
        assert await age(leader.client(), user) == 19
        assert len(await cluster.digests()) == 1


async def test_writes_go_on_when_the_leader_is_killed_and_it_catches_up_when_it_comes_back(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        await leader.client().result("set", id=user, field="Age", value=1)
        await leader.kill()
        survivor = cluster.up[0].client()
        await survivor.result("set", id=user, field="Age", value=2, timeout=DEADLINE)
        await cluster.restart(leader)
        assert await age(leader.client(), user, timeout=DEADLINE) == 2
        await leader.client().result("set", id=user, field="Age", value=3, timeout=DEADLINE)
        assert await age(survivor, user) == 3
        assert len(await cluster.digests()) == 1


async def test_without_a_quorum_writes_are_refused_by_name_and_local_reads_answered(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        user = await begin(leader.client())
        followers = await cluster.followers()
        for each in followers:
            await each.kill()
        client = leader.client()
        answer = await client.ask("set", id=user, field="Age", value=1, timeout=3)
        assert answer["error"]["data"]["kind"] in ("no_quorum", "timeout")
        answer = await client.ask("set", id=user, field="Age", value=2, timeout=1)
        assert (answer["error"]["data"]["kind"], answer["error"]["data"]["applied"]) == ("no_quorum", "no")
        found = await client.result("get", id=user, fields=["Age"], consistency="local")
        assert found["age"] > 0
        for each in followers:
            await cluster.restart(each)
        await client.result("set", id=user, field="Age", value=5, timeout=DEADLINE)
        assert await age(cluster.nodes[0].client(), user) == 5


async def test_listeners_of_a_follower_hear_what_others_write(tmp_path: Path) -> None:
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        follower = (await cluster.followers())[0]
        user = await begin(leader.client())
        listener = follower.client()
        token = (await listener.result("listen", target=str(user), field="Age"))["token"]
        for value in range(5):
            await leader.client().result("set", id=user, field="Age", value=value + 1)
        events = await listener.told(token, 5)
        assert [event["current"]["value"] for event in events] == [1, 2, 3, 4, 5]
