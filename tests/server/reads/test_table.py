"""Reads as a client gets them: what the node says of itself, and that every read of the API is carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.model.api import METHODS
from qcore.model.requests.commands import Command
from qcore.version import VERSION
from tests.engines import engine_name
from tests.server.running import Client, Running, running, until

FOLDER = {"entityType": "Folder", "fields": [{"name": "Size", "dataType": "Int", "default": 3}]}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running(tmp_path, max_page=50))


@pytest.fixture
async def client(run: Running) -> Client:
    client = run.client()
    await client.result("schema.set", schema=FOLDER)
    await client.result("create", type="Folder", name="a", parent=1)
    return client


async def test_ping_answers_pong(client: Client) -> None:
    assert await client.result("ping") == "PONG"


async def test_machine_names_machine_and_node(client: Client) -> None:
    assert await client.result("machine") == {"machine": "testbed", "node": 1}


async def test_info_says_what_the_node_is_and_how_it_fares(run: Running, client: Client) -> None:
    info = await client.result("info")
    member = {
        "node": 1,
        "addr": "127.0.0.1:1",
        "role": "leader",
        "lag": 0,
        "alive": True,
        "waiting": None,
        "witness": False,
    }
    uptime = info.pop("uptime")
    limits = info.pop("limits")
    assert info == {
        "node": 1,
        "machine": "testbed",
        "cluster": run.directory.identity.cluster,
        "oldest_event": 1,
        "version": VERSION,
        "role": "leader",
        "leader": 1,
        "term": 1,
        "members": [member],
        "log_first": 0,
        "log_last": 5,
        "committed": 5,
        "applied": 5,
        "revision": 2,
        "counts": {"Folder": 1, "Root": 1},
        "sessions": 0,
        "engine": engine_name(),
        "durability": "fsync",
        "data_dir": str(run.directory.path),
        "waiting": None,
        "outlook": "no other node has this data: keep a copy of it elsewhere (snapshot.export)",
        "epoch": run.state.epochs.current,
        "refused": [],
    }
    assert uptime >= 0
    assert limits["max_page"] == 50
    assert limits["max_message_mb"] == 16


async def test_types_without_entities_are_not_counted(client: Client) -> None:
    await client.result("delete", id="/Root/a")
    assert (await client.result("info"))["counts"] == {"Root": 1}


async def test_sessions_are_counted(client: Client) -> None:
    await client.result("session.open")
    assert (await client.result("info"))["sessions"] == 1


async def test_the_digest_belongs_to_a_revision(run: Running, client: Client) -> None:
    first = await client.result("digest")
    index, rest = first.pop("index"), first.pop("rest")
    assert first == {"revision": 2, "digest": run.state.digest(), "checks": []}
    assert (index, rest) == (run.state.applied, msgspec.to_builtins(run.state.rest().digest()))
    await client.result("create", type="Folder", name="b")
    second = await client.result("digest")
    assert second["revision"] == 3
    assert second["digest"] != first["digest"]


async def test_a_page_is_bounded_by_the_setting(client: Client) -> None:
    answer = await client.ask("find", type="Folder", limit=51)
    assert answer["error"]["data"]["kind"] == "too_large"
    assert "50" in answer["error"]["message"]


async def test_a_long_read_is_answered_from_its_slices(client: Client) -> None:
    for n in range(200):
        last = client.send("create", type="Folder", name=f"f{n}")
    await until(lambda: last in client.answers)
    found: list[str] = []
    cursor = None
    while True:
        page = await client.result("find", type="Folder", limit=50, cursor=cursor)
        found += [item["name"] for item in page["items"]]
        cursor = page.get("cursor")
        if cursor is None:
            break
    assert found == ["a", *(f"f{n}" for n in range(200))]


async def test_pages_in_an_order_go_over_the_wire(client: Client) -> None:
    await client.result("create", type="Folder", name="b", fields={"Size": 1})
    await client.result("create", type="Folder", name="c", fields={"Size": 3})
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = await client.result("find", type="Folder", order_by=["Size:desc", "Name"], limit=1, cursor=cursor)
        seen += [item["name"] for item in page["items"]]
        cursor = page.get("cursor")
    assert (seen, cursor) == (["a", "c", "b"], None)


async def test_an_order_or_a_cursor_that_cannot_be_is_an_error_of_its_kind(client: Client) -> None:
    for kind, params in (
        ("not_found", {"order_by": ["Nope"]}),
        ("wrong_kind", {"order_by": ["Children"]}),
        ("bad_params", {"order_by": ["Size:up"]}),
        ("bad_params", {"order_by": "Size"}),
        ("bad_params", {"order_by": [1]}),
        ("too_large", {"order_by": ["Size"] * 10_000}),
        ("too_large", {"order_by": ["->".join(["Parent"] * 257)]}),
        ("bad_params", {"order_by": ["Size"], "cursor": "c.WzFd"}),
        ("bad_params", {"order_by": ["Size"], "cursor": "c." + "W" * 4_000_000}),
        ("too_large", {"limit": 2**62}),
        ("too_large", {"limit": 2**70}),
        ("bad_params", {"limit": -(2**62)}),
    ):
        assert await client.kind("find", **{"type": "Folder", "limit": 10, **params}) == kind, params


async def test_an_index_is_no_part_of_the_state(run: Running, client: Client) -> None:
    for n in range(1200):
        last = client.send("create", type="Folder", name=f"f{n}", fields={"Size": n})
    await until(lambda: last in client.answers)
    before = run.state.digest()
    for _ in range(3):
        page = await client.result("find", type="Folder", filter="Size == 700", order_by=["Name"], limit=9)
        assert [item["name"] for item in page["items"]] == ["f700"]
        assert await client.result("count", type="Folder", filter="Size == 700 && Name != 'x'") == {"count": 1}
    assert len(run.state.indexes.open) == 1
    assert run.state.digest() == before


PARAMS: dict[str, dict[str, Any]] = {
    "exists": {"id": 1},
    "get": {"id": "/Root/a"},
    "find": {"type": "Folder", "limit": 10},
    "count": {"type": "Folder"},
    "schema.get": {"type": "Folder"},
    "schema.complete": {"type": "Folder"},
    "field.get": {"type": "Folder", "field": "Size"},
    "field.exists": {"type": "Folder", "field": "Size"},
    "snapshot.upload": {"upload": "up", "offset": 0, "chunk": "{}"},
    "snapshot.plan": {"upload": "up"},
}
ROOT_ALONE = '{"tree": {"entityType": "Root", "Name": "Root"}}'
OF_A_CLUSTER = ("cluster.init", "cluster.transfer", "cluster.add", "cluster.remove", "cluster.promote")
"""No reads: see tests/server/test_cluster_api.py and tests/server/peers/test_member_changes.py."""
READS = sorted(
    name for name, method in METHODS.items() if not issubclass(method.params, Command) and name not in OF_A_CLUSTER
)
LISTENING = ("listen", "unlisten")
"""Reads of a connection: see test_watching.py."""


@pytest.mark.parametrize("method", [name for name in READS if name not in LISTENING])
async def test_every_read_of_the_api_is_carried_out(client: Client, method: str) -> None:
    await client.result("snapshot.upload", upload="up", offset=0, chunk=ROOT_ALONE)
    await client.result(method, **PARAMS.get(method, {}))


@pytest.mark.parametrize("consistency", ["linearizable", "leader", "local"])
async def test_one_node_answers_every_consistency_alike(client: Client, consistency: str) -> None:
    assert await client.result("exists", id="/Root/a", consistency=consistency) is True


async def test_a_dry_run_is_too_large_where_the_change_would_be(client: Client) -> None:
    labels = [f"l{number}" for number in range(100_001)]
    change = {"type": "Folder", "field": "Mood", "schema": {"dataType": "Choice", "choices": labels}}
    schema = {"entityType": "New", "fields": [{"name": "Mood", "dataType": "Choice", "choices": labels}]}
    for dry_run in (True, False):
        assert await client.kind("field.set", **change, dry_run=dry_run) == "too_large"
        assert await client.kind("schema.set", schema=schema, dry_run=dry_run) == "too_large"
