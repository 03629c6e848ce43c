"""Documents that are handed in to one node and gone on with on another: three nodes with played links between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qcore.server.runtime import budgets
from tests.server.documents.test_restore import document, user
from tests.server.fake_cluster import Cluster, cluster
from tests.server.running import DEADLINE, Client, until

TEXT = document(user("ann", Age=7), user("bob", Secret="__hashpw__(geheim)"), user("é" * 50))


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


def pieces(text: str = TEXT, size: int = 40) -> list[tuple[int, str]]:
    """Chunks with their offsets in bytes."""
    found, offset = [], 0
    for begin in range(0, len(text), size):
        chunk = text[begin : begin + size]
        found.append((offset, chunk))
        offset += len(chunk.encode())
    return found


async def put(client: Client, offset: int, chunk: str, name: str = "up") -> int:
    return int((await client.result("snapshot.upload", upload=name, offset=offset, chunk=chunk))["size"])


async def names(client: Client) -> list[str]:
    return sorted(item["name"] for item in (await client.result("find", type="User"))["items"])


def kept(nodes: Cluster) -> list[int]:
    """The nodes that have the upload."""
    return [id for id, run in nodes.runs.items() if "up" in run.node._transfers.uploads]


async def test_the_rest_of_a_document_may_be_handed_in_to_other_nodes(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a load balancer that takes no account of who has asked before."""
    monkeypatch.setattr(budgets, "UPLOAD_PIECE_BYTES", 7)
    clients = [nodes.client(id) for id in (1, 2, 3)]
    for number, (offset, chunk) in enumerate(pieces()):
        node = number % 3
        assert await put(clients[node], offset, chunk) == offset + len(chunk.encode())
        await until(lambda node=node: kept(nodes) == [node + 1])  # type: ignore[misc]
    plan = await nodes.client(3).result("snapshot.plan", upload="up")
    assert plan["counts"]["create"] == 3
    restored = await nodes.client(2).result("snapshot.restore", upload="up")
    assert await names(nodes.client(1)) == ["ann", "bob", "é" * 50]
    assert restored["counts"]["create"] == 3
    assert kept(nodes) == []


async def test_what_was_planned_on_one_node_may_be_restored_on_another(nodes: Cluster) -> None:
    client = nodes.client(1)
    await put(client, 0, TEXT)
    await client.result("snapshot.plan", upload="up")
    client.hang_up()
    await nodes.client(3).result("snapshot.restore", upload="up")
    assert len(await names(nodes.client(2))) == 3


async def test_problems_of_a_document_are_the_same_on_another_node(nodes: Cluster) -> None:
    await put(nodes.client(1), 0, '{"tree": 5}')
    messages = set()
    for id in (1, 2, 3):
        answer = await nodes.client(id).ask("snapshot.plan", upload="up")
        messages.add(answer["error"]["message"])
    assert len(messages) == 1


async def test_chunks_that_are_sent_together_keep_their_order_while_the_text_comes(nodes: Cluster) -> None:
    first, *rest = pieces()
    await put(nodes.client(1), *first)
    client = nodes.client(2)
    sent = [client.send("snapshot.upload", upload="up", offset=offset, chunk=chunk) for offset, chunk in rest]
    await until(lambda: set(sent) <= client.answers.keys())
    assert [client.answers[id]["result"]["size"] for id in sent][-1] == len(TEXT.encode())


async def test_a_retry_of_a_numbered_restore_on_another_node_is_answered_as_the_first(nodes: Cluster) -> None:
    session = (await nodes.client(1).result("session.open"))["session"]
    numbered: dict[str, Any] = {"upload": "up", "session": session, "seq": 1}
    await put(nodes.client(2), 0, TEXT)
    first = await nodes.client(2).result("snapshot.restore", **numbered)
    await nodes.client(1).result("delete", id="/Root/ann")
    assert await nodes.client(3).result("snapshot.restore", **numbered) == first
    assert await names(nodes.client(3)) == ["bob", "é" * 50]


async def test_an_upload_on_a_node_that_cannot_be_reached_is_not_found_and_says_so(nodes: Cluster) -> None:
    await put(nodes.client(3), 0, TEXT)
    nodes.cut(2, 3)
    for answer in (
        await nodes.client(2).ask("snapshot.upload", upload="up", offset=9, chunk="x"),
        await nodes.client(2).ask("snapshot.restore", upload="up"),
    ):
        error = answer["error"]
        assert (error["data"]["kind"], error["data"]["upload"]) == ("not_found", "up")
        assert "that it reaches" in error["message"] or "that this one reaches" in error["message"]
    assert kept(nodes) == [3]


async def test_a_node_that_falls_silent_in_the_middle_leaves_the_upload_where_it_is(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "UPLOAD_PIECE_BYTES", 50)
    await put(nodes.client(3), 0, TEXT)
    client = nodes.client(2)
    sent = client.send("snapshot.plan", upload="up")
    await until(lambda: bool(nodes.links[2].open))
    nodes.cut(2, 3)
    await until(lambda: sent in client.answers)
    assert client.answers[sent]["error"]["data"]["kind"] == "not_found"
    nodes.heal()
    assert (await client.result("snapshot.plan", upload="up"))["counts"]["create"] == 3


async def test_there_must_be_room_where_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster(tmp_path) as nodes:
        await put(nodes.client(1), 0, TEXT)
        monkeypatch.setattr(budgets, "UPLOADS", 1)
        await put(nodes.client(2), 0, "{", "another")
        answer = await nodes.client(2).ask("snapshot.plan", upload="up")
        assert answer["error"]["data"]["kind"] == "busy"
        assert kept(nodes) == [1]


async def test_three_nodes_hand_a_long_document_on_over_their_links(tmp_path: Path) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    from tests.server.peers.nodes import trio

    text = document(*(user(f"user {number}", Age=number, Secret="x" * 2_000) for number in range(1_500)))
    async with trio(tmp_path) as nodes:
        await nodes.leader()
        first, second, third = (each.client() for each in nodes.nodes)
        half = len(text) // 2
        await put(first, 0, text[:half])
        first.hang_up()
        await put(second, half, text[half:])
        second.hang_up()
        assert (await third.result("snapshot.plan", upload="up", timeout=DEADLINE))["counts"]["create"] == 1_500
        await third.result("snapshot.restore", upload="up", timeout=DEADLINE)
        assert (await nodes.nodes[0].client().result("count", type="User"))["count"] == 1_500
        assert all("up" not in each.node._transfers.uploads for each in nodes.nodes)
