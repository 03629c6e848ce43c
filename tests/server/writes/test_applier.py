from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qcore.model import work
from qcore.server.runtime import budgets
from tests.server.running import Client, Running, running, until

ITEM = {"entityType": "Item", "fields": [{"name": "Age", "dataType": "Int"}]}
COUNT = 1_500


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice ends at the first pause, and there are many; a stop has no patience."""
    monkeypatch.setattr(budgets, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(budgets, "ENGINE_STOP_SECONDS", 0.0)
    monkeypatch.setattr(work, "PACE", 5)


async def crowd(run: Running) -> Client:
    """A client of a store with many items below one folder, whose id is 2, and one beside it."""
    client = run.client()
    await client.result("schema.set", schema=ITEM)
    assert (await client.result("create", type="Item", name="folder", parent=1))["id"] == 2
    steps = [{"method": "create", "params": {"type": "Item", "name": f"n{n}", "parent": 2}} for n in range(COUNT)]
    for start in range(0, COUNT, 500):
        await client.result("pipeline", commands=steps[start : start + 500])
    await client.result("create", type="Item", name="other", parent=1)
    run.node.scheduler._length = 1e-4
    return client


def busy(run: Running) -> bool:
    """Whether a command is being applied."""
    return not run.node._applier.idle


LONG: list[tuple[str, dict[str, Any]]] = [
    ("delete", {"id": 2}),
    ("field.set", {"type": "Item", "field": "New", "schema": {"dataType": "Int"}}),
    ("schema.set", {"schema": {"entityType": "Item", "fields": []}, "reset": True}),
]


@pytest.mark.parametrize(("method", "params"), LONG, ids=[method for method, _ in LONG])
async def test_others_are_answered_while_a_long_command_is_applied(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    async with running(tmp_path) as run:
        client, other = await crowd(run), run.client()
        revision = run.state.revision
        sent = client.send(method, **params)
        await until(lambda: busy(run) or sent in client.answers)
        answered = 0
        while sent not in client.answers:
            await asyncio.sleep(0)
            assert await other.result("ping") == "PONG"
            got = await other.ask("get", id=COUNT + 2, consistency="local")
            if sent not in client.answers:
                assert got["result"]["fields"].keys() == {"Name", "Parent", "Children", "Age"}
                assert (await other.result("digest", consistency="local"))["revision"] == revision
                answered += 1
        assert answered > 10
        assert client.answers[sent]["result"]["revision"] == revision + 1
        await until(lambda: not busy(run))


async def test_listeners_hear_of_what_came_before_a_long_command_while_it_is_applied(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await crowd(run)
        token = (await client.result("listen", target="Item", field="Age"))["token"]
        client.send("set", id=COUNT + 3, field="Age", value=7)
        sent = client.send("delete", id=2)
        (event,) = await client.told(token, 1)
        assert event["current"]["value"] == 7
        assert sent not in client.answers
        await until(lambda: sent in client.answers)


async def test_writes_behind_a_long_command_wait_for_it_and_see_it(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await crowd(run)
        sent = client.send("delete", id=2)
        await until(lambda: busy(run))
        assert await client.kind("set", id=3, field="Age", value=1) == "not_found"
        assert sent in client.answers


@pytest.mark.parametrize("limit", [0.0, 30.0], ids=["at once", "in time"])
async def test_a_stop_in_the_middle_loses_nothing(tmp_path: Path, limit: float) -> None:
    async with running(tmp_path) as run:
        client = await crowd(run)
        sent = client.send("delete", id=2)
        await until(lambda: busy(run))
        await run.node.stop(limit)
        answer = client.answers[sent]
        if limit or "result" in answer:  # at once may still be after its last slice
            assert answer["result"]["deleted"] == COUNT + 1
            assert 2 not in run.state.entities
        else:
            assert answer["error"]["data"]["applied"] == "unknown"
            assert 2 in run.state.entities
    await gone_after_a_start(tmp_path)


async def test_a_crash_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await crowd(run)
        sent = client.send("delete", id=2)
        await until(lambda: busy(run))
        run.node.abandon()
        assert sent not in client.answers
        assert len(run.state.entities) == COUNT + 3
    await gone_after_a_start(tmp_path)


async def gone_after_a_start(folder: Path) -> None:
    """What is in the log is applied by the next start."""
    async with running(folder) as run:
        assert sorted(run.state.entities) == [1, COUNT + 3]


async def test_an_export_that_began_before_a_long_command_shows_what_was(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await crowd(run)
        sent = client.send("delete", id=2)
        await until(lambda: busy(run))
        answer = await client.result("snapshot.export")
        assert sent not in client.answers
        await until(lambda: sent in client.answers)
        text = [answer["chunk"]]
        while answer.get("cursor"):
            answer = await client.result("snapshot.export", cursor=answer["cursor"])
            text.append(answer["chunk"])
        assert "".join(text).count('"Name":"n') == COUNT
