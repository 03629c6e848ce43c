"""A witness as its engine sees it: what it keeps of the log, of snapshots, and of a leadership."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.model.entry import EntryBody, LogId, raft_node_id
from qcore.model.errors import Fatal
from qcore.server.config.settings import Settings
from qcore.server.witness.node import WitnessNode
from qcore.store.state.state import State
from tests.cluster.linked import take_snapshot
from tests.disk.samples import Unsynced, append
from tests.server.fake_engine import OTHER, SELF, FakeEngine
from tests.server.running import DEADLINE


class Witness:
    """A running witness, its engine and its directory."""

    def __init__(self, folder: Path) -> None:
        self.directory = Directory.open(folder / "own", 1, files=Unsynced(), witness=True)
        self.engine = FakeEngine(self.directory)
        self.failures: list[Fatal] = []
        settings = Settings(witness=True, peers=("127.0.0.1:2",), max_log_files=10)
        state = State()
        self.node = WitnessNode(settings, state, self.engine, self.directory, "127.0.0.1:1", self.failures.append, None)
        self.asked: list[int] = []
        self.node.ask_snapshots_by(self.asked.append)
        self.node.start()
        self.node.run()
        self.engine.begin()

    def deliver(self, count: int) -> None:
        """Store and commit so many entries of a level that no version knows yet."""
        for _ in range(count):
            self.engine.deliver(EntryBody(99, 0, "commands"))

    async def offer(self, found: SnapshotFile) -> bool:
        """Offer a snapshot; whether it was taken over."""
        answered = asyncio.Event()
        self.node.offered(found, answered.set)
        async with asyncio.timeout(DEADLINE):
            await answered.wait()
        return self.directory.snapshots.holds(found)


@pytest.fixture
async def witness(tmp_path: Path) -> AsyncIterator[Witness]:
    found = Witness(tmp_path)
    yield found
    await found.node.stop()
    found.directory.close()
    assert found.failures == []


async def test_entries_are_passed_over_but_for_membership_and_level(witness: Witness) -> None:
    witness.deliver(3)
    assert [id.index for id in witness.engine.applied_ids] == [0, 1, 2, 3]
    state = witness.node.state
    assert (state.applied, state.level, state.revision, len(state.entities)) == (3, 99, 0, 1)
    membership = witness.node.membership()
    assert membership is not None
    assert membership.configs == [[SELF, OTHER]]


async def test_a_witness_that_leads_proposes_nothing(witness: Witness) -> None:
    witness.engine.lead()
    witness.engine.follow(2)
    witness.engine.lead()
    assert witness.engine.proposed == []
    assert not witness.node.leads_set_up()


async def test_a_received_snapshot_is_installed_by_its_header(witness: Witness, tmp_path: Path) -> None:
    found = take_snapshot(witness.directory.snapshots, 7, 10_000)  # whose lines are none of a state
    witness.directory.snapshots.found.clear()
    await witness.engine.load(found)
    await witness.engine.install(found)
    assert witness.node.state.applied == 7
    assert witness.node._snapshots.newest == found
    membership = witness.node.membership()
    assert membership is not None
    assert membership.configs == [[raft_node_id(1, 0)]]


async def test_a_snapshot_is_kept_if_it_is_of_what_is_committed_here_and_newer(witness: Witness) -> None:
    for index in range(9):
        append(witness.directory, index)
    folder = witness.directory.snapshots
    first, again, second, beyond = (take_snapshot(folder, index, 1000) for index in (4, 4, 6, 8))
    folder.found.clear()
    witness.deliver(6)
    assert not await witness.offer(beyond), "it is not committed here"
    assert await witness.offer(first)
    assert not await witness.offer(again)
    before = witness.engine.purged
    assert before is None, "the newest need not be the only one that is good"
    assert await witness.offer(second)
    assert witness.engine.taken == [first, second]
    assert witness.engine.purged == first.header.last


async def test_a_snapshot_of_another_log_is_not_kept(witness: Witness) -> None:
    for index in range(6):
        append(witness.directory, index, term=2)
    folder = witness.directory.snapshots
    other = take_snapshot(folder, 4, 1000)
    folder.found.clear()
    witness.deliver(5)
    assert witness.directory.log.log_id(4) != other.header.last == LogId(1, raft_node_id(1, 0), 4)
    assert not await witness.offer(other)


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


async def test_a_snapshot_that_is_damaged_is_not_kept(witness: Witness) -> None:
    for index in range(6):
        append(witness.directory, index)
    folder = witness.directory.snapshots
    damaged = take_snapshot(folder, 4, 10_000)
    folder.found.clear()
    witness.deliver(5)
    spoil(Path(damaged.path))
    assert not await witness.offer(damaged)
    assert witness.engine.taken == []
