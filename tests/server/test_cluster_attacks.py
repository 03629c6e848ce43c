"""A cluster's life at its worst: what comes in an order or at a moment that nobody thinks of first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from qcore.model.entry import EntryBody
from qcore.model.requests.commands import Bootstrap, Create
from qcore.model.schema import EntitySchema
from tests.server.fake_engine import FakeForwarder
from tests.server.running import GatedFiles, running, until
from tests.server.test_cluster_life import Life, digest, donated, life, long_schema, lost


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as made:
        yield made


async def commit_until_answered(node: Life, *ids: int) -> None:
    async with asyncio.timeout(10):
        while not set(ids) <= node.client.answers.keys():
            node.engine.commit()
            await asyncio.sleep(0)


# -- the set-up of a leadership ------------------------------------------------------------------------------


async def test_a_step_of_the_set_up_that_comes_back_is_proposed_again_while_the_node_leads(tmp_path: Path) -> None:
    async with life(tmp_path, schema_file=Bootstrap([], [], "cafe")) as node:
        node.engine.lead()
        await node.in_flight(1)
        node.engine.give_back()
        await node.in_flight(1)
        await node.set_up()
        assert node.run.state.mark == "cafe"


async def test_a_step_of_the_set_up_of_which_nobody_knows_ends_no_node(tmp_path: Path) -> None:
    """The engine may say that a proposal is lost before it says that the lead is."""
    async with life(tmp_path, schema_file=Bootstrap([], [], "cafe")) as node:
        node.engine.lead()
        await node.in_flight(1)
        node.engine.lose()
        assert node.run.fatal == []
        await node.in_flight(1)
        node.engine.follow(2)
        node.engine.lose()
        assert node.run.fatal == []
        await node.led()
        assert node.run.state.mark == "cafe"


async def test_what_comes_back_of_an_earlier_leadership_is_not_proposed_in_the_next(node: Life) -> None:
    node.engine.lead()
    await node.in_flight(1)
    (old,) = node.engine.proposed
    node.engine.proposed.clear()
    node.engine.follow(2)
    node.engine.lead()
    await node.in_flight(1)
    node.engine.proposed.append(old)
    node.engine.give_back_one(1)
    await node.set_up()
    assert all(command is not old.body.commands[0] for entry in node.engine.entries for command in entry.body.commands)


async def test_a_schema_file_that_does_not_fit_ends_the_node_with_that_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = Bootstrap([EntitySchema("Sub", ["Nothing"], [])], [], "cafe")
    async with life(tmp_path, schema_file=file) as node:
        node.engine.lead()
        while not node.run.fatal:
            await node.in_flight(1)
            applied = len(node.engine.applied_ids)
            node.engine.commit()
        (fatal,) = node.run.fatal
        assert fatal.exit_code == 2
        assert len(node.engine.applied_ids) == applied
    assert "apply_failed" not in [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]


async def test_a_schema_file_that_another_leader_loaded_is_not_said_to_be_loaded_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = Bootstrap([], [], "cafe")
    async with life(tmp_path, schema_file=file) as node:
        node.engine.lead()
        while not any(isinstance(each.body.commands[0], Bootstrap) for each in node.engine.proposed):
            node.engine.commit()
            await asyncio.sleep(0)
        node.engine.deliver(EntryBody(node.run.state.level, 0, "commands", [Bootstrap([], [], "beef")]))
        await node.set_up()
        assert node.run.state.mark == "beef"
    assert "schemas_loaded" not in [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]


# -- long writes ---------------------------------------------------------------------------------------------


async def test_a_long_write_that_comes_back_from_another_leader_is_staged_anew(node: Life) -> None:
    proposals = node.run.node._proposals
    forwarder = proposals.forwarder = FakeForwarder(node.engine)
    sent = node.client.send("schema.set", schema=long_schema())
    node.engine.follow(2)
    await until(lambda: forwarder.calls)
    (call,) = forwarder.calls
    assert proposals.parts_of(call)
    node.engine.lead()
    await node.set_up()
    proposals.take_back(forwarder.back())
    await commit_until_answered(node, sent)
    assert "result" in node.client.answers[sent]
    assert proposals.parts_of(call) is None


async def test_the_text_of_a_long_write_goes_when_the_other_leader_has_answered_it(node: Life) -> None:
    proposals = node.run.node._proposals
    forwarder = proposals.forwarder = FakeForwarder(node.engine)
    node.client.send("schema.set", schema=long_schema())
    node.engine.follow(2)
    await until(lambda: forwarder.calls)
    (call,) = forwarder.calls
    call.result({})
    await until(lambda: proposals.parts_of(call) is None)


async def test_nothing_is_kept_of_a_long_write_whose_parts_come_back_after_its_deadline(node: Life) -> None:
    await node.led()
    node.client.send("schema.set", schema=long_schema(), timeout=0.05)
    await until(lambda: node.engine.proposed)
    await until(lambda: node.client.answers)
    node.engine.follow(None)
    node.engine.give_back()
    await until(lambda: not node.run.node._proposals._parts)
    await until(lambda: node.run.node._proposals.idle)
    assert node.run.node._proposals._unstaged == set()


async def test_a_long_write_of_which_only_a_part_is_lost_is_staged_anew(tmp_path: Path) -> None:
    """What is lost of it does nothing by itself: the write was not proposed yet."""
    async with life(tmp_path, in_flight=1, max_entry_mb=1) as node:
        await node.led()
        sent = node.client.send("schema.set", schema=long_schema(2_500_000))
        await node.in_flight(1)
        node.engine.lose()
        node.create("a")
        await commit_until_answered(node, sent)
        assert "result" in node.client.answers[sent]


# -- the end -------------------------------------------------------------------------------------------------


async def test_a_stop_does_not_wait_once_the_last_proposal_is_lost(node: Life) -> None:
    await node.led()
    node.create("a")
    await node.in_flight(1)
    stopping = asyncio.create_task(node.run.node.stop(600))
    await asyncio.sleep(0)
    node.engine.lose()
    async with asyncio.timeout(20):
        await stopping


async def test_a_stop_does_not_wait_for_a_leader_who_is_lost_meanwhile(node: Life) -> None:
    await node.led()
    sent = node.create("a")
    await node.in_flight(1)
    stopping = asyncio.create_task(node.run.node.stop(600))
    await asyncio.sleep(0)
    node.engine.follow(None)
    node.engine.give_back()
    async with asyncio.timeout(20):
        await stopping
    assert node.client.answers[sent]["error"]["data"] == {"kind": "busy", "applied": "no", "elsewhere": True}


async def test_a_fatal_error_ends_a_stop_that_waits(node: Life) -> None:
    await node.led()
    node.create("a")
    await node.in_flight(1)
    stopping = asyncio.create_task(node.run.node.stop(600))
    await asyncio.sleep(0)
    node.run.node.abandon()
    async with asyncio.timeout(20):
        await stopping


async def test_the_engine_gets_no_snapshot_of_a_node_that_stops_and_is_told_so(node: Life) -> None:
    await node.led()
    await node.run.node.stop()
    assert await asyncio.wait_for(node.engine.build(), 10) is None


async def test_a_read_whose_barrier_is_answered_when_the_node_has_stopped_is_answered(node: Life) -> None:
    await node.led()
    node.engine.quorum = False
    read = node.client.send("exists", id=1, timeout=600)
    node.run.node.router.stop()
    (done,) = node.engine.barriers
    done(10_000, None)
    assert node.client.answers[read]["error"]["data"]["kind"] == "busy"


async def stalled(node: Life) -> tuple[int, Callable[[], bool]]:
    """A write that is committed behind an entry so long that its apply pauses, for ever; and what goes on with it."""
    steps: list[Callable[[], bool]] = []
    node.run.node.scheduler.add = steps.append  # type: ignore[assignment,method-assign]
    sent = node.create("a", timeout=0.05)
    await node.in_flight(1)
    long: list[Any] = [Create("Object", str(number)) for number in range(10_000)]
    node.engine.deliver(EntryBody(node.run.state.level, 0, "commands", long))
    node.engine.commit()
    return sent, steps[0]


async def test_a_write_that_is_committed_and_not_applied_by_the_end_is_answered(node: Life) -> None:
    await node.led()
    sent, _ = await stalled(node)
    await node.run.node.stop(0.01)
    assert node.client.answers[sent]["error"]["data"] == {"kind": "timeout", "applied": "unknown"}


async def test_a_write_that_is_committed_and_not_applied_by_its_deadline_is_answered_once(node: Life) -> None:
    await node.led()
    sent, step = await stalled(node)
    assert (await node.answers(sent))[0]["error"]["data"] == {"kind": "timeout", "applied": "unknown"}
    while step():
        pass
    assert node.names()[-1] == "a"
    assert len(node.client.messages) == 1


async def test_a_stop_ends_in_time_though_the_disk_hangs_under_a_snapshot(tmp_path: Path) -> None:
    files = GatedFiles()
    files.gated = "snapshot"
    async with running(tmp_path, files=files) as run:
        client = run.client()
        await client.result("create", type="Object", name="a")
        files.open.clear()
        taking = client.send("snapshot.take")
        await until(lambda: list((run.directory.path / "snapshots").iterdir()))
        begun = time.monotonic()
        await run.node.stop(0.2)
        assert client.answers[taking]["error"]["data"]["kind"] == "busy"
        hung = time.monotonic() - begun
        files.open.set()
        assert hung < 10, "it waited for the disk"


async def test_two_snapshots_in_a_row_under_everything_leave_nothing_behind(node: Life, tmp_path: Path) -> None:
    """Listeners in each phase of a catch-up, an export, a snapshot that is written and a long entry, all at once."""
    await node.led()
    rows: list[Any] = [Create("Object", f"n{number}" + "x" * 200) for number in range(3_000)]
    node.engine.deliver(EntryBody(node.run.state.level, 0, "commands", rows))
    await until(lambda: node.run.node._applier.idle)
    people = [node.run.client() for _ in range(10)]
    wishes: list[dict[str, Any]] = [
        {},
        {"initial": True},
        {"since": 1},
        {"field": "Parent->Name", "initial": True},
        {"filter": "Name.startsWith('n1')", "context": ["Name"], "since": 2},
    ]
    tokens = [
        (person, (await person.result("listen", target="Object", consistency="local", **wish))["token"])
        for person in people
        for wish in wishes * 10
    ]
    page = await node.client.result("snapshot.export", consistency="local")
    assert page["cursor"], "there is more of it"
    taking = node.client.send("snapshot.take")
    async with donated(node, tmp_path / "one", "xyz") as one, donated(node, tmp_path / "two", "xyzw") as two:
        node.engine.follow(2)
        node.engine.deliver(EntryBody(node.run.state.level, 0, "commands", rows))
        await node.engine.load(one)
        first = node.engine.install(one)
        await node.engine.load(two)
        await asyncio.gather(first, node.engine.install(two))
        for person, token in tokens:
            told = await lost(person, token)
            assert [event["kind"] for event in told].count("lost") == 1
            assert told[-1]["reason"] == "compacted"
        while "cursor" in page:
            page = await node.client.result("snapshot.export", cursor=page["cursor"], consistency="local")
        assert page["entities"] == 3_001
        await node.answers(taking)
        assert await digest(node.client) == two.header.digest
    for person in people:
        person.hang_up()
    await until(lambda: not len(node.run.node._watch))
    await until(lambda: node.run.node.scheduler._scheduled is False)
    assert node.run.node._watch._listeners.registry.trackers == {}
    assert node.run.node._watch._listeners._users == {}
