"""Listening through the API: what is told, in which shape, from when on, until when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.model.events import Event
from tests.server.running import Client, Running, running

SCHEMAS = [
    {"entityType": "Team", "fields": [{"name": "Budget", "dataType": "Int"}]},
    {
        "entityType": "User",
        "fields": [
            {"name": "Age", "dataType": "Int"},
            {"name": "Team", "dataType": "EntityReference"},
            {"name": "Teams", "dataType": "EntityList"},
        ],
    },
    {"entityType": "Admin", "inheritsFrom": ["User"]},
]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        await run.client().result("schema.set", schemas=SCHEMAS)
        yield run


@pytest.fixture
def client(run: Running) -> Client:
    return run.client()


@pytest.fixture
def writer(run: Running) -> Client:
    return run.client()


async def create(client: Client, type: str, name: str = "x", **fields: Any) -> int:
    return int((await client.result("create", type=type, name=name, fields=fields))["id"])


async def write(client: Client, id: int, field: str, value: Any, **params: Any) -> int:
    return int((await client.result("set", id=id, field=field, value=value, **params))["revision"])


async def listen(client: Client, target: Any, **params: Any) -> int:
    return int((await client.result("listen", target=target, **params))["token"])


async def test_a_write_is_told_with_what_was_there_before(client: Client, writer: Client) -> None:
    user = await create(writer, "User", Age=29)
    answer = await client.result("listen", target=user, field="Age")
    before = (await client.result("get", id=user, fields=["Age"]))["fields"]["Age"]
    revision = await write(writer, user, "Age", 30)
    (event,) = await client.told(answer["token"], 1)
    assert answer["revision"] == revision - 1
    assert event == {
        "revision": revision,
        "kind": "changed",
        "id": user,
        "type": "User",
        "field": "Age",
        "current": (await client.result("get", id=user, fields=["Age"]))["fields"]["Age"],
        "previous": before,
        "last": True,
    }


async def test_every_event_has_the_documented_shape(client: Client, writer: Client) -> None:
    await listen(client, "User", initial=True, context=["Team->Name"])
    user = await create(writer, "User", Age=1)
    await writer.result("delete", id=user)
    await client.told(1, 5)
    for event in client.events:
        shaped = msgspec.convert(event, Event, strict=True)
        assert msgspec.to_builtins(shaped) == event
