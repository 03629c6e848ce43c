"""Three nodes, one of which runs out of disk."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.disk.space import Space
from qcore.server.runtime import budgets
from qcore.server.writes import disk_reserve
from tests.server.peers.nodes import ClusterNode, trio
from tests.server.running import DEADLINE, Client, until


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The directories whose disk of 1 GB is nearly full."""
    found: set[str] = set()
    monkeypatch.setattr(disk_reserve, "space", lambda folder: Space(1 << 30, (40 if folder in found else 900) << 20))
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(budgets, "DISK_REPORT_SECONDS", 0.02)
    monkeypatch.setattr(budgets, "DISK_REPORT_LIFE_SECONDS", 2.0)
    return found


def folder(node: ClusterNode) -> str:
    return str(node.directory.path)


async def taken(client: Client) -> bool:
    """Whether a write is taken now; it is refused for the disk alone."""
    answer = await client.ask("create", type="Object", name="x", timeout=DEADLINE)
    assert "result" in answer or answer["error"]["data"]["kind"] == "disk_full", answer
    return "result" in answer


async def refused(client: Client) -> dict[str, object]:
    """The error of a write, once they are refused."""
    answer = await client.ask("create", type="Object", name="x", timeout=DEADLINE)
    while "result" in answer:
        answer = await client.ask("create", type="Object", name="x", timeout=DEADLINE)
    error: dict[str, object] = answer["error"]
    return error


async def test_the_leader_refuses_what_would_fill_the_disk_of_another_voter(tmp_path: Path, full: set[str]) -> None:
    async with trio(tmp_path, disk_reserve_mb=50) as cluster:
        leader = await cluster.leader()
        follower, other = await cluster.followers()
        await leader.client().result("schema.set", schema={"entityType": "Object2", "fields": []})
        user = (await leader.client().result("create", type="Object", name="gone"))["id"]
        full.add(folder(follower))
        for client in (leader.client(), other.client()):
            error = await refused(client)
            assert str(error["message"]).startswith(
                f"node {follower.id}: the disk of {folder(follower)} is full: 40.0 MB"
            )
            assert error["data"] == {"kind": "disk_full", "applied": "no", "node": follower.id}
        assert (await other.client().result("delete", id=user))["deleted"] == 1

        state = await leader.client().result("cluster.status")
        disks = {member["node"]: member["disk"] for member in state["members"]}
        assert disks.pop(follower.id).startswith("the disk of")
        assert set(disks.values()) == {None}
        assert state["outlook"].startswith(f"the disk of node {follower.id} is full: writes but deletions are refused")
        info = await leader.client().result("info")
        assert info["waiting"].startswith(f"node {follower.id}: the disk of")
        assert b"qcore_raft_full_disks 1.0" in leader.node.metrics.text()

        full.clear()
        client = other.client()
        while not await taken(client):
            pass
        assert (await leader.client().result("info"))["waiting"] is None


async def test_a_node_that_is_gone_holds_no_writes(tmp_path: Path, full: set[str]) -> None:
    async with trio(tmp_path, disk_reserve_mb=50) as cluster:
        leader = await cluster.leader()
        follower = (await cluster.followers())[0]
        full.add(folder(follower))
        await refused(leader.client())
        await follower.kill()
        client = leader.client()
        while not await taken(client):
            pass


async def test_who_leads_next_knows_whose_disk_is_full(tmp_path: Path, full: set[str]) -> None:
    async with trio(tmp_path, disk_reserve_mb=50) as cluster:
        leader = await cluster.leader()
        follower, other = await cluster.followers()
        full.add(folder(follower))
        await refused(leader.client())
        await leader.client().result("cluster.transfer", id=other.id, timeout=DEADLINE)
        await until(lambda: other.leads)
        error = await refused(other.client())
        assert error["data"]["node"] == follower.id  # type: ignore[index]
