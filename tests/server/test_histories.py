"""Histories have names: what a client kept of another one is recognised and never served as if it were this one."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qcore.model.entry import FEATURE_LEVEL, EntryBody
from qcore.model.leader_commands import OpenEpoch, RaiseLevel
from qcore.model.requests.commands import Create
from tests.server.running import Client, Running, running, until
from tests.server.test_cluster_life import life

UNHEARD = "0123456789abcdef"


@asynccontextmanager
async def node(folder: Path, **settings: Any) -> AsyncIterator[tuple[Running, Client]]:
    async with running(folder, **settings) as run:
        yield run, run.client()


async def create(client: Client, *names: str) -> int:
    """Create entities; the last revision."""
    revision = 0
    for name in names:
        revision = (await client.result("create", type="Object", name=name))["revision"]
    return revision


async def lost_at_once(client: Client, **params: Any) -> dict[str, Any]:
    """Listen where that is answered with `lost`; returns it."""
    answer = await client.result("listen", target="Object", **params)
    (event,) = await client.told(answer["token"], 1)
    assert (event["kind"], event["reason"]) == ("lost", "other_history")
    assert await client.kind("unlisten", token=answer["token"]) == "not_found"
    return event


async def test_every_leadership_has_an_epoch_of_its_own_that_changes_neither_revision_nor_digest(
    tmp_path: Path,
) -> None:
    seen = []
    for _ in range(3):
        async with node(tmp_path) as (_, client):
            info = await client.result("info")
            seen.append((info["epoch"], info["revision"], await client.result("digest")))
    assert len({epoch for epoch, _, _ in seen}) == 3
    assert len({(revision, digest["digest"]) for _, revision, digest in seen}) == 1


async def test_answers_bookmarks_and_last_events_bear_the_epoch(tmp_path: Path) -> None:
    async with node(tmp_path) as (_, client):
        epoch = (await client.result("info"))["epoch"]
        answer = await client.result("listen", target="Object", initial=True)
        assert answer["epoch"] == epoch
        await create(client, "a")
        await until(lambda: any(event["kind"] == "created" for event in client.events))
        await until(lambda: client.events[-1].get("last"))
        with_epoch = [event["kind"] for event in client.events if "epoch" in event]
        assert "bookmark" in with_epoch
        assert all(event["epoch"] == epoch for event in client.events if event.get("last"))


async def test_what_was_kept_over_a_restart_goes_on(tmp_path: Path) -> None:
    async with node(tmp_path) as (_, client):
        since = await create(client, "a", "b")
        epoch = (await client.result("info"))["epoch"]
    async with node(tmp_path) as (_, client):
        await create(client, "c")
        answer = await client.result("listen", target="Object", since=since, epoch=epoch)
        told = await client.told(answer["token"], 1)
        assert (told[0]["kind"], told[0]["revision"]) == ("created", since + 1)


async def test_a_place_in_a_history_that_an_older_backup_does_not_have_is_lost(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    async with node(data) as (_, client):
        await create(client, "a")
    shutil.copytree(data, backup)
    async with node(data) as (_, client):
        since = await create(client, "b", "c", "d")
        epoch = (await client.result("info"))["epoch"]
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    async with node(data) as (run, client):
        await create(client, "x", "y", "z", "beyond")
        event = await lost_at_once(client, since=since, epoch=epoch)
        assert event["revision"] == run.state.revision


async def test_a_revision_behind_the_end_of_its_epoch_is_of_another_history(tmp_path: Path) -> None:
    """A backup that has the epoch, but did not get as far in it."""
    async with node(tmp_path) as (_, client):
        known = await create(client, "a")
        epoch = (await client.result("info"))["epoch"]
    async with node(tmp_path) as (_, client):
        await create(client, "b", "c")
        await lost_at_once(client, since=known + 1, epoch=epoch)
        answer = await client.result("listen", target="Object", since=known, epoch=epoch)
        assert len(await client.told(answer["token"], 2)) >= 2


async def test_a_far_revision_of_another_history_is_not_waited_for(tmp_path: Path) -> None:
    async with node(tmp_path) as (_, client):
        await lost_at_once(client, since=1_000_000, epoch=UNHEARD)


async def test_a_local_read_of_an_epoch_not_heard_of_waits_as_the_node_may_lag(tmp_path: Path) -> None:
    async with life(tmp_path) as made:
        made.engine.follow(2)
        deliver = made.engine.deliver
        level = EntryBody(1, 0, "commands", [RaiseLevel(2)])
        deliver(level)
        deliver(EntryBody(2, 0, "commands", [OpenEpoch("a" * 16)]))
        client = made.client
        made.engine.quorum = False
        listening = client.send("listen", target="Object", since=1, epoch="b" * 16, consistency="local")
        assert listening not in client.answers
        deliver(EntryBody(2, 0, "commands", [OpenEpoch("b" * 16), Create("Object", "x")]))
        made.engine.answer_barriers()
        await until(lambda: listening in client.answers)
        assert client.answers[listening]["result"]["revision"] == 1


async def test_an_epoch_without_since_is_refused(tmp_path: Path) -> None:
    async with node(tmp_path) as (_, client):
        assert await client.kind("listen", target="Object", epoch=UNHEARD) == "bad_params"


async def test_a_session_of_another_history_is_expired_though_both_began_alike(tmp_path: Path) -> None:
    async with node(tmp_path / "one") as (_, client):
        session = (await client.result("session.open"))["session"]
    async with node(tmp_path / "two") as (_, client):
        await client.result("session.open")
        answer = await client.ask("create", type="Object", name="x", session=session, seq=1)
        assert answer["error"]["data"]["kind"] == "session_expired"


@pytest.mark.parametrize("method", ["set", "transaction"])
async def test_an_expected_revision_of_another_history_is_a_conflict(tmp_path: Path, method: str) -> None:
    async with node(tmp_path) as (run, client):
        revision = await create(client, "a")
        id = max(run.state.entities)
        epoch = (await client.result("info"))["epoch"]
        write = {"id": id, "field": "Name", "value": "b"}

        async def ask(epoch: str) -> dict[str, Any]:
            if method == "set":
                return await client.ask("set", **write, expect={"revision": revision, "epoch": epoch})
            condition = {"id": id, "field": "Name", "revision": revision, "epoch": epoch}
            commands = [{"method": "set", "params": write}]
            return await client.ask("transaction", conditions=[condition], commands=commands)

        refused = await ask(UNHEARD)
        assert refused["error"]["data"]["kind"] == "conflict"
        assert "another history" in refused["error"]["message"]
        assert "result" in await ask(epoch)


async def test_a_store_kept_below_level_2_has_no_epochs_and_says_so(tmp_path: Path) -> None:
    async with node(tmp_path, max_feature_level=1) as (run, client):
        assert run.state.level == 1
        assert (await client.result("info"))["epoch"] is None
        assert "epoch" not in await client.result("listen", target="Object")
        await create(client, "a")
    async with node(tmp_path) as (run, client):
        assert run.state.level == FEATURE_LEVEL
        assert (await client.result("info"))["epoch"] is not None
