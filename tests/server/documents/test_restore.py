"""Snapshot documents through the API: export, upload, plan, restore, passwords, retries, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qcore.model.documents.password import verify_password
from qcore.model.leader_commands import RunStaged
from qcore.server.runtime import budgets
from qcore.store import fitting
from tests.server.running import Client, Running, request, running, until

FIELDS = [
    {"name": "Age", "dataType": "Int"},
    {"name": "Secret", "dataType": "String"},
    {"name": "Seen", "dataType": "Int", "storageScope": "Runtime"},
]


def document(*children: dict[str, Any]) -> str:
    return json.dumps(
        {
            "schemas": [{"entityType": "User", "fields": FIELDS}],
            "tree": {"entityType": "Root", "Name": "Root", "Children": list(children)},
        }
    )


def user(name: str, **fields: Any) -> dict[str, Any]:
    return {"entityType": "User", "Name": name, **fields}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


@pytest.fixture
def client(run: Running) -> Client:
    return run.client()


async def upload(client: Client, text: str, name: str = "up") -> str:
    await client.result("snapshot.upload", upload=name, offset=0, chunk=text)
    return name


async def exported(client: Client, **params: Any) -> str:
    page = await client.result("snapshot.export", **params)
    text = page["chunk"]
    while "cursor" in page:
        page = await client.result("snapshot.export", cursor=page["cursor"])
        text += page["chunk"]
    return str(text)


async def test_what_is_restored_is_exported_again(client: Client) -> None:
    text = document(user("a", Age=3), user("b", Secret="x"))
    done = await client.result("snapshot.restore", upload=await upload(client, text))
    assert done == {"changed": True, "revision": 1, "counts": {"set type": 1, "create": 2}}
    first = await exported(client)
    assert [child["Name"] for child in json.loads(first)["tree"]["Children"]] == ["a", "b"]
    again = await client.result("snapshot.restore", upload=await upload(client, first, "other"))
    assert again == {"changed": False, "revision": 1, "counts": {}}
    assert await exported(client) == first


async def test_a_plan_tells_what_a_restore_would_do_and_does_nothing(client: Client, run: Running) -> None:
    name = await upload(client, document(user("a", Age=3), user("b")))
    plan = await client.result("snapshot.plan", upload=name)
    assert plan["counts"] == {"set type": 1, "create": 2}
    assert [line["action"] for line in plan["lines"]] == ["set type", "create", "create"]
    assert plan["revision"] == run.state.revision == 0
    assert "more" not in plan
    short = await client.result("snapshot.plan", upload=name, limit=1)
    assert (len(short["lines"]), short["more"]) == (1, 2)
    done = await client.result("snapshot.restore", upload=name)
    assert done["counts"] == plan["counts"]
    assert (await client.result("snapshot.plan", upload=await upload(client, document(user("a", Age=3), user("b")))))[
        "lines"
    ] == []


async def test_a_restore_that_is_done_frees_its_upload_and_one_that_is_refused_does_not(client: Client) -> None:
    await client.result("snapshot.restore", upload=await upload(client, document(user("a"))))
    assert await client.kind("snapshot.plan", upload="up") == "not_found"
    await client.result("snapshot.restore", upload=await upload(client, document(user("a"))), timeout=20)
    deep: dict[str, Any] = {"entityType": "User", "Name": "x"}
    for _ in range(110):
        deep = {"entityType": "User", "Name": "x", "Children": [deep]}
    name = await upload(client, document(deep))
    assert await client.kind("snapshot.restore", upload=name) == "too_large"
    assert await client.kind("snapshot.restore", upload=name) == "too_large"


async def test_a_plan_says_what_a_restore_would_of_types_that_no_entity_has_room_for(client: Client) -> None:
    fields = [{"name": f"F{number}", "dataType": "Int"} for number in range(10_001)]
    text = json.dumps(
        {
            "schemas": [{"entityType": "User", "fields": fields}],
            "tree": {"entityType": "Root", "Name": "Root"},
        }
    )
    name = await upload(client, text)
    planned = (await client.ask("snapshot.plan", upload=name))["error"]
    restored = (await client.ask("snapshot.restore", upload=name))["error"]
    assert planned == restored
    assert planned["message"].startswith("type User would have 10004 fields")


async def test_entities_that_go_need_no_room_in_a_plan(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.result("snapshot.restore", upload=await upload(client, document(user("a"), user("b"), user("c"))))
    wider = json.loads(document(user("a")))
    wider["schemas"][0]["fields"] = [*FIELDS, {"name": "New", "dataType": "Int"}]
    name = await upload(client, json.dumps(wider), "wider")
    monkeypatch.setattr(fitting, "MAX_GROWTH", 1)
    assert await client.kind("snapshot.plan", upload=name) == "too_large"
    assert (await client.result("snapshot.plan", upload=name, prune=True))["counts"] == {"set type": 1, "delete": 2}
    assert await client.kind("snapshot.restore", upload=name) == "too_large"
    assert (await client.result("snapshot.restore", upload=name, prune=True))["changed"]


async def test_a_document_that_no_store_could_take_is_refused_before_it_is_in_the_log(
    client: Client, run: Running
) -> None:
    last = run.directory.log.last
    deep: dict[str, Any] = user("x")
    for _ in range(110):
        deep = user("x", Children=[deep])
    for text, kind in (
        (document(deep), "too_large"),
        (document(user("a", Secret="x" * 9_000_000)), "bad_params"),
    ):
        name = await upload(client, text, kind)
        for method in ("snapshot.plan", "snapshot.restore"):
            error = (await client.ask(method, upload=name))["error"]
            assert error["data"].items() >= {"kind": kind, "applied": "no"}.items()
    assert run.directory.log.last == last


async def test_one_after_the_other_more_plans_are_made_than_uploads_are_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "UPLOADS", 4)
    for place in range(10):
        await client.result("snapshot.plan", upload=await upload(client, document(), f"n{place}"))


async def test_uploads_and_exports_end_with_their_connection(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "ORPHAN_SECONDS", 0.01)
    monkeypatch.setattr(budgets, "EXPORT_CHUNK_BYTES", 10)
    client = run.client()
    await upload(client, document())
    assert "cursor" in await client.result("snapshot.export")
    assert run.state._pins
    client.hang_up()
    await until(lambda: not run.state._pins)
    assert await run.client().kind("snapshot.plan", upload="up") == "not_found"


async def test_prune_goes_into_plan_and_restore(client: Client) -> None:
    await client.result("snapshot.restore", upload=await upload(client, document(user("a"), user("b"))))
    name = await upload(client, document(user("b")), "less")
    assert (await client.result("snapshot.plan", upload=name))["counts"] == {}
    assert (await client.result("snapshot.plan", upload=name, prune=True))["counts"] == {"delete": 1}
    assert (await client.result("snapshot.restore", upload=name, prune=True))["counts"] == {"delete": 1}
    assert await client.result("count", type="User") == {"count": 1}


@pytest.mark.parametrize("method", ["snapshot.plan", "snapshot.restore"])
async def test_all_problems_of_a_document_are_named_with_their_paths(client: Client, method: str) -> None:
    bad = document(user("a", Age="old"), user("b", Nope=1), {"entityType": "Ghost", "Name": "c"})
    answer = await client.ask(method, upload=await upload(client, bad))
    data = answer["error"]["data"]
    assert data["kind"] == "bad_params"
    assert data["applied"] == "no"
    paths = ["$.tree.Children[0].Age", "$.tree.Children[1].Nope", "$.tree.Children[2].entityType"]
    assert [problem["path"] for problem in data["problems"]] == paths


@pytest.mark.parametrize("method", ["snapshot.plan", "snapshot.restore"])
async def test_what_was_not_handed_in_is_not_found(client: Client, method: str) -> None:
    assert await client.kind(method, upload="nowhere") == "not_found"


async def test_the_lines_of_a_plan_are_bounded(client: Client) -> None:
    name = await upload(client, document())
    for limit in (0, -1, 10_001, 2**62):
        assert await client.kind("snapshot.plan", upload=name, limit=limit) == "bad_params"


async def test_passwords_are_hashed_before_they_are_logged(client: Client, run: Running) -> None:
    text = document(user("a", Secret="__hashpw__(open sesame)"))
    plan = await client.result("snapshot.plan", upload=await upload(client, text))
    assert plan["counts"]["create"] == 1
    await client.result("snapshot.restore", upload="up")
    stored = (await client.result("get", id="/Root/a"))["fields"]["Secret"]["value"]
    assert verify_password(stored, "open sesame")
    again = await client.result("snapshot.restore", upload=await upload(client, text, "again"))
    assert not again["changed"]
    assert all(b"sesame" not in path.read_bytes() for path in (run.directory.path / "logs").iterdir())


async def test_a_numbered_restore_is_answered_once_more_when_its_document_is_gone(client: Client, run: Running) -> None:
    session = (await client.result("session.open"))["session"]
    params = {"upload": await upload(client, document(user("a"))), "session": session, "seq": 1}
    first = await client.result("snapshot.restore", **params)
    assert await client.result("snapshot.restore", **params) == first
    assert await client.kind("snapshot.restore", **{**params, "prune": True}) == "not_found"
    await upload(client, document(user("a")))
    assert await client.kind("snapshot.restore", **{**params, "prune": True}) == "invalid_request"
    assert await client.result("snapshot.restore", **params) == first


async def test_a_large_document_travels_in_parts_and_is_one_write(client: Client, run: Running) -> None:
    text = document(*(user(f"n{place}", Secret="é" * 1000) for place in range(3000)))
    size = 0
    for begin in range(0, len(text), 300_000):
        answer = await client.result("snapshot.upload", upload="big", offset=size, chunk=text[begin : begin + 300_000])
        size = answer["size"]
    done = await client.result("snapshot.restore", upload="big")
    assert done["revision"] == 1
    assert await client.result("count", type="User") == {"count": 3000}
    commands = [c for entry in run.directory.log.read(0, 1000) for c in entry.body.commands]
    (commit,) = [command for command in commands if isinstance(command, RunStaged)]
    assert commit.parts > 5
    assert run.state.staged.size == 0


async def test_a_long_write_travels_in_parts(client: Client, run: Running) -> None:
    await client.result("snapshot.restore", upload=await upload(client, document(user("a"))))
    long = "é" * 700_000
    await client.result("set", id="/Root/a", field="Secret", value=long)
    assert (await client.result("get", id="/Root/a"))["fields"]["Secret"]["value"] == long
    commands = [c for entry in run.directory.log.read(0, 1000) for c in entry.body.commands]
    assert sum(isinstance(command, RunStaged) for command in commands) == 2


async def test_a_write_does_not_overtake_a_document_before_it_in_its_batch(client: Client) -> None:
    for name in ("up", "other"):
        await upload(client, document(user("a", Age=3)), name)
    batch = [
        request("snapshot.plan", 1, upload="up"),
        request("snapshot.restore", 2, upload="up"),
        request("create", 3, type="User", name="b", parent="/Root"),
        request("snapshot.restore", 4, upload="other", prune=True),
        request("create", 5, type="User", name="c", parent="/Root"),
    ]
    client.send_text(b"[" + b",".join(batch) + b"]")
    await until(lambda: 5 in client.answers)
    results = [client.answers[id]["result"] for id in (1, 2, 3, 4, 5)]
    assert results[0]["counts"] == results[1]["counts"] == {"set type": 1, "create": 1}
    assert [result["revision"] for result in results[1:]] == [1, 2, 3, 4]
    assert results[3]["counts"] == {"delete": 1}


async def test_a_request_that_is_not_through_by_its_deadline_is_answered_so(client: Client) -> None:
    name = await upload(client, document(*(user(f"n{place}") for place in range(3000))))
    assert await client.kind("snapshot.restore", upload=name, timeout=0.001) == "timeout"
    assert await client.kind("snapshot.plan", upload=name, timeout=0.000_001) == "timeout"
    assert await client.result("count", type="Root") == {"count": 1}


async def test_a_node_that_stops_says_so(run: Running, client: Client) -> None:
    name = await upload(client, document(user("a", Secret="__hashpw__(x)")))
    id = client.send("snapshot.restore", upload=name)
    await run.node.stop()
    await until(lambda: id in client.answers)
    assert client.answers[id]["error"]["data"]["kind"] == "busy"


async def test_a_plan_waits_for_the_revision_it_asks_for(run: Running, client: Client) -> None:
    up = await upload(client, document())
    late = await client.ask("snapshot.plan", upload=up, min_revision=run.state.revision + 1, timeout=0.01)
    assert late["error"]["data"]["kind"] == "timeout"
    plan = client.send("snapshot.plan", upload=up, min_revision=run.state.revision + 1)
    await client.result("schema.set", schema={"entityType": "Other", "fields": []})
    await until(lambda: plan in client.answers)
    assert client.answers[plan]["result"]["revision"] == run.state.revision
