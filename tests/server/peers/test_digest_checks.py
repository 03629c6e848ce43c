"""Three nodes that compare what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

from qcore.model.errors import Diverged
from qcore.server.runtime import budgets
from tests.server.peers.nodes import trio
from tests.server.running import DEADLINE, until


async def test_replicas_agree_on_what_is_beside_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DIGEST_CHECK_ENTRIES", 5)
    async with trio(tmp_path) as cluster:
        client = (await cluster.leader()).client()
        session = (await client.result("session.open"))["session"]
        for seq in range(1, 20):
            await client.result("create", type="Object", name=f"n{seq}", session=session, seq=seq, acked=seq)
        states = [each.node.state for each in cluster.nodes]
        await until(lambda: all(len(state.checks.last) > 2 for state in states))
        checks = [{check.index: check for check in state.checks.last} for state in states]
        common = checks[0].keys() & checks[1].keys() & checks[2].keys()
        assert common
        assert all(checks[0][index] == checks[1][index] == checks[2][index] for index in common)
        assert all(checks[0][index].rest is not None for index in common)


async def test_a_replica_that_has_forgotten_a_session_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entities are those of the others: a retry through it would have been carried out twice."""
    monkeypatch.setattr(budgets, "DIGEST_CHECK_ENTRIES", 5)
    async with trio(tmp_path) as cluster:
        leader = await cluster.leader()
        broken, _ = await cluster.followers()
        client = leader.client()
        await client.result("session.open")
        await until(lambda: len(broken.node.state.sessions) == 1)
        broken.node.state.sessions.expire(1 << 62)
        while not broken.fatal:
            await client.result("session.open", timeout=DEADLINE)
        (error,) = broken.fatal
        assert isinstance(error, Diverged)
        assert "the hash of the sessions is" in error.message
        assert "has the digest" not in error.message
        broken.fatal.clear()
        await broken.kill()
        assert (await client.result("create", type="Object", name="x", timeout=DEADLINE))["id"]
