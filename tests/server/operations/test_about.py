"""Who is connected, and what was slow, as clients are told; INFO is with the other reads."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from qcore.engine.base import PeerStatus
from qcore.server.runtime import budgets
from tests.server.fake_engine import FakeEngine
from tests.server.running import running, until


async def test_clients_lists_each_connection_with_what_it_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, listen=True) as run:
        first, second = await run.open("/?client=ann"), await run.open("/?client=bob")
        first.send(b'{"jsonrpc":"2.0","id":1,"method":"listen","params":{"target":"Object"}}')
        assert "result" in await first.answer()
        second.send(b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"clients"}]')
        _, answer = await second.answer()
        items = answer["result"]["items"]
        assert [(i["name"], i["subscriptions"], i["requests"], i["queue"]) for i in items] == [
            ("ann", 1, 1, 0),
            ("bob", 0, 2, 0),
        ]
        assert items[0]["address"].endswith(first.own_port())
        assert items[0]["since"] <= items[1]["since"]


async def test_a_client_that_is_gone_is_not_listed(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        gone, here = run.client(), run.client()
        await gone.result("ping")
        gone.hang_up()
        assert len((await here.result("clients"))["items"]) == 1
        assert run.node.clients.requests == 2


async def test_the_queue_of_a_client_is_what_it_has_not_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        deaf, here = run.client(), run.client()
        outbox = deaf._session.client.outbox
        outbox.hold()
        await deaf.result("listen", target="Object")
        await here.result("create", type="Object", name="x")
        await until(lambda: outbox.size)
        assert (await here.result("clients"))["items"][0]["queue"] == outbox.size


async def test_a_list_of_many_clients_is_made_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "CLIENTS_STEP", 1)
    async with running(tmp_path) as run:
        clients = [run.client() for _ in range(5)]
        assert len((await clients[0].result("clients"))["items"]) == 5


async def test_a_slow_write_is_told_with_its_client_and_what_it_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, engine=FakeEngine, wait=False, slow_request_ms=1) as run:
        client, engine = run.client(), run.engine
        assert isinstance(engine, FakeEngine)
        with caplog.at_level(logging.WARNING, "qcore.node"):
            sent = client.send("create", type="Object", name="x", timeout=0.05)
            await until(lambda: sent in client.answers and run.node.slow_requests.total)
        found = await client.result("slowlog", limit=1)
        (slow,) = found["items"]
        assert (found["total"], found["threshold"]) == (1, 0.001)
        assert (slow["method"], slow["error"], slow["waited"]) == ("create", "no_quorum", slow["seconds"])
        assert slow["params"] == '{"type":"Object","name":"x"}'
        assert "slow_request" in [_event(record) for record in caplog.records]


async def test_a_slow_log_of_no_request_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert await run.client().kind("slowlog", limit=0) == "bad_params"


async def test_a_change_of_the_members_is_logged_with_what_fails_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "qcore.node"):
        async with running(tmp_path, engine=FakeEngine, wait=False) as run:
            engine = run.engine
            assert isinstance(engine, FakeEngine)
            engine.peers = (PeerStatus(2, alive=True),)
            engine.begin()
            engine.lead()
            assert (await run.client().result("info"))["outlook"] == "tolerates 0 failures: a third node makes it 1"
            told = [record.msg for record in caplog.records if _event(record) == "outlook"]
    assert [line["message"] for line in told if isinstance(line, dict)] == [
        "The cluster has 2 voters: tolerates 0 failures: a third node makes it 1"
    ]


async def test_info_says_what_the_node_waits_for(tmp_path: Path) -> None:
    async with running(tmp_path, engine=FakeEngine, wait=False) as run:
        info = await run.client().result("info")
        assert (info["leader"], info["role"]) == (None, "follower")
        assert info["waiting"] == "there is no leader: its cluster has not begun on this node yet"


def _event(record: logging.LogRecord) -> Any:
    return record.msg["event"] if isinstance(record.msg, dict) else None
