"""A node in a cluster that does its worst, against a plain model of what each client may be told.

The engine is played: leadership comes and goes, proposals are committed, come back or are lost, another leader writes,
answers forwarded calls or sends a snapshot, in any order that Raft allows. A second state, which applies the same log
and nothing else, is the truth.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import shutil
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qcore.disk.log.record import decode_body, encode_body
from qcore.disk.snapshot_files import SnapshotFile, SnapshotHeader
from qcore.model.entry import Entry, EntryBody, Logged, LogId
from qcore.model.errors import Timeout
from qcore.model.leader_commands import RunStaged
from qcore.model.requests.commands import Bootstrap, Create
from qcore.server.calls import Call
from qcore.server.runtime import budgets
from qcore.store.apply import Outcome, apply_entry
from qcore.store.state.entity import NAME
from qcore.store.state.snapshot_lines import StateSnapshot
from qcore.store.state.state import State
from tests.server.fake_engine import OTHER, FakeEngine, FakeForwarder
from tests.server.running import Client, until
from tests.server.test_cluster_life import Life, life

LONG = "x" * 200
"""Makes a name that travels in parts, with the budgets of this test."""

_decode_command: Callable[[str], Any] = msgspec.json.Decoder(Logged).decode


class Write:
    """One write as its client sees it: what it creates, and the answers to its attempts (None: not yet)."""

    def __init__(self, names: list[str], params: dict[str, Any]) -> None:
        self.names = names
        self.params = params
        self.attempts: dict[int, dict[str, Any] | None] = {}
        self.forwarded = False


class Person:
    """A client: its writes in the order it sent them, and its session."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.writes: list[Write] = []
        self.reads: dict[int, int] = {}
        """Ids of reads, and how many entities they must see at least."""
        self.others: list[int] = []
        """Ids of further calls."""
        self.session = 0
        self.seq = itertools.count(1)
        self.token: int | None = None


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="life"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(budgets, "LONG_COMMAND_BYTES", 150)
        self.patch.setattr(budgets, "COMMAND_PART_BYTES", 60)
        self.patch.setattr(budgets, "DEADLINE_SWEEP_SECONDS", 3600.0)
        self.names = itertools.count()
        self.shadow = State()
        self.mirrored = 0
        self.calls: list[weakref.ref[Call]] = []
        self.stack = AsyncExitStack()
        self.node: Life
        self.engine: FakeEngine
        self.people: list[Person] = []
        self.stopped = False

    @initialize(
        in_flight=st.integers(1, 4), file=st.booleans(), forwards=st.booleans(), most=st.sampled_from([100, 1 << 20])
    )
    def begin(self, in_flight: int, file: bool, forwards: bool, most: int) -> None:
        """With entries of 100 bytes the parts of a long write are in several of them."""

        async def begin() -> Life:
            schema_file = Bootstrap([], [], "cafe") if file else None
            return await self.stack.enter_async_context(life(self.folder, in_flight, schema_file=schema_file))

        self.node = self.run(begin())
        self.engine = self.node.engine
        self.node.run.node._proposals._max_entry = most
        self.forwarder = FakeForwarder(self.engine)
        if forwards:
            self.node.run.node._proposals.forwarder = self.forwarder
        self.people = [Person(self.node.run.client()) for _ in range(2)]
        self.settle()

    # -- the loop and the truth ----------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop; it counts as running between two steps, too, so that steps may be taken on it."""
        asyncio._set_running_loop(None)
        try:
            return self.loop.run_until_complete(work)
        finally:
            asyncio._set_running_loop(self.loop)

    def settle(self) -> None:
        """Let everything happen that needs no engine, and the truth follow."""

        async def settled() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            await until(lambda: self.node.run.node._applier.idle)
            for _ in range(5):
                await asyncio.sleep(0)

        self.mirror()
        self.run(settled())
        assert self.node.run.fatal == []

    def mirror(self) -> list[Outcome]:
        """Apply what was committed to the truth; the last entry's outcomes."""
        outcomes: list[Outcome] = []
        while self.mirrored < len(self.engine.entries):
            outcomes = self.apply(self.engine.entries[self.mirrored])
            self.mirrored += 1
        return outcomes

    def apply(self, entry: Entry) -> list[Outcome]:
        body = decode_body(encode_body(entry.body), "")
        if body.membership is not None:
            self.membership = body.membership, entry.id
        return list(apply_entry(self.shadow, Entry(entry.id, body)))

    def commands(self, *commands: Any) -> EntryBody:
        return EntryBody(self.shadow.level, time.time_ns(), "commands", list(commands))

    @property
    def leads(self) -> bool:
        return bool(self.engine.status().leader == 1)

    # -- clients -------------------------------------------------------------------------------------------

    def new_name(self, long: bool = False) -> str:
        return f"n{next(self.names)}" + (LONG if long else "")

    def send(self, person: Person, write: Write) -> None:
        write.attempts[person.client.send(**write.params)] = None
        self.settle()

    @rule(who=st.integers(0, 1), long=st.booleans(), hurried=st.sampled_from([False, False, True]))
    def create(self, who: int, long: bool, hurried: bool) -> None:
        name = self.new_name(long)
        params: dict[str, Any] = {"method": "create", "type": "Object", "name": name}
        if hurried:
            params["timeout"] = 0.001
        self.people[who].writes.append(Write([name], params))
        self.send(self.people[who], self.people[who].writes[-1])

    @rule(who=st.integers(0, 1), long=st.booleans())
    def pipeline(self, who: int, long: bool) -> None:
        names = [self.new_name(long), self.new_name()]
        steps = [{"method": "create", "params": {"type": "Object", "name": name}} for name in names]
        self.people[who].writes.append(Write(names, {"method": "pipeline", "commands": steps}))
        self.send(self.people[who], self.people[who].writes[-1])

    @precondition(lambda self: self.leads and not self.engine.proposed and self.forwarder.idle)
    @rule(who=st.integers(0, 1))
    def open_session(self, who: int) -> None:
        person = self.people[who]
        id = person.client.send("session.open")
        for _ in range(20):
            self.engine.commit()
            self.settle()
            if id in person.client.answers:
                person.session = person.client.answers[id]["result"]["session"]
                person.seq = itertools.count(1)
                return
        raise AssertionError("a leader whose entries are all committed has to answer")

    @precondition(lambda self: any(person.session for person in self.people))
    @rule(who=st.integers(0, 1), long=st.booleans())
    def numbered(self, who: int, long: bool) -> None:
        person = self.people[who]
        if person.session:
            name, number = self.new_name(long), {"session": person.session, "seq": next(person.seq)}
            person.writes.append(Write([name], {"method": "create", "type": "Object", "name": name, **number}))
            self.send(person, person.writes[-1])

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """Send a numbered write again, whatever came of it."""
        sent = [(person, write) for person in self.people for write in person.writes if "seq" in write.params]
        if sent:
            self.send(*data.draw(st.sampled_from(sent)))

    @rule(who=st.integers(0, 1), local=st.booleans())
    def count(self, who: int, local: bool) -> None:
        person = self.people[who]
        floor = 0 if local else sum(self.created().values())
        id = person.client.send("count", type="Object", consistency="local" if local else "linearizable")
        person.reads[id] = floor
        self.settle()

    @rule(who=st.integers(0, 1))
    def take_snapshot(self, who: int) -> None:
        self.people[who].others.append(self.people[who].client.send("snapshot.take"))
        self.settle()

    @rule(who=st.integers(0, 1), initial=st.booleans())
    def listen(self, who: int, initial: bool) -> None:
        person = self.people[who]
        if person.token is None:
            id = person.client.send("listen", target="Object", initial=initial, consistency="local")
            self.settle()
            person.token = person.client.answers[id]["result"]["token"]

    # -- the cluster ---------------------------------------------------------------------------------------

    @rule()
    def time_passes(self) -> None:
        """Whatever is late is told so."""
        node = self.node.run.node

        async def sweep() -> None:
            await asyncio.sleep(0.002)
            node._proposals._sweep()
            node._applier._sweep()
            node.router.gate._sweep()

        self.run(sweep())
        self.settle()

    @rule(quorum=st.booleans())
    def quorum(self, quorum: bool) -> None:
        self.engine.quorum = quorum
        if quorum:
            self.engine.answer_barriers()
        self.settle()

    @rule(data=st.data())
    def lead(self, data: st.DataObject) -> None:
        self.resolve(data)
        self.engine.lead()
        self.settle()

    @rule(leader=st.sampled_from([None, 2]))
    def follow(self, leader: int | None) -> None:
        self.engine.follow(leader)
        self.settle()

    @precondition(lambda self: self.engine.proposed)
    @rule(count=st.integers(1, 4))
    def commit(self, count: int) -> None:
        self.engine.commit(min(count, len(self.engine.proposed)))
        self.settle()

    @precondition(lambda self: self.engine.proposed)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """The last proposals come back, in any order."""
        self.some_back(data)
        self.settle()

    def some_back(self, data: st.DataObject) -> None:
        keep = data.draw(st.integers(0, len(self.engine.proposed) - 1))
        while len(self.engine.proposed) > keep:
            self.engine.give_back_one(data.draw(st.integers(keep, len(self.engine.proposed) - 1)))

    @precondition(lambda self: self.engine.proposed)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Nobody knows of the proposals; the first of them may have made it."""
        self.all_lost(data)
        self.settle()

    def all_lost(self, data: st.DataObject) -> None:
        bodies = [proposal.body for proposal in self.engine.proposed]
        survive = data.draw(st.integers(0, len(bodies)))
        self.engine.lose()
        for body in bodies[:survive]:
            self.engine.deliver(body)

    def resolve(self, data: st.DataObject) -> None:
        """What is proposed comes to an end before another leader's entries."""
        if self.engine.proposed:
            data.draw(st.sampled_from([lambda _data: self.engine.commit(), self.some_back, self.all_lost]))(data)
        if self.engine.proposed:
            self.all_lost(data)
        self.settle()

    @precondition(lambda self: not self.leads)
    @rule(data=st.data())
    def another_writes(self, data: st.DataObject) -> None:
        self.resolve(data)
        self.engine.deliver(self.commands(Create("Object", self.new_name())))
        self.settle()

    @precondition(lambda self: self.forwarder.calls and not self.leads)
    @rule(data=st.data())
    def another_answers(self, data: st.DataObject) -> None:
        self.resolve(data)
        forwarded = self.forwarder.calls
        if not forwarded:
            return
        call = forwarded.pop(data.draw(st.integers(0, len(forwarded) - 1)))
        command = call.params
        if isinstance(command, RunStaged):
            if call.done:
                return
            parts = self.node.run.node._proposals.parts_of(call)
            assert parts is not None
            command = _decode_command("".join(text for text, _ in parts))
        self.engine.deliver(self.commands(command))
        (outcome,) = self.mirror()
        if data.draw(st.booleans()):
            call.fail(Timeout("the leader is gone", applied="unknown"))
        elif outcome.before is not None:
            (call.fail_raw if outcome.before.failed else call.answer)(outcome.before.raw)
        elif outcome.error is not None:
            call.fail(outcome.error)
        else:
            call.result(outcome.result)
        self.settle()

    @precondition(lambda self: self.forwarder.calls)
    @rule(data=st.data())
    def forwarded_comes_back(self, data: st.DataObject) -> None:
        """Some of the forwarded calls were appended nowhere."""
        chosen = data.draw(st.lists(st.sampled_from(self.forwarder.calls), unique_by=id))
        self.forwarder.calls = [call for call in self.forwarder.calls if call not in chosen]

        async def back() -> None:
            self.node.run.node._proposals.take_back(chosen)

        self.run(back())
        self.settle()

    @rule(data=st.data(), extra=st.integers(1, 2), times=st.integers(1, 2))
    def install(self, data: st.DataObject, extra: int, times: int) -> None:
        """Another leader commits what this node does not see, and sends its state; perhaps twice in a row."""
        if self.leads:
            self.engine.follow(2)
        bodies = [proposal.body for proposal in self.engine.proposed]
        absorbed = data.draw(st.integers(0, len(bodies)))
        for body in bodies[:absorbed]:
            self.unseen(body)
        self.engine.lose()
        behind = data.draw(st.booleans())

        async def install() -> None:
            for _ in range(times):
                for _ in range(extra):
                    self.unseen(self.commands(Create("Object", self.new_name())))
                found = self.snapshot()
                await self.engine.load(found)
                self.engine.install(found)
                if behind:
                    self.engine.deliver(self.commands(Create("Object", self.new_name())))
                    self.mirror()

        self.mirror()
        self.run(install())
        self.settle()

    def unseen(self, body: EntryBody) -> None:
        """Commit an entry that this node does not hear of."""
        self.apply(Entry(LogId(self.engine.status().term, OTHER, self.engine._next), body))
        self.engine._next += 1

    def snapshot(self) -> SnapshotFile:
        """The truth as a file."""
        state = StateSnapshot(self.shadow)
        header = SnapshotHeader(
            last=LogId(self.engine.status().term, OTHER, self.shadow.applied),
            membership=self.membership[0],
            membership_id=self.membership[1],
            feature=self.shadow.level,
            time=self.shadow.time,
            revision=state.revision,
            digest=state.digest,
            counts=state.counts,
        )
        writer = self.node.run.directory.snapshots.begin(header, int(time.time()))
        writer.write(b"".join(state.pieces()))
        state.release()
        found: SnapshotFile = writer.finish()
        return found

    # -- what has to hold ----------------------------------------------------------------------------------

    def created(self) -> Counter[str]:
        return Counter(str(entity.values[NAME]) for entity in self.shadow.entities.values())

    @invariant()
    def the_state_is_the_truth(self) -> None:
        if hasattr(self, "node"):
            state = self.node.run.state
            assert (state.applied, state.revision, state.digest()) == (
                self.shadow.applied,
                self.shadow.revision,
                self.shadow.digest(),
            )
            ids = self.engine.applied_ids
            indexes = [each.index for each in ids]
            assert indexes == sorted(set(indexes))
            assert ids[-1].index == self.shadow.applied

    @invariant()
    def clients_are_told_the_truth(self) -> None:
        if not hasattr(self, "node"):
            return
        created = self.created()
        assert max(created.values()) == 1
        for person in self.people:
            answered = Counter(message["id"] for message in person.client.messages if "id" in message)
            assert all(count == 1 for count in answered.values())
            for write in person.writes:
                self.check_write(person, write, created)
            self.check_order(person)
            for id, floor in person.reads.items():
                answer = person.client.answers.get(id)
                if answer is not None and "result" in answer:
                    assert answer["result"]["count"] >= floor
            self.check_events(person)

    def check_write(self, person: Person, write: Write, created: Counter[str]) -> None:
        """A result means done, `no` not done by this attempt, and whatever is told done is done once."""
        there = [created[name] for name in write.names]
        assert len(set(there)) == 1
        for id in write.attempts:
            write.attempts[id] = answer = person.client.answers.get(id)
            if answer is not None and "result" in answer:
                assert there[0] == 1
        errors = [{} if answer is None else answer.get("error", {}) for answer in write.attempts.values()]
        refused = [error.get("data", {}).get("applied") == "no" for error in errors]
        if all(refused):
            assert there[0] == 0
        assert self.stopped or "timeout" in write.params or not any(refused), "nothing speaks against this write"

    def check_order(self, person: Person) -> None:
        """What one client wrote without another node's help is in the order it was sent."""
        ids = []
        for write in person.writes:
            (first, *more) = write.attempts.values()
            if first is not None and "result" in first and not more and write not in self.went_elsewhere(person):
                result = first["result"]
                ids.append(result[0]["result"]["id"] if isinstance(result, list) else result["id"])
        assert ids == sorted(ids)

    def went_elsewhere(self, person: Person) -> list[Write]:
        return person.writes if self.node.run.node._proposals.forwarder is not None else []

    def check_events(self, person: Person) -> None:
        """A listener hears of each entity once and in order, until it is lost for a reason that there is."""
        if person.token is None:
            return
        events = [event for event in person.client.events if event["token"] == person.token]
        told = [event["id"] for event in events if event["kind"] == "created"]
        assert told == sorted(set(told))
        if any(event["kind"] == "lost" for event in events):
            assert events[-1]["kind"] == "lost"
            assert events[-1]["reason"] == "compacted"
            person.token = None

    # -- the end -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if hasattr(self, "node"):
                self.run(self.end())
        finally:
            asyncio._set_running_loop(None)
            self.patch.undo()
            self.loop.close()
            shutil.rmtree(self.folder)

    async def ends_well(self) -> None:
        """The node leads in the end: then everybody is answered."""
        self.engine.lose()
        self.engine.lead()
        self.node.run.node._proposals.take_back(self.forwarder.back())
        self.engine.quorum = True
        self.engine.answer_barriers()

        def all_answered() -> bool:
            self.engine.commit()
            self.mirror()
            return all(
                id in person.client.answers
                for person in self.people
                for id in [*person.reads, *person.others, *(id for write in person.writes for id in write.attempts)]
            )

        for _ in range(500):
            if all_answered():
                break
            await asyncio.sleep(0.001)
        else:
            raise AssertionError("somebody is not answered")
        self.clients_are_told_the_truth()

    async def end(self) -> None:
        """Stop the node as it is: every call has its answer then, and nothing is left of any."""
        node = self.node.run.node
        if len(self.people[0].writes) % 2:
            await self.ends_well()
        self.stopped = True
        await node.stop(0.01)
        for person in self.people:
            sent = {id for write in person.writes for id in write.attempts} | person.reads.keys() | set(person.others)
            assert sent <= person.client.answers.keys()
        self.clients_are_told_the_truth()
        proposals = node._proposals
        assert proposals.idle
        assert len(node.router.gate) == 0
        for person in self.people:
            person.client.hang_up()
        await until(lambda: not len(node._watch) and not node.state._pins)
        await self.stack.aclose()
        self.forwarder.back()
        gc.collect()


TestLife = Machine.TestCase
TestLife.settings = settings(
    derandomize=True,  # a commit that fails fails again; more examples find more
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
