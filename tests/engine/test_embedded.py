"""The engine of one node alone, on a real directory and on disks that hold back or fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.log.record import encode, encode_body
from qcore.disk.snapshot_files import SnapshotFile, SnapshotHeader
from qcore.engine.base import LoadDone, Proposal
from qcore.engine.embedded import NOTHING_TO_WAIT_FOR, EmbeddedEngine
from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId, Member, Membership, raft_node_id
from qcore.model.errors import DiskFailed, ExtensionMissing, Fatal, RequestError
from qcore.model.requests.commands import SessionOpen
from tests.server.running import DEADLINE, GatedFiles, until

SELF = raft_node_id(1, 0)
ADDR = "127.0.0.1:8080"


class Recorder:
    """A host that writes down what it hears."""

    def __init__(self) -> None:
        self.applies = True
        self.replayed: list[Entry] = []
        self.heard: list[Any] = []
        """Tokens of committed entries, "accepting" for each word that there is some."""
        self.entries: list[Entry] = []
        self.failures: list[Fatal] = []
        self.terms: list[int] = []
        self.rejections: list[tuple[Any, RequestError]] = []
        self.engine: EmbeddedEngine

    def replay(self, entry: Entry) -> None:
        self.replayed.append(entry)

    def committed(self, entry: Entry, token: Any) -> None:
        self.entries.append(entry)
        if token is not None:
            self.heard.append(token)
        if self.applies:
            self.engine.applied(entry.id)

    def rejected(self, token: Any, error: RequestError) -> None:
        self.rejections.append((token, error))

    def accepting(self) -> None:
        self.heard.append("accepting")

    def leading(self, term: int) -> None:
        self.terms.append(term)

    def following(self, leader: int | None, term: int) -> None:
        raise AssertionError("one node alone never follows")

    def returned(self, token: Any) -> None:
        raise AssertionError(f"{token} returned")

    def load(self, found: SnapshotFile, done: LoadDone) -> None:
        raise AssertionError("one node alone is sent no snapshot")

    def install(self, found: SnapshotFile, done: Callable[[], None]) -> None:
        raise AssertionError("one node alone is sent no snapshot")

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        raise AssertionError("one node alone sends no snapshot")

    def level(self) -> int:
        return FEATURE_LEVEL

    def failed(self, error: Fatal) -> None:
        self.failures.append(error)

    def tokens(self) -> list[Any]:
        return [token for token in self.heard if token != "accepting"]


class Bench:
    """Opens one node's directory again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory: Directory | None = None

    def open(self, files: GatedFiles | None = None) -> Directory:
        self.close()
        self.directory = Directory.open(self.folder, 1, files=files)
        return self.directory

    def recover(
        self, files: GatedFiles | None = None, slow_fsync: float = 3600.0, snapshot: SnapshotFile | None = None
    ) -> tuple[EmbeddedEngine, Recorder]:
        """Start, and do not run yet."""
        self.slow: list[float] = []
        engine = EmbeddedEngine(self.open(files), ADDR, slow_fsync, self.slow.append)
        host = Recorder()
        host.engine = engine
        engine.start(host, host.replay, snapshot)
        return engine, host

    async def start(
        self, files: GatedFiles | None = None, slow_fsync: float = 3600.0
    ) -> tuple[EmbeddedEngine, Recorder]:
        """Start, run, and wait until the node leads."""
        engine, host = self.recover(files, slow_fsync)
        engine.run()
        await until(lambda: host.terms)
        host.heard.clear()
        return engine, host

    def close(self) -> None:
        if self.directory is not None:
            self.directory.close()
            self.directory = None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def commands(time: int = 1) -> EntryBody:
    return EntryBody(FEATURE_LEVEL, time, "commands", [SessionOpen()])


def on_disk(directory: Directory) -> list[Entry]:
    return list(directory.log.read(0, 1_000_000))


def on_disk_above(directory: Directory) -> list[Entry]:
    """The entries above the purge mark."""
    assert directory.log.first is not None
    return list(directory.log.read(directory.log.first.index, 1_000_000))


async def prepared(bench: Bench) -> None:
    """Wait until files for the next entries lie ready."""
    assert bench.directory is not None
    stock = bench.directory.log.ready_files
    await until(lambda: stock.ready)


async def test_a_blank_disk_begins_with_the_membership_of_this_node_alone(bench: Bench) -> None:
    engine, host = await bench.start()
    await engine.stop(DEADLINE)
    first, blank = host.entries
    identity = bench.open().identity
    assert first.id == LogId(0, SELF, 0)
    assert first.body.membership == Membership([[SELF]], {SELF: Member(ADDR, identity.incarnation)})
    assert (blank.id, blank.body.kind) == (LogId(1, SELF, 1), "blank")
    assert len(identity.cluster) == 32


async def test_the_status_shows_a_node_that_leads_itself(bench: Bench) -> None:
    engine, _ = await bench.start()
    status = engine.status()
    await engine.stop(DEADLINE)
    assert (status.role, status.leader, status.term) == ("leader", 1, 1)
    assert (status.first, status.last, status.committed, status.in_flight) == (0, 1, 1, 0)


async def test_each_start_raises_the_term_by_a_durable_vote_and_opens_it_with_a_blank_entry(bench: Bench) -> None:
    for term in (1, 2, 3):
        engine, host = await bench.start()
        await engine.stop(DEADLINE)
        assert engine.status().term == term
        assert host.entries[-1].id == LogId(term, SELF, term)
        vote = bench.open().vote
        assert vote is not None
        assert (vote.term, vote.node, vote.committed) == (term, SELF, True)


async def test_the_cluster_id_stays_over_restarts(bench: Bench) -> None:
    seen = set()
    for _ in range(2):
        engine, _ = await bench.start()
        seen.add(engine.status().cluster)
        await engine.stop(DEADLINE)
    assert len(seen) == 1


async def test_a_restart_replays_every_entry_in_order(bench: Bench) -> None:
    engine, host = await bench.start()
    for time in (10, 20, 30):
        engine.propose(Proposal(commands(time), time))
        await until(engine.accepts_proposals)
    await engine.stop(DEADLINE)
    assert host.tokens() == [10, 20, 30]
    _, again = bench.recover()
    assert [entry.id.index for entry in again.replayed] == [0, 1, 2, 3, 4]
    assert [entry.body.time for entry in again.replayed[2:5]] == [10, 20, 30]


async def test_what_is_committed_is_on_disk(bench: Bench) -> None:
    engine, host = await bench.start()
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: host.tokens() == ["a"])
    path = bench.folder / "node_1/logs/2.json"
    assert path.read_bytes().rstrip(b" ") == encode(host.entries[-1].id, encode_body(host.entries[-1].body))
    await engine.stop(DEADLINE)


async def test_there_is_room_again_when_an_entry_was_stored_and_before_it_is_applied(bench: Bench) -> None:
    files = GatedFiles()
    engine, host = await bench.start(files)
    files.open.clear()
    assert engine.accepts_proposals()
    engine.propose(Proposal(commands(), "a"))
    assert not engine.accepts_proposals()
    await until(lambda: files.held)
    assert host.heard == []
    assert engine.status().in_flight == 1
    files.open.set()
    await until(lambda: "a" in host.heard)
    assert host.heard == ["accepting", "a"]
    await engine.stop(DEADLINE)


async def test_a_failed_fsync_is_told_once_and_nothing_succeeds_afterwards(bench: Bench) -> None:
    files = GatedFiles()
    engine, host = await bench.start(files)
    await prepared(bench)
    files.failing_in = "/logs/2.json"  # the thread that makes files ready may flush one just now
    files.failing = True
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: host.failures)
    files.failing = False
    assert not engine.accepts_proposals()
    engine.propose(Proposal(commands(), "b"))
    await asyncio.sleep(0)
    assert [type(failure) for failure in host.failures] == [DiskFailed]
    assert "2.json" in host.failures[0].message
    assert host.heard == []
    assert [entry.id.index for entry in on_disk(bench.open())] == [0, 1, 2], "a was written, b was not"


async def test_a_failed_preparation_of_files_is_as_fatal_and_told_once(bench: Bench) -> None:
    files = GatedFiles()
    files.open.clear()
    files.gated = files.failing_in = "/logs/7.json"  # among the first to be made ready, whatever is stored by then
    before = set(threading.enumerate())
    engine, host = await bench.start(files)
    await until(lambda: files.held)
    files.failing = True
    files.open.set()
    await until(lambda: host.failures)
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: before.issuperset(threading.enumerate()))
    await asyncio.sleep(0)
    assert [type(failure) for failure in host.failures] == [DiskFailed]
    assert "7.json" in host.failures[0].message
    assert host.heard == []


async def test_entries_are_purged_after_what_was_proposed_before(bench: Bench) -> None:
    files = GatedFiles()
    engine, host = await bench.start(files)
    await prepared(bench)
    assert bench.directory is not None
    bench.directory.log.max_spares = 0
    files.open.clear()
    engine.propose(Proposal(commands(), "a"))
    engine.purge(LogId(1, SELF, 2))
    assert engine.status().first == 0
    files.open.set()
    await until(lambda: host.tokens() == ["a"] and engine.status().first is None)
    assert engine.status().last == 2
    logs = bench.folder / "node_1/logs"
    await until(lambda: not (logs / "2.json").exists())
    engine.propose(Proposal(commands(), "b"))
    await engine.stop(DEADLINE)
    directory = bench.open()
    assert (directory.purged, directory.log.first) == (LogId(1, SELF, 2), LogId(1, SELF, 3))


async def test_an_entry_that_cannot_be_stored_for_another_reason_is_fatal_too(bench: Bench) -> None:
    engine, host = await bench.start()
    assert bench.directory is not None
    bench.directory.log.append(LogId(1, SELF, 2), encode(LogId(1, SELF, 2), encode_body(commands())))
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: host.failures)
    assert "index=2) cannot follow" in host.failures[0].message
    assert host.heard == []


async def test_stop_finishes_what_was_proposed_and_makes_the_marks_durable(bench: Bench) -> None:
    files = GatedFiles()
    engine, host = await bench.start(files)
    files.open.clear()
    engine.propose(Proposal(commands(), "a"))
    stopping = asyncio.ensure_future(engine.stop(DEADLINE))
    await until(lambda: files.held)
    assert not stopping.done()
    assert not engine.accepts_proposals()
    files.open.set()
    await stopping
    assert host.tokens() == ["a"]
    directory = bench.open()
    assert directory.committed == directory.stored == LogId(1, SELF, 2)


async def test_a_read_barrier_answers_at_once_as_what_was_answered_is_applied(bench: Bench) -> None:
    engine, _ = await bench.start()
    seen: list[tuple[int, RequestError | None]] = []
    engine.read_barrier(lambda index, error: seen.append((index, error)), 0.0)
    assert seen == [(NOTHING_TO_WAIT_FOR, None)]
    await engine.stop(DEADLINE)


async def test_slow_stores_are_told(bench: Bench) -> None:
    engine, host = await bench.start(slow_fsync=0.0)
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: len(bench.slow) == 3)
    assert host.tokens() == ["a"]
    assert min(bench.slow) > 0
    await engine.stop(DEADLINE)


def store_membership(directory: Directory, nodes: list[int]) -> None:
    """Make entry 0 that of a cluster of these Raft nodes."""
    members = {node: Member(f"127.0.0.1:{node}", "00" * 16) for node in nodes}
    body = EntryBody(FEATURE_LEVEL, 1, "membership", membership=Membership([nodes], members))
    directory.log.append(LogId(0, nodes[0], 0), encode(LogId(0, nodes[0], 0), encode_body(body)))


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ([SELF, raft_node_id(2, 0), raft_node_id(3, 0)], r"the nodes \[2, 3\]"),
        ([raft_node_id(2, 0)], r"the nodes \[2\]"),
        ([raft_node_id(1, 1)], rf"the nodes \[{raft_node_id(1, 1)}\]"),
    ],
    ids=["with others", "of another node", "of another disk of this node"],
)
def test_a_log_that_is_not_this_node_s_alone_is_refused(bench: Bench, nodes: list[int], named: str) -> None:
    store_membership(bench.open(), nodes)
    with pytest.raises(ExtensionMissing, match=named) as caught:
        bench.recover()
    assert caught.value.exit_code == 71
    assert [entry.id.index for entry in on_disk(bench.open())] == [0], "nothing was written"


def alone() -> Membership:
    return Membership([[SELF]], {SELF: Member(ADDR, "00" * 16)})


def loaded(term: int, index: int, membership: Membership) -> SnapshotFile:
    """A snapshot that was loaded, which leaves off there."""
    header = SnapshotHeader(
        LogId(term, SELF, index),
        membership,
        LogId(0, SELF, 0),
        FEATURE_LEVEL,
        1,
        revision=0,
        digest="0" * 32,
        counts={},
    )
    return SnapshotFile("snapshot_1.json", header, 0)


@pytest.mark.parametrize("last", [(1, 7), (0, 1)], ids=["the log ends below it", "another log led to it"])
async def test_a_snapshot_of_a_cluster_is_refused_and_the_log_left_as_it_was(
    bench: Bench, last: tuple[int, int]
) -> None:
    engine, _ = await bench.start()
    await engine.stop(DEADLINE)
    before = on_disk(bench.open())
    bench.close()
    nodes = [SELF, raft_node_id(2, 0)]
    members = {node: Member(f"127.0.0.1:{node}", "00" * 16) for node in nodes}
    with pytest.raises(ExtensionMissing, match=r"the nodes \[2\]"):
        bench.recover(snapshot=loaded(*last, Membership([nodes], members)))
    assert on_disk(bench.open()) == before
    assert bench.open().purged is None


@pytest.mark.parametrize("last", [(1, 7), (0, 1)], ids=["the log ends below it", "another log led to it"])
async def test_a_log_that_does_not_fit_the_snapshot_is_dropped_and_goes_on_after_it(
    bench: Bench, last: tuple[int, int]
) -> None:
    engine, _ = await bench.start()
    engine.propose(Proposal(commands(), "a"))
    await until(engine.accepts_proposals)
    await engine.stop(DEADLINE)
    engine, host = bench.recover(snapshot=loaded(*last, alone()))
    assert host.replayed == []
    assert engine.status().last == last[1]
    engine.run()
    await until(lambda: host.terms)
    await engine.stop(DEADLINE)
    directory = bench.open()
    assert directory.purged == LogId(last[0], SELF, last[1])
    assert [(entry.id, entry.body.kind) for entry in on_disk_above(directory)] == [
        (LogId(2, SELF, last[1] + 1), "blank")
    ]


async def test_a_log_that_fits_the_snapshot_is_replayed_behind_it(bench: Bench) -> None:
    engine, _ = await bench.start()
    for token in ("a", "b"):
        engine.propose(Proposal(commands(), token))
        await until(engine.accepts_proposals)
    await engine.stop(DEADLINE)
    _, host = bench.recover(snapshot=loaded(1, 2, alone()))
    assert [entry.id.index for entry in host.replayed] == [3]
    assert [entry.id.index for entry in on_disk(bench.open())] == [0, 1, 2, 3]


async def test_stop_ends_in_time_though_the_disk_hangs(bench: Bench) -> None:
    files = GatedFiles()
    engine, host = await bench.start(files)
    files.open.clear()
    engine.propose(Proposal(commands(), "a"))
    await until(lambda: files.held)
    assert not await engine.stop(0.01)
    assert [(token, error.data) for token, error in host.rejections] == [("a", {"applied": "unknown"})]
    before = host.heard[:]
    files.open.set()
    await until(lambda: "qcore-log" not in {thread.name for thread in threading.enumerate()})
    await asyncio.sleep(0)
    assert host.heard == before
    assert host.failures == []


async def test_the_last_membership_counts(bench: Bench) -> None:
    engine, _ = await bench.start()
    await engine.stop(DEADLINE)
    directory = bench.open()
    nodes = [SELF, raft_node_id(2, 0)]
    members = {node: Member(f"127.0.0.1:{node}", "00" * 16) for node in nodes}
    body = EntryBody(FEATURE_LEVEL, 1, "membership", membership=Membership([nodes], members))
    directory.log.append(LogId(1, SELF, 2), encode(LogId(1, SELF, 2), encode_body(body)))
    with pytest.raises(ExtensionMissing, match=r"the nodes \[2\]"):
        bench.recover()


async def test_a_later_disk_of_the_node_is_another_raft_node(bench: Bench) -> None:
    directory = bench.open()
    directory.save_identity(msgspec.structs.replace(directory.identity, generation=3))
    engine, host = await bench.start()
    await engine.stop(DEADLINE)
    assert {entry.id.node for entry in host.entries} == {raft_node_id(1, 3)}
    assert engine.status().leader == 1
