"""Requests of clients on any node of a cluster: three nodes on one log and links between them, all of it played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qcore.engine.base import ChangeDone
from qcore.model.errors import NoQuorum
from tests.server.fake_cluster import Cluster, cluster
from tests.server.running import Client, until
from tests.server.test_cluster_life import long_schema


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made


def create(client: Client, name: str, **params: Any) -> int:
    return client.send("create", type="Object", name=name, **params)


async def answers(client: Client, *ids: int) -> list[dict[str, Any]]:
    await until(lambda: set(ids) <= client.answers.keys())
    return [client.answers[id] for id in ids]


def data(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["error"]["data"]
    return found


async def at_the_leader(nodes: Cluster, count: int = 1) -> None:
    """Wait until so many entries are proposed, without a quorum that commits them."""
    await until(lambda: len(nodes.proposed) == count)


# -- writes --------------------------------------------------------------------------------------------------


async def test_a_write_through_one_node_is_read_through_another(nodes: Cluster) -> None:
    writer, reader = nodes.client(2), nodes.client(3)
    created = await writer.result("create", type="Object", name="x")
    assert await reader.result("exists", id=created["id"]) is True
    assert nodes.names(1) == nodes.names(3) == ["x"]


async def test_writes_of_one_turn_are_one_entry_of_the_log(nodes: Cluster) -> None:
    before = len(nodes.entries)
    sent = [create(nodes.client(2), name) for name in "abc"]
    await until(lambda: len(nodes.names(1)) == len(sent))
    assert len(nodes.entries) == before + 1


async def test_what_the_leader_refuses_is_refused_to_the_client_as_it_says(nodes: Cluster) -> None:
    answer = await nodes.client(2).ask("set", id=12345, field="Name", value="x")
    assert data(answer) == {"kind": "not_found", "applied": "no"}
    assert await nodes.client(2).kind("create", type="Nothing", name="x") == "not_found"


async def test_a_busy_leader_is_busy_to_the_clients_of_others(tmp_path: Path) -> None:
    async with cluster(tmp_path, max_pending=2) as nodes:
        nodes.quorum = False
        for _ in range(3):
            create(nodes.client(1), "x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        create(nodes.client(1), "y")
        create(nodes.client(1), "z")
        answer = await nodes.client(2).ask("create", type="Object", name="a")
        assert (data(answer)["kind"], data(answer)["applied"]) == ("busy", "no")


async def test_a_pipeline_is_read_where_it_is_applied_and_its_filters_are_parsed_there(nodes: Cluster) -> None:
    steps = [
        {"method": "create", "params": {"type": "Object", "name": "x"}},
        {"method": "count", "params": {"type": "Object", "filter": "Name == 'x'"}},
    ]
    client = nodes.client(2)
    await client.result("count", type="Object", filter="Name == 'x'")  # parsed here, and not at the leader
    first = client.send("pipeline", commands=steps)
    second = create(client, "y")
    (result, _) = await answers(client, first, second)
    assert result["result"][1]["result"]["count"] == 1
    assert nodes.names(1) == ["x", "y"]


async def test_a_long_write_goes_in_parts_and_is_done_once(nodes: Cluster) -> None:
    client = nodes.client(2)
    await client.result("schema.set", schema=long_schema(1_500_000))
    assert await nodes.client(3).result("field.exists", type="Long", field="Text") is True
    await until(lambda: not nodes.runs[2].node._proposals._parts)
    assert nodes.runs[1].state.staged.size == 0


async def test_a_document_restored_on_a_follower_goes_through_the_leader(nodes: Cluster) -> None:
    client = nodes.client(3)
    document = (await client.result("snapshot.export"))["chunk"]
    await client.result("create", type="Object", name="goes")
    await client.result("snapshot.upload", upload="u", offset=0, chunk=document)
    await client.result("snapshot.restore", upload="u", prune=True)
    assert nodes.names(1) == []


async def test_a_retried_restore_on_another_node_gets_the_first_answer_though_that_node_lags(nodes: Cluster) -> None:
    client, other = nodes.client(2), nodes.client(3)
    session = (await client.result("session.open"))["session"]
    document = (await client.result("snapshot.export"))["chunk"]
    await client.result("snapshot.upload", upload="u", offset=0, chunk=document)
    nodes.engines[3].lagging = True
    restore = {"upload": "u", "session": session, "seq": 1}
    first = await client.result("snapshot.restore", **restore)
    again = other.send("snapshot.restore", **restore)
    await asyncio.sleep(0.01)
    assert again not in other.answers
    nodes.catch_up()
    assert (await answers(other, again))[0]["result"] == first


# -- who leads -----------------------------------------------------------------------------------------------


async def test_writes_wait_for_a_leader_and_are_no_quorum_at_their_deadline(tmp_path: Path) -> None:
    async with cluster(tmp_path, leader=None) as nodes:
        answer = await nodes.client(2).ask("create", type="Object", name="x", timeout=0.05)
        assert data(answer) == {"kind": "no_quorum", "applied": "no", "elsewhere": True}
        waiting = create(nodes.client(2), "y")
        nodes.lead(3)
        await until(lambda: nodes.names(1) == ["y"])
        assert waiting


async def test_a_leader_that_cannot_be_reached_is_no_quorum_at_the_deadline(nodes: Cluster) -> None:
    nodes.cut(1, 2)
    answer = await nodes.client(2).ask("create", type="Object", name="x", timeout=0.1)
    assert data(answer) == {"kind": "no_quorum", "applied": "no", "elsewhere": True}
    client = nodes.client(2)
    waiting = create(client, "y")
    await asyncio.sleep(0.01)
    nodes.heal()
    assert "result" in (await answers(client, waiting))[0]
    assert nodes.names(2) == ["y"]


async def test_a_write_whose_answer_is_lost_is_unknown_and_never_sent_again(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = create(client, "x")
    await at_the_leader(nodes)
    nodes.cut(1, 2)
    (answer,) = await answers(client, sent)
    assert data(answer) == {"kind": "timeout", "applied": "unknown"}
    nodes.heal()
    nodes.quorum = True
    nodes.answer()
    await client.result("create", type="Object", name="y")
    assert nodes.names(1) == ["x", "y"]


async def test_a_numbered_write_whose_answer_is_lost_is_sent_again_and_done_once(nodes: Cluster) -> None:
    client = nodes.client(2)
    session = (await client.result("session.open"))["session"]
    nodes.quorum = False
    sent = create(client, "x", session=session, seq=1)
    await at_the_leader(nodes)
    nodes.cut(1, 2)
    await asyncio.sleep(0.01)
    assert sent not in client.answers
    nodes.heal()
    nodes.quorum = True
    nodes.answer()
    assert "result" in (await answers(client, sent))[0]
    assert nodes.names(1) == ["x"]


async def test_a_numbered_write_that_may_be_done_is_never_said_not_to_be(nodes: Cluster) -> None:
    client = nodes.client(2)
    session = (await client.result("session.open"))["session"]
    nodes.quorum = False
    sent = create(client, "x", session=session, seq=1, timeout=0.2)
    await at_the_leader(nodes)
    nodes.cut(1, 2)
    (answer,) = await answers(client, sent)
    assert (data(answer)["kind"], data(answer)["applied"]) == ("no_quorum", "unknown")


@pytest.mark.parametrize("tell_first", ["leader", "others"])
async def test_writes_that_were_not_appended_go_to_the_next_leader_in_their_order(
    nodes: Cluster, tell_first: Any
) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = []
    for name in "abcdefgh":
        sent.append(create(client, name))
        for _ in range(4):
            await asyncio.sleep(0)
    await at_the_leader(nodes, 3)
    nodes.quorum = True
    nodes.lead(3, "returned", tell_first=tell_first)
    sent.append(create(client, "i"))
    assert all("result" in answer for answer in await answers(client, *sent))
    assert nodes.names(1) == list("abcdefghi")


async def test_writes_at_the_leader_that_come_back_are_done_here_when_this_node_leads(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = [create(client, "a")]
    await at_the_leader(nodes)
    sent.append(create(client, "b"))
    nodes.quorum = True
    nodes.lead(2)
    sent.append(create(client, "c"))
    assert all("result" in answer for answer in await answers(client, *sent))
    assert nodes.names(1) == ["a", "b", "c"]


async def test_a_leader_that_leads_again_in_the_same_term_takes_writes_of_others(nodes: Cluster) -> None:
    """It had heard of no quorum for a moment, which was too short for an election."""
    client = nodes.client(2)
    await answers(client, create(client, "a"))
    leader = nodes.lapse()
    waiting = create(client, "b")
    await asyncio.sleep(0.01)
    nodes.regain(leader)
    second = create(client, "c")
    assert all("result" in answer for answer in await answers(client, waiting, second))
    assert nodes.names(1) == ["a", "b", "c"]


async def test_a_leader_that_leads_again_does_not_carry_out_what_it_was_sent_before(nodes: Cluster) -> None:
    """Else a write could be done behind one that its client sent later."""
    nodes.quorum = False
    client = nodes.client(2)
    first = create(client, "a")
    await at_the_leader(nodes)
    nodes.quorum = True
    nodes.lead(1, "returned")
    second = create(client, "b")
    assert all("result" in answer for answer in await answers(client, first, second))
    assert nodes.names(1) == ["a", "b"]


@pytest.mark.parametrize("fate", ["lost", "lost_but_there"])
async def test_of_a_write_that_is_lost_with_its_leader_nobody_knows(nodes: Cluster, fate: Any) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = create(client, "a")
    await at_the_leader(nodes)
    nodes.quorum = True
    nodes.lead(3, fate)
    (answer,) = await answers(client, sent)
    assert data(answer) == {"kind": "timeout", "applied": "unknown"}
    await client.result("create", type="Object", name="b")
    assert nodes.names(1) == (["a", "b"] if fate == "lost_but_there" else ["b"])


@pytest.mark.parametrize("node", [1, 2])
@pytest.mark.parametrize("fate", ["lost", "lost_but_there"])
async def test_a_numbered_write_that_is_lost_with_its_leader_is_done_once_by_the_next(
    nodes: Cluster, fate: Any, node: int
) -> None:
    client = nodes.client(node)
    session = (await client.result("session.open"))["session"]
    nodes.quorum = False
    sent = create(client, "a", session=session, seq=1)
    await at_the_leader(nodes)
    nodes.quorum = True
    nodes.lead(3, fate)
    assert "result" in (await answers(client, sent))[0]
    await client.result("create", type="Object", name="b")
    assert nodes.names(1) == ["a", "b"]


async def test_a_silent_leader_of_before_holds_nobody_up_for_long(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = nodes.client(2)
    session = (await client.result("session.open"))["session"]
    nodes.deaf.add(1)
    plain, numbered = create(client, "a"), create(client, "b", session=session, seq=1)
    await until(lambda: not nodes.runs[2].node._proposals._is_home)
    nodes.lead(3)
    later = create(client, "c")
    refused, done, last = await answers(client, plain, numbered, later)
    assert data(refused) == {"kind": "timeout", "applied": "unknown"}
    assert "result" in done
    assert "result" in last
    nodes.heal()
    await asyncio.sleep(0.01)
    assert nodes.names(1) == ["b", "c"]


async def test_a_batch_that_arrives_after_its_term_is_carried_out_by_nobody(nodes: Cluster) -> None:
    """The same node leads again when it comes: its client was told that nobody knows, and has gone on."""
    client = nodes.client(2)
    nodes.deaf.add(1)
    lost = create(client, "a")
    await until(lambda: not nodes.runs[2].node._proposals._is_home)
    nodes.late = True
    nodes.cut(1, 2)
    assert data((await answers(client, lost))[0])["applied"] == "unknown"
    nodes.lead(1)
    nodes.heal()
    await client.result("create", type="Object", name="b")
    await asyncio.sleep(0.01)
    assert nodes.names(1) == ["b"]


# -- the end -------------------------------------------------------------------------------------------------


async def test_a_stopping_node_waits_for_its_writes_at_the_leader(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = create(client, "a")
    await at_the_leader(nodes)
    stopping = asyncio.create_task(nodes.runs[2].node.stop(20))
    await asyncio.sleep(0.01)
    assert not stopping.done()
    nodes.quorum = True
    nodes.answer()
    await stopping
    assert "result" in client.answers[sent]


async def test_a_stop_ends_in_time_and_says_that_nobody_knows_of_what_is_at_the_leader(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = create(client, "a")
    await at_the_leader(nodes)
    await nodes.runs[2].node.stop(0.05)
    assert data(client.answers[sent])["applied"] == "unknown"


async def test_what_waits_at_a_leader_that_stops_is_done_by_the_next_one(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    sent = [create(client, "a")]
    await at_the_leader(nodes)
    stopping = asyncio.create_task(nodes.runs[1].node.stop(20))
    await asyncio.sleep(0)
    sent.append(create(client, "b"))
    await asyncio.sleep(0.01)
    nodes.quorum = True
    nodes.lead(3)
    assert all("result" in answer for answer in await answers(client, *sent))
    await stopping
    assert nodes.names(2) == ["a", "b"]


async def test_a_node_that_failed_sends_nothing_and_takes_nothing(nodes: Cluster) -> None:
    forwarding = nodes.runs[2].node.forwarding
    assert forwarding is not None
    assert forwarding.accepts()
    forwarding.abandon()
    assert not forwarding.accepts()
    nodes.lead(2)
    create(nodes.client(3), "a", timeout=0.1)
    await until(lambda: nodes.links[3].open)
    await asyncio.sleep(0.01)
    assert nodes.links[3].open


# -- reads ---------------------------------------------------------------------------------------------------


async def test_a_linearizable_read_waits_until_its_node_has_what_the_leader_has_committed(nodes: Cluster) -> None:
    nodes.engines[3].lagging = True
    created = await nodes.client(2).result("create", type="Object", name="x")
    reader = nodes.client(3)
    assert await reader.result("exists", id=created["id"], consistency="local") is False
    read = reader.send("exists", id=created["id"])
    await asyncio.sleep(0.01)
    assert read not in reader.answers
    nodes.catch_up()
    assert (await answers(reader, read))[0]["result"] is True


async def test_what_was_answered_through_a_node_is_seen_there_by_its_revision(nodes: Cluster) -> None:
    nodes.engines[2].lagging = True
    client = nodes.client(2)
    created = await client.result("create", type="Object", name="x")
    read = client.send("exists", id=created["id"], consistency="local", min_revision=created["revision"])
    await asyncio.sleep(0.01)
    assert read not in client.answers
    nodes.catch_up()
    assert (await answers(client, read))[0]["result"] is True


async def test_reads_that_wait_share_one_request_to_the_leader(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    reads = [client.send("exists", id=1) for _ in range(50)]
    await until(lambda: len(nodes._barriers) == 1)
    await asyncio.sleep(0.01)
    nodes.answer()
    await until(lambda: len(nodes._barriers) == 1)
    nodes.quorum = True
    nodes.answer()
    assert all(answer["result"] is True for answer in await answers(client, *reads))


async def test_reads_wait_for_a_leader_and_find_the_next_one(nodes: Cluster) -> None:
    nodes.quorum = False
    client = nodes.client(2)
    read = client.send("exists", id=1)
    await until(lambda: nodes._barriers)
    nodes.lose_leader()
    await asyncio.sleep(0.01)
    assert read not in client.answers
    nodes.quorum = True
    nodes.lead(3)
    assert (await answers(client, read))[0]["result"] is True


async def test_a_read_without_a_leader_is_no_quorum_at_its_deadline_and_says_to_go_elsewhere(nodes: Cluster) -> None:
    nodes.lose_leader()
    answer = await nodes.client(2).ask("exists", id=1, timeout=0.05)
    assert data(answer) == {"kind": "no_quorum", "elsewhere": True}
    assert "error" in await nodes.client(2).ask("schema.set", schema=long_schema(1), dry_run=True, timeout=0.05)


async def test_a_read_of_leader_consistency_needs_no_quorum_and_waits_for_the_log_all_the_same(nodes: Cluster) -> None:
    nodes.engines[3].lagging = True
    created = await nodes.client(2).result("create", type="Object", name="x")
    nodes.quorum = False
    for node in (1, 2):
        assert await nodes.client(node).result("exists", id=created["id"], consistency="leader") is True
    client = nodes.client(3)
    read = client.send("exists", id=created["id"], consistency="leader")
    await asyncio.sleep(0.01)
    assert read not in client.answers
    nodes.catch_up()
    assert (await answers(client, read))[0]["result"] is True


async def test_local_answers_tell_revision_and_age(nodes: Cluster) -> None:
    client = nodes.client(2)
    created = await client.result("create", type="Object", name="x")
    found = await client.result("get", id=created["id"], consistency="local", min_revision=created["revision"])
    assert (found["revision"], found["age"]) == (created["revision"], 0.0)
    nodes.lose_leader()
    for method, params in (("find", {"type": "Object"}), ("count", {"type": "Object"}), ("types", {}), ("digest", {})):
        answer = await client.result(method, **params, consistency="local")
        assert (answer["revision"], answer["age"]) == (created["revision"], 1.5), method
    assert (await client.result("listen", target="Object", consistency="local"))["age"] == 1.5
    nodes.lead(1)
    assert "age" not in await client.result("get", id=created["id"])


async def test_a_listener_on_a_node_that_lags_begins_behind_what_was_answered_elsewhere(nodes: Cluster) -> None:
    nodes.engines[3].lagging = True
    await nodes.client(2).result("create", type="Object", name="x")
    client = nodes.client(3)
    listening = client.send("listen", target="Object", initial=True)
    await asyncio.sleep(0.01)
    assert listening not in client.answers
    nodes.catch_up()
    (answer,) = await answers(client, listening)
    told = await client.told(answer["result"]["token"], 1)
    assert any(event["kind"] == "initial" for event in told)


async def test_a_listener_goes_on_from_a_revision_that_its_node_does_not_have_yet(nodes: Cluster) -> None:
    nodes.engines[3].lagging = True
    created = await nodes.client(2).result("create", type="Object", name="x")
    epoch = (await nodes.client(1).result("info"))["epoch"]
    client = nodes.client(3)
    since = {"since": created["revision"], "epoch": epoch}
    waiting = [client.send("listen", target="Object", **since, consistency=each) for each in ("linearizable", "local")]
    await asyncio.sleep(0.01)
    assert not client.answers
    nodes.catch_up()
    assert [answer["result"]["revision"] for answer in await answers(client, *waiting)] == [created["revision"]] * 2
    await nodes.client(2).result("create", type="Object", name="y")
    for answer in await answers(client, *waiting):
        told = await client.told(answer["result"]["token"], 1)
        assert all(event["revision"] > created["revision"] for event in told if event["kind"] != "bookmark")


async def test_a_cursor_of_an_epoch_that_a_node_has_not_applied_waits_for_it(nodes: Cluster) -> None:
    client = nodes.client(1)
    for name in "ab":
        await client.result("create", type="Object", name=name)
    nodes.engines[3].lagging = True
    nodes.lead(1)
    await nodes.client(1).result("create", type="Object", name="c")
    cursor = (await client.result("find", type="Object", limit=1))["cursor"]
    lagging = nodes.client(3)
    page = lagging.send("find", type="Object", limit=1, cursor=cursor, consistency="local")
    await asyncio.sleep(0.01)
    assert page not in lagging.answers
    nodes.catch_up()
    assert len((await answers(lagging, page))[0]["result"]["items"]) == 1


async def test_a_cursor_of_another_history_is_compacted_also_locally(nodes: Cluster, tmp_path: Path) -> None:
    async with cluster(tmp_path / "other", nodes=1) as others:
        client = others.client(1)
        for name in "ab":
            await client.result("create", type="Object", name=name)
        cursor = (await client.result("find", type="Object", limit=1))["cursor"]
    assert await nodes.client(2).kind("find", type="Object", cursor=cursor, consistency="local") == "compacted"
    nodes.lose_leader()
    kind = await nodes.client(2).kind("find", type="Object", cursor=cursor, consistency="local", timeout=0.05)
    assert kind == "no_quorum", "nobody can know"


# -- leadership ----------------------------------------------------------------------------------------------


async def test_who_follows_has_the_leader_hand_over(nodes: Cluster) -> None:
    assert await nodes.client(2).result("cluster.transfer", id=3) == {"leader": 3}
    assert nodes.leader == 3
    assert await nodes.client(2).result("cluster.transfer", id=2) == {"leader": 2}
    assert nodes.leader == 2


async def test_who_follows_says_why_the_leader_did_not_hand_over(nodes: Cluster) -> None:
    nodes.cut(1, 2)
    assert data(await nodes.client(2).ask("cluster.transfer", id=3))["kind"] == "no_quorum"
    nodes.heal()
    nodes.deaf.add(1)
    client = nodes.client(2)
    asked = client.send("cluster.transfer", id=2)
    await until(lambda: nodes.links[2].open)
    nodes.lead(3)
    nodes.deaf.clear()
    (answer,) = await answers(client, asked)
    assert data(answer) == {"kind": "no_quorum", "leader": 3, "elsewhere": True}
    assert nodes.leader == 3


async def test_writes_wait_while_leadership_is_handed_over_and_go_to_who_leads_then(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ChangeDone] = []
    monkeypatch.setattr(nodes.engines[1], "transfer", lambda node, done: asked.append(done))
    ordered, client = nodes.client(2), nodes.client(1)
    sent = ordered.send("cluster.transfer", id=3)
    await until(lambda: asked)
    before = len(nodes.entries)
    waiting = create(client, "a")
    await nodes.client(1).result("ping")
    assert (len(nodes.entries), nodes.proposed) == (before, [])
    asked[0](NoQuorum("node 3 does not answer"))
    assert data((await answers(ordered, sent))[0]) == {"kind": "no_quorum"}
    assert all("result" in answer for answer in await answers(client, waiting))
    sent = ordered.send("cluster.transfer", id=3)
    await until(lambda: asked[1:])
    waiting = create(client, "b")
    nodes.lead(3)
    asked[1](None)
    assert (await answers(ordered, sent))[0]["result"] == {"leader": 3}
    assert all("result" in answer for answer in await answers(client, waiting))
    assert nodes.names(2) == ["a", "b"]
