"""The engine on OpenRaft for one node: its start, its stop, its disk, and directories of the embedded engine."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from qcore_openraft import IS_TORTURE_BUILD, Border

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.engine.base import Engine, Proposal
from qcore.engine.embedded import EmbeddedEngine
from qcore.engine.openraft.engine import OpenRaftEngine
from qcore.model.entry import FEATURE_LEVEL, EntryBody
from qcore.model.errors import DiskFailed, ExtensionMissing
from qcore.model.requests.commands import SessionOpen
from qcore.server.recovery import load, replay_entry
from tests.engine.openraft.cluster import FAST, PlainHost, clusters, raft_id
from tests.server.running import GatedFiles, running, until

STOPS = int(os.environ.get("QCORE_TEST_STOPS", "50"))
"""How often a node is stopped under load."""


def border() -> Border:
    return Border(raft_id(1), heartbeat_ms=50, election_min_ms=150, election_max_ms=300)


class LoneHost(PlainHost):
    """A host that proposes the next entry as soon as it may."""

    def __init__(self) -> None:
        self.entries = []
        self.applies = True
        self.term = self.leader = None
        self.said, self.roles, self.failures = [], [], []
        self.membership = None
        self.proposed = 0

    def accepting(self) -> None:
        while self.engine.accepts_proposals():
            self.proposed += 1
            body = EntryBody(FEATURE_LEVEL, self.proposed, "commands", [SessionOpen()])
            self.engine.propose(Proposal(body, self.proposed))


@asynccontextmanager
async def lone(folder: Path, files: Files | None = None) -> AsyncIterator[LoneHost]:
    """A node alone that leads; stopped at the end unless it failed."""
    directory = Directory.open(folder, 1, machine="testbed", files=files)
    engine = OpenRaftEngine(directory, "127.0.0.1:1", 3600.0, lambda _seconds: None, timing=FAST)
    host = LoneHost()
    host.engine = engine
    engine.start(host, host.replay, None)
    engine.run()
    await until(lambda: host.term or host.failures)
    try:
        yield host
    finally:
        if not host.failures:
            await engine.stop(5.0)
        directory.close()


def threads() -> set[str]:
    """The names of this process's threads, Rust's among them."""
    names = {thread.name for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            names.add((task / "comm").read_text().strip())
    return names


# -- start and stop --------------------------------------------------------------------------------------------


async def test_a_blank_node_forms_a_cluster_of_itself_as_the_embedded_engine_does(tmp_path: Path) -> None:
    async with lone(tmp_path) as host:
        first, second = host.entries[:2]
        assert (first.id.index, first.id.term, first.id.node) == (0, 0, raft_id(1))
        assert first.body.membership is not None
        assert first.body.membership.configs == [[raft_id(1)]]
        assert (second.body.kind, second.id.term) == ("blank", host.term)
        assert len(host.engine.status().cluster) == 32


async def test_a_restarted_leader_leads_in_a_new_term_only(tmp_path: Path) -> None:
    terms: list[int] = []
    for _ in range(3):
        async with lone(tmp_path) as host:
            terms.append(host.term or 0)
    assert terms == sorted(set(terms))


async def test_everything_a_node_alone_has_stored_is_replayed_at_its_start(tmp_path: Path) -> None:
    async with lone(tmp_path) as host:
        host.accepting()
        await until(lambda: len(host.said) > 20)
    stored = host.entries
    directory = Directory.open(tmp_path, 1, machine="testbed")
    engine = OpenRaftEngine(directory, "127.0.0.1:1", 3600.0, lambda _seconds: None)
    again = LoneHost()
    again.engine = engine
    engine.start(again, again.replay, None)
    directory.close()
    assert again.entries == stored


async def test_a_node_stopped_under_load_ends_each_time_and_leaves_no_thread(tmp_path: Path) -> None:
    tokens = 0
    for turn in range(STOPS):
        async with lone(tmp_path) as host:
            host.accepting()
            await until(lambda: host.said)
            stopped = asyncio.get_running_loop().create_task(host.engine.stop(5.0))
            assert await asyncio.wait_for(stopped, 20), turn
            assert {said for said, _ in host.said} == {"committed"}
            assert len(host.said) == host.proposed
            tokens += host.proposed
            assert not threads() & {"qcore-raft", "qcore-log"}
    async with lone(tmp_path) as host:
        assert sum(entry.body.kind == "commands" for entry in host.entries) == tokens


async def test_an_engine_that_never_ran_stops_at_once(tmp_path: Path) -> None:
    for end in ("stop", "abandon"):
        directory = Directory.open(tmp_path, 1, machine="testbed")
        engine = OpenRaftEngine(directory, "127.0.0.1:1", 3600.0, lambda _seconds: None)
        host = LoneHost()
        engine.start(host, host.replay, None)
        if end == "stop":
            assert await engine.stop(5.0)
        else:
            engine.abandon()
        directory.close()


async def test_a_border_that_nobody_stops_ends_when_it_goes(tmp_path: Path) -> None:
    made = border()
    made.start(vote=None, purged=None, last=None, leaders=[], applied=None, tail=[], membership=None, snapshot=None)
    await until(lambda: "qcore-raft" in threads())
    del made
    await until(lambda: "qcore-raft" not in threads())


def test_times_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="election timeout"):
        Border(1, heartbeat_ms=50, election_min_ms=300, election_max_ms=300)


def _after_fork(made: Border) -> None:
    try:
        made.elect()
    except RuntimeError as error:
        os._exit(0 if "fork" in str(error) else 1)
    os._exit(2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_refused() -> None:
    made = border()
    child = multiprocessing.get_context("fork").Process(target=_after_fork, args=(made,))
    child.start()
    child.join(20)
    assert child.exitcode == 0


async def test_node_json_is_replaced_in_the_order_of_the_log(tmp_path: Path) -> None:
    async with lone(tmp_path) as host:
        host.accepting()
        await until(lambda: host.said)
        directory, saved = host.engine._directory, asyncio.Event()
        host.engine.save_identity(msgspec.structs.replace(directory.identity, cluster="ab" * 16), saved.set)
        await asyncio.wait_for(saved.wait(), 20)
    again = Directory.open(tmp_path, 1, machine="testbed")
    assert again.identity.cluster == "ab" * 16
    again.close()


# -- what goes wrong -------------------------------------------------------------------------------------------


async def test_a_disk_that_fails_is_told_once_and_nothing_counts_as_stored_after_it(tmp_path: Path) -> None:
    files = GatedFiles()
    async with lone(tmp_path, files) as host:
        host.accepting()
        await until(lambda: len(host.said) > 3)
        files.failing = True
        await until(lambda: host.failures)
        committed = len(host.said)
        assert isinstance(host.failures[0], DiskFailed)
        assert len(host.failures) == 1
        await asyncio.sleep(0)
        assert len(host.said) == committed
    assert "qcore-log" not in threads()


@pytest.mark.skipif(not IS_TORTURE_BUILD, reason="only a torture build lets the core panic")
async def test_a_core_that_panics_is_fatal(tmp_path: Path) -> None:
    async with lone(tmp_path) as host:
        host.engine._border.panic_core()
        await until(lambda: host.failures)
        assert "OpenRaft ended" in host.failures[0].message


async def test_a_stop_ends_in_its_limit_where_the_disk_does_not_answer(tmp_path: Path) -> None:
    files = GatedFiles()
    async with lone(tmp_path, files) as host:
        files.gated = "logs"
        files.open.clear()
        host.accepting()
        await until(lambda: files.held)
        assert not await asyncio.wait_for(host.engine.stop(0.3), 20)
        assert ("rejected", 1) in host.said
        files.open.set()
        await until(lambda: "qcore-log" not in threads())


# -- two engines, one directory --------------------------------------------------------------------------------


def engines(name: str) -> Callable[[Directory], Engine]:
    kind: Any = EmbeddedEngine if name == "embedded" else OpenRaftEngine
    return lambda directory: kind(directory, "127.0.0.1:1", 3600.0, lambda _seconds: None)


async def test_a_directory_goes_from_one_engine_to_the_other_and_back_with_the_same_state(tmp_path: Path) -> None:
    left: tuple[Any, ...] = ()
    for turn, name in enumerate(["embedded", "openraft", "embedded", "openraft"]):
        async with running(tmp_path, engine=engines(name)) as run:
            client = run.client()
            if turn:
                assert (await client.result("digest"))["digest"] == left[0]
            await client.result(
                "schema.set", schema={"entityType": f"T{turn}", "inheritsFrom": ["Object"], "fields": []}
            )
            await client.result("create", type=f"T{turn}", name="it")
            if turn % 2:
                await client.result("snapshot.take")
            left = (await client.result("digest"))["digest"], run.state.time
        # What is on the disk is the same to either engine.
        directory = Directory.open(tmp_path, 1, machine="testbed")
        state, snapshot = load(directory)
        replayed = [lambda entry, state=state: replay_entry(state, entry)]
        engine = engines("openraft" if name == "embedded" else "embedded")(directory)
        engine.start(LoneHost(), replayed[0], snapshot)
        assert state.time == left[1]
        directory.close()


async def test_the_embedded_engine_refuses_the_directory_of_a_cluster(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2)
        await cluster.write(leader)
    directory = Directory.open(tmp_path / "1", 1, machine="testbed")
    host = LoneHost()
    with pytest.raises(ExtensionMissing, match=r"nodes \[2\]"):
        EmbeddedEngine(directory, "127.0.0.1:1", 3600.0, lambda _seconds: None).start(host, host.replay, None)
    directory.close()
