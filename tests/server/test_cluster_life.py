"""A cluster's life as one node sees it: leadership gained and lost, snapshots from elsewhere, no quorum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qcore.disk.snapshot_files import SnapshotFile, examine
from qcore.model.entry import EntryBody
from qcore.model.errors import Busy, Damaged, Fatal, QcoreError
from qcore.model.leader_commands import RunStaged, StagePart
from qcore.model.requests.commands import Bootstrap, Create
from tests.server.fake_engine import FakeEngine, FakeForwarder
from tests.server.running import Client, GatedFiles, Running, running, taker, until


class Life:
    """A node on an engine that the test plays."""

    def __init__(self, run: Running, engine: FakeEngine) -> None:
        self.run = run
        self.engine = engine
        self.client = run.client()

    async def led(self) -> Life:
        """Let the node lead, and wait until writes flow; from then on the test commits."""
        ready = self.run.ready
        self.engine.lead()
        await self.set_up(ready)
        return self

    async def set_up(self, ready: int = 0) -> None:
        """Commit what the leader proposes until writes flow, once more than `ready` times."""
        while self.run.ready == ready:
            await until(lambda: self.engine.proposed or self.run.ready > ready)
            if self.run.ready == ready:
                self.engine.commit()

    def create(self, name: str, **params: Any) -> int:
        return self.client.send("create", type="Object", name=name, **params)

    async def in_flight(self, count: int) -> None:
        await until(lambda: len(self.engine.proposed) == count)

    async def answers(self, *ids: int) -> list[dict[str, Any]]:
        await until(lambda: set(ids) <= self.client.answers.keys())
        return [self.client.answers[id] for id in ids]

    def names(self) -> list[str]:
        return [str(entity.values[0]) for id, entity in self.run.state.entities.items() if id > 1]


@asynccontextmanager
async def life(folder: Path, in_flight: int = 3, **settings: Any) -> AsyncIterator[Life]:
    engines: list[FakeEngine] = []

    def make(directory: Any) -> FakeEngine:
        engines.append(FakeEngine(directory, in_flight))
        return engines[0]

    async with running(folder, engine=make, wait=False, **settings) as run:
        engines[0].begin()
        yield Life(run, engines[0])


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as made:
        yield made


# -- leadership gained ---------------------------------------------------------------------------------------


async def test_without_a_leader_writes_wait_until_their_deadline_and_were_not_applied(node: Life) -> None:
    answer = await node.client.ask("create", type="Object", name="x", timeout=0.05)
    assert answer["error"]["data"] == {"kind": "no_quorum", "applied": "no", "elsewhere": True}
    not_ready = node.run.node.about.not_ready()
    assert not_ready is not None
    assert not_ready.name == "no_leader"


async def test_writes_that_waited_for_a_leader_are_done_when_there_is_one(node: Life) -> None:
    waiting = [node.create(name) for name in "abc"]
    await node.led()
    await node.in_flight(1)
    node.engine.commit()
    assert all("result" in answer for answer in await node.answers(*waiting))
    assert node.names() == ["a", "b", "c"]


async def test_a_leader_sets_up_its_leadership_before_writes_of_clients_flow(tmp_path: Path) -> None:
    file = Bootstrap([], [], "cafe")
    async with life(tmp_path, schema_file=file) as node:
        waiting = node.create("x")
        node.engine.lead()
        seen = []
        while not node.run.ready:
            await node.in_flight(1)
            seen += [type(command).__name__ for command in node.engine.proposed[0].body.commands]
            node.engine.commit()
        assert seen[-1] == "Bootstrap"
        assert "Create" not in seen
        await node.in_flight(1)
        node.engine.commit()
        await node.answers(waiting)


async def test_a_leadership_lost_while_it_is_set_up_is_set_up_anew_the_next_time(tmp_path: Path) -> None:
    async with life(tmp_path, schema_file=Bootstrap([], [], "cafe")) as node:
        node.engine.lead()
        await node.in_flight(1)
        node.engine.follow(None)
        node.engine.give_back()
        assert node.engine.proposed == []
        await node.led()
        assert node.run.state.mark == "cafe"
        assert node.run.fatal == []


async def test_reads_that_wait_for_the_schema_file_end_with_the_leadership_or_their_deadline(tmp_path: Path) -> None:
    async with life(tmp_path, schema_file=Bootstrap([], [], "cafe")) as node:
        assert await node.client.kind("exists", id=1, timeout=0.02) == "timeout"
        waiting = node.client.send("exists", id=1)
        node.engine.follow(2)
        assert (await node.answers(waiting))[0]["result"] is True


async def test_each_entry_that_is_applied_is_told_to_the_engine_in_order(node: Life) -> None:
    await node.led()
    for name in "ab":
        node.create(name)
        await node.in_flight(1)
        node.engine.commit()
    assert node.engine.applied_ids == [entry.id for entry in node.engine.entries]


async def test_what_is_applied_for_others_counts_as_activity(node: Life) -> None:
    before = node.run.node.last_activity
    node.engine.deliver(EntryBody(1, 0, "commands", [Create("Object", "x")]))
    assert node.run.node.last_activity > before


# -- leadership lost -----------------------------------------------------------------------------------------


async def test_proposals_that_come_back_are_proposed_again_in_their_order_and_done_once(node: Life) -> None:
    await node.led()
    sent = []
    for name in "abc":
        sent.append(node.create(name))
        await node.in_flight(len(sent))
    sent.append(node.create("d"))
    node.engine.follow(None)
    node.engine.give_back()
    sent.append(node.create("e"))
    await node.led()
    await until(lambda: node.engine.proposed)
    while node.engine.proposed:
        node.engine.commit()
        await asyncio.sleep(0)
    assert all("result" in answer for answer in await node.answers(*sent))
    assert node.names() == ["a", "b", "c", "d", "e"]


async def test_proposals_that_came_back_and_are_lost_again_keep_their_order(tmp_path: Path) -> None:
    async with life(tmp_path, in_flight=1) as node:
        await node.led()
        sent = [node.create("a")]
        await node.in_flight(1)
        sent += [node.create(name) for name in "bc"]
        for _ in range(2):
            node.engine.follow(None)
            node.engine.give_back()
            await node.led()
            await node.in_flight(1)
        while node.engine.proposed:
            node.engine.commit()
            await asyncio.sleep(0)
        await node.answers(*sent)
        assert node.names() == ["a", "b", "c"]


async def test_of_proposals_that_are_lost_nobody_knows(node: Life) -> None:
    await node.led()
    sent = node.create("a")
    await node.in_flight(1)
    node.engine.follow(2)
    node.engine.lose()
    (answer,) = await node.answers(sent)
    assert answer["error"]["data"] == {"kind": "timeout", "applied": "unknown"}


async def test_an_entry_that_is_committed_after_it_was_given_up_is_applied_and_not_answered_again(node: Life) -> None:
    await node.led()
    sent = node.create("a")
    await node.in_flight(1)
    lost = node.engine.proposed[0]
    node.engine.follow(2)
    node.engine.lose()
    await node.answers(sent)
    node.engine.deliver(lost.body)
    assert node.names() == ["a"]
    assert len(node.client.messages) == 1


async def test_a_proposal_past_its_deadline_is_answered_unknown_and_may_still_be_done(node: Life) -> None:
    await node.led()
    sent = node.create("a", timeout=0.01)
    await node.in_flight(1)
    (answer,) = await node.answers(sent)
    assert answer["error"]["data"] == {"kind": "timeout", "applied": "unknown"}
    node.engine.commit()
    assert node.names() == ["a"]


async def test_a_follower_hands_its_writes_to_the_leader(node: Life) -> None:
    forwarder = node.run.node._proposals.forwarder = FakeForwarder(node.engine)
    sent = [node.create("a"), node.create("b")]
    node.engine.follow(2)
    await until(lambda: forwarder.calls)
    calls = forwarder.calls
    assert [call.params.name for call in calls] == ["a", "b"]
    for call in calls:
        call.result({"id": 7, "revision": 9})
    assert [answer["result"]["id"] for answer in await node.answers(*sent)] == [7, 7]


async def test_writes_that_come_back_from_the_leader_wait_for_the_next_one(node: Life) -> None:
    forwarder = node.run.node._proposals.forwarder = FakeForwarder(node.engine)
    sent = [node.create("a")]
    node.engine.follow(2)
    await until(lambda: forwarder.calls)
    node.engine.follow(None)
    sent.append(node.create("b"))
    node.run.node._proposals.take_back(forwarder.back())
    await node.led()
    await node.in_flight(1)
    node.engine.commit()
    await node.answers(*sent)
    assert node.names() == ["a", "b"]


# -- long writes ---------------------------------------------------------------------------------------------


def long_schema(size: int = 1_200_000) -> dict[str, Any]:
    field = {"name": "Text", "dataType": "String", "default": "x" * size}
    return {"entityType": "Long", "inheritsFrom": ["Object"], "fields": [field]}


async def test_a_long_write_whose_parts_come_back_is_staged_anew_under_another_name(node: Life) -> None:
    await node.led()
    sent = node.client.send("schema.set", schema=long_schema())
    await until(lambda: node.engine.proposed)
    names = {
        command.stage
        for proposal in node.engine.proposed
        for command in proposal.body.commands
        if isinstance(command, StagePart)
    }
    assert len(names) == 1
    node.engine.follow(None)
    node.engine.give_back()
    await node.led()
    while sent not in node.client.answers:
        node.engine.commit()
        await asyncio.sleep(0)
    assert "result" in node.client.answers[sent]
    again = {
        command.stage
        for entry in node.engine.entries
        for command in entry.body.commands
        if isinstance(command, RunStaged | StagePart)
    }
    assert len(again) == 1
    assert not again & names
    assert node.run.state.staged.size == 0


# -- reads ---------------------------------------------------------------------------------------------------


async def test_reads_wait_for_the_barrier_and_local_ones_do_not(node: Life) -> None:
    await node.led()
    node.engine.quorum = False
    read = node.client.send("exists", id=1)
    assert await node.client.result("exists", id=1, consistency="local") is True
    assert read not in node.client.answers
    node.engine.answer_barriers()
    assert (await node.answers(read))[0]["result"] is True


async def test_a_barrier_that_no_quorum_answers_is_an_error_by_the_deadline(node: Life) -> None:
    await node.led()
    node.engine.quorum = False
    assert await node.client.kind("exists", id=1, timeout=0.02) == "no_quorum"


async def test_reads_without_a_leader_are_refused_at_their_deadline_and_local_ones_answered(node: Life) -> None:
    assert await node.client.kind("exists", id=1, timeout=0.05) == "no_quorum"
    assert await node.client.result("exists", id=1, consistency="local") is True


# -- the end -------------------------------------------------------------------------------------------------


async def test_a_node_without_quorum_stops_and_says_of_each_write_what_is_known(tmp_path: Path) -> None:
    async with life(tmp_path, in_flight=1) as node:
        await node.led()
        proposed = node.create("a")
        await node.in_flight(1)
        waiting = node.create("b")
        await node.run.node.stop(0.05)
        unknown, refused = await node.answers(proposed, waiting)
        assert unknown["error"]["data"] == {"kind": "timeout", "applied": "unknown"}
        assert refused["error"]["data"] == {"kind": "busy", "applied": "no", "elsewhere": True}


async def test_a_node_without_a_leader_refuses_what_waits_at_once_when_it_stops(node: Life) -> None:
    waiting = node.create("a")
    await node.run.node.stop(60)
    (refused,) = await node.answers(waiting)
    assert refused["error"]["data"] == {"kind": "busy", "applied": "no", "elsewhere": True}


async def test_after_a_failed_apply_nothing_is_applied_or_answered_and_the_engine_ends_at_once(
    node: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.led()
    sent = [node.create("a"), node.create("b")]
    await node.in_flight(1)

    def broken(*_args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("qcore.store.apply._Number", broken)
    monkeypatch.setattr("qcore.store.apply._apply", broken)
    node.engine.commit()
    monkeypatch.undo()
    node.engine.deliver(EntryBody(1, 0, "commands", [Create("Object", "later")]))
    assert [type(error) for error in node.run.fatal] == [Fatal]
    assert node.engine.abandoned
    assert node.names() == []
    assert not set(sent) & node.client.answers.keys()
    assert node.engine.applied_ids[-1] == node.engine.entries[-3].id


async def test_writes_that_expired_count_no_more_among_those_that_wait(tmp_path: Path) -> None:
    async with life(tmp_path, max_pending=2) as node:
        late = [node.create(name, timeout=0.01) for name in "ab"]
        assert [answer["error"]["data"]["kind"] for answer in await node.answers(*late)] == ["no_quorum"] * 2
        waiting = [node.create(name) for name in "cd"]
        assert not set(waiting) & node.client.answers.keys()
        assert await node.client.kind("create", type="Object", name="e") == "busy"


# -- snapshots -----------------------------------------------------------------------------------------------


async def test_the_engine_gets_a_snapshot_when_it_needs_one_and_hears_of_each(node: Life) -> None:
    await node.led()
    built = await node.engine.build()
    assert built is not None
    assert built.header.last == node.engine.entries[-1].id
    assert node.engine.taken == [built]
    assert await node.engine.build() == built, "nothing was applied since"
    assert node.engine.taken == [built]


@asynccontextmanager
async def donated(node: Life, folder: Path, names: str) -> AsyncIterator[SnapshotFile]:
    """The snapshot of another node that has entities of these names, received by `node`."""
    async with running(folder) as donor:
        client = donor.client()
        for name in names:
            await client.result("create", type="Object", name=name)
        taken = await client.result("snapshot.take")
        yield received(node, Path(taken["file"]))


def received(node: Life, file: Path, cut: int = 0) -> SnapshotFile:
    """The file as the node got it, without its last `cut` bytes."""
    target = node.run.directory.path / "snapshots" / file.name
    data = file.read_bytes()
    target.write_bytes(data[: len(data) - cut])
    return examine(str(target))


async def installed(node: Life, found: SnapshotFile) -> None:
    """Let a snapshot become the state."""
    await node.engine.load(found)
    await node.engine.install(found)


async def digest(client: Client) -> Any:
    return (await client.result("digest", consistency="local"))["digest"]


async def test_a_received_snapshot_replaces_the_state_and_the_log_goes_on_behind_it(node: Life, tmp_path: Path) -> None:
    node.engine.follow(2)
    node.engine.deliver(EntryBody(1, 0, "commands", [Create("Object", "mine")]))
    async with donated(node, tmp_path / "donor", "xyz") as found:
        await installed(node, found)
        assert await digest(node.client) == found.header.digest
        assert node.names() == ["x", "y", "z"]
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", [Create("Object", "next")]))
        assert node.names() == ["x", "y", "z", "next"]
        assert node.run.node._applier.membership == (found.header.membership, found.header.membership_id)
        assert found.header.last in node.engine.applied_ids
        assert (await node.engine.build()) is not None


async def test_a_snapshot_waits_for_what_is_committed_before_it_and_what_is_behind_waits_for_it(
    node: Life, tmp_path: Path
) -> None:
    node.engine.follow(2)
    async with donated(node, tmp_path / "donor", "x") as found:
        await node.engine.load(found)
        long: list[Any] = [Create("Object", str(number)) for number in range(5_000)]
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", long))
        over = node.engine.install(found)
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", [Create("Object", "next")]))
        assert not over.done()
        await over
        await until(lambda: node.names() == ["x", "next"])


async def lost(client: Client, token: int) -> list[dict[str, Any]]:
    """Wait until a listener is lost; all it was told."""

    def told() -> list[dict[str, Any]]:
        return [event for event in client.events if event["token"] == token]

    await until(lambda: any(event["kind"] == "lost" for event in told()))
    return told()


async def test_every_listener_is_lost_once_when_the_state_is_replaced(node: Life, tmp_path: Path) -> None:
    await node.led()
    other = node.run.client()
    tokens = [(await node.client.result("listen", target="Object", consistency="local"))["token"] for _ in range(2)]
    catching_up = (await other.result("listen", target="Object", initial=True, consistency="local"))["token"]
    path = (await other.result("listen", target="Object", field="Parent->Name", consistency="local"))["token"]
    node.create("a")
    await node.in_flight(1)
    node.engine.commit()
    before = node.run.state.revision
    await node.client.told(tokens[0], 1)
    async with donated(node, tmp_path / "donor", "xyz") as found:
        await installed(node, found)
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", [Create("Object", "next")]))
        for client, token in [(node.client, tokens[0]), (node.client, tokens[1]), (other, catching_up), (other, path)]:
            mine = await lost(client, token)
            assert [event["kind"] for event in mine].count("lost") == 1
            assert (mine[-1]["kind"], mine[-1]["reason"], mine[-1]["revision"] <= before) == ("lost", "compacted", True)
        assert len(node.run.node._watch) == 0
        again = await node.client.result("listen", target="Object", consistency="local")
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", [Create("Object", "heard")]))
        await node.client.told(again["token"], 1)
        assert node.run.node._watch._history.gone == found.header.revision


async def test_resuming_from_before_the_snapshot_is_compacted(node: Life, tmp_path: Path) -> None:
    node.engine.follow(2)
    async with donated(node, tmp_path / "donor", "xyz") as found:
        await installed(node, found)
        since = found.header.revision - 1
        assert await node.client.kind("listen", target="Object", since=since, consistency="local") == "compacted"


async def test_an_export_that_is_being_read_stays_what_it_was(node: Life, tmp_path: Path) -> None:
    await node.led()
    for name in "ab":
        node.create(name)
        await node.in_flight(1)
        node.engine.commit()
    view = node.run.state.pin()
    async with donated(node, tmp_path / "donor", "xyz") as found:
        await installed(node, found)
        node.engine.deliver(EntryBody(found.header.feature, 0, "commands", [Create("Object", "next")]))
        assert [view.entities[id].values[0] for id in view.ids("Object")] == ["a", "b"]
        view.release()
        assert node.names() == ["x", "y", "z", "next"]


async def test_reads_that_wait_for_the_log_are_answered_behind_the_snapshot(node: Life, tmp_path: Path) -> None:
    await node.led()
    async with donated(node, tmp_path / "donor", "xyz") as found:
        waiting = node.client.send("count", type="Object", consistency="local", min_revision=found.header.revision)
        await installed(node, found)
        assert (await node.answers(waiting))[0]["result"]["count"] == 4, "three and the Root"


async def test_a_snapshot_being_taken_is_given_up_for_a_newer_one_which_serves_who_waits(tmp_path: Path) -> None:
    files = GatedFiles()
    files.gated = "/snapshot_"
    async with life(tmp_path, files=files) as node, donated(node, tmp_path / "donor", "xyz") as found:
        await node.led()
        files.open.clear()
        taking = node.client.send("snapshot.take")
        built = node.engine.build()
        await until(lambda: files.held)
        await installed(node, found)
        assert (await node.answers(taking))[0]["result"]["index"] == found.header.last.index
        assert await built == found
        files.open.set()
        await taker(node.run.node).in_thread(int)
        assert node.engine.taken == []
        assert [path.name for path in (node.run.directory.path / "snapshots").iterdir()] == [Path(found.path).name]


async def test_a_damaged_snapshot_is_refused_before_anything_depends_on_it(node: Life, tmp_path: Path) -> None:
    node.engine.follow(2)
    async with donated(node, tmp_path / "donor", "xyz") as found:
        damaged = received(node, Path(found.path), cut=30)
        with pytest.raises(Damaged, match=found.path):
            await node.engine.load(damaged)
        assert node.run.fatal == []
        node.engine.deliver(EntryBody(1, 0, "commands", [Create("Object", "mine")]))
        assert node.names() == ["mine"]


async def test_a_snapshot_that_is_being_read_is_given_up_for_another_and_when_the_node_ends(
    node: Life, tmp_path: Path
) -> None:
    node.engine.follow(2)
    async with donated(node, tmp_path / "donor", "xyz") as found:
        heard: list[QcoreError | None] = []
        for _ in range(3):
            node.run.node.load(found, heard.append)
        node.engine.deliver(EntryBody(1, 0, "commands", [Create("Object", "mine")]))
        assert node.names() == ["mine"], "entries are applied meanwhile"
        await until(lambda: len(heard) == 3)
        assert [type(error) for error in heard] == [Busy, Busy, type(None)]
        await node.engine.install(found)
        assert node.names() == ["x", "y", "z"]
        node.run.node.load(found, heard.append)
        node.run.node.abandon()
        await until(lambda: len(heard) == 4)
        assert isinstance(heard[-1], Busy)
