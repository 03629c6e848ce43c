"""Two nodes with the data and a witness, as real processes: any one of them may be lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from qcore.model.errors import Forbidden, QcoreError
from tests.process import DEADLINE, NodeProcess
from tests.proof.nodes import until
from tests.system.membership import until_votes
from tests.system.test_cluster import Writer

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

SCHEMA = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}]}
ALL_VOTE = dict.fromkeys([1, 2, 3], "voter")
LIMITS = ("--max-log-files", "40", "--log-cleanup-interval", "1")
"""Limits that have the log of each node let go of again and again."""
MOST_BYTES = 80 << 20
"""What a witness may take."""
BAD_SETTINGS = 2
"""Exit code of a daemon that does not start with such settings."""


class Trio:
    """Nodes 1 and 2 with the data and witness 3, each on an address of its own."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [NodeProcess(folder, node=id) for id in (1, 2, 3)]
        self.first, self.second, self.witness = self.nodes

    def form(self) -> None:
        """Start all of them, and wait until each has a vote."""
        peers = ["--peers", "127.0.0.1:1"]
        for node in self.nodes:
            kind = ["--witness"] if node is self.witness else []
            node.flags = ("--engine", "openraft", *LIMITS, *peers, *kind)
            node.start()
            peers += ["--peers", node.address]
        with connect(self.first.url, timeout=DEADLINE) as store:
            store.call("cluster.init", ids=[1, 2])
            store.call("schema.set", schema=SCHEMA)
        until_votes(self.first, ALL_VOTE)

    @property
    def with_data(self) -> list[NodeProcess]:
        return [self.first, self.second]

    @property
    def urls(self) -> str:
        """Where clients look; the witness is named, too, and sends them elsewhere."""
        return ",".join(node.url for node in self.nodes[::-1])

    def leader(self) -> NodeProcess:
        """The node that leads, waited for."""
        found: list[int] = []

        def led() -> bool:
            for node in self.nodes:
                if node.running:
                    with connect(node.url, timeout=DEADLINE) as store:
                        leader = store.info().leader
                    found[:] = [] if leader is None or not self.nodes[leader - 1].running else [leader]
                    return bool(found)
            return False

        until(led, lambda: f"a node leads\n{self.logs()}")
        return self.nodes[found[0] - 1]

    def settle(self) -> None:
        """Wait until both nodes with the data have all of it, and the same."""

        def same() -> bool:
            found = set()
            for node in self.with_data:
                with connect(node.url, timeout=DEADLINE) as store:
                    now = store.digest()
                found.add((now.revision, now.digest))
            return len(found) == 1

        until(same, lambda: f"both have the same\n{self.logs()}")

    def count(self, node: NodeProcess) -> int:
        """How many users a node has."""
        with connect(node.url, timeout=DEADLINE) as store:
            return store.count("User").count

    def logs(self) -> str:
        return "\n".join(f"--- node {node.node}\n{node.log()}" for node in self.nodes)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    trio = Trio(tmp_path_factory.mktemp("trio"))
    try:
        trio.form()
        yield trio
    finally:
        trio.kill()


@pytest.fixture
def trio(whole: Trio) -> Trio:
    """One cluster for all tests here: each leaves it with all of its nodes."""
    for node in whole.nodes:
        if not node.running:
            node.start()
    whole.settle()
    return whole


def test_each_in_turn_is_killed_and_nothing_is_lost(trio: Trio) -> None:
    before = trio.count(trio.first)
    writer = Writer(trio.urls, "user")
    for node in (trio.leader(), trio.witness, trio.leader()):
        writer.written(30)
        node.kill()
        writer.written(30)
        node.start()
        trio.settle()
    writer.end()
    trio.settle()
    assert trio.count(trio.first) == before + len(writer.names)
    until(lambda: trio.witness.events("snapshot_taken_over"), lambda: f"its log goes\n{trio.witness.log()}")
    assert trio.witness.resident_bytes() <= MOST_BYTES


@pytest.mark.parametrize("purged", [False, True], ids=["by the log", "by a snapshot"])
def test_a_node_that_is_behind_gets_what_only_the_witness_has_when_the_other_is_lost(trio: Trio, purged: bool) -> None:
    """Where the log of the witness does not go back far enough, it sends the snapshot that it keeps."""
    before, ahead = trio.count(trio.first), trio.leader()
    behind = next(node for node in trio.with_data if node is not ahead)
    behind.kill()
    lacks = entries(ahead)[1]
    writer = Writer(trio.urls, "user")
    writer.written(10)
    if purged:
        until(lambda: entries(trio.witness)[0] > lacks + 1, lambda: f"its log goes\n{trio.witness.log()}")
    writer.end()
    ahead.kill()
    behind.start()
    until(lambda: trio.leader() is behind, lambda: f"the witness hands over\n{trio.logs()}")
    assert trio.count(behind) == before + len(writer.names)
    assert trio.witness.events("leading")
    assert bool(behind.events("snapshot_installed")) == purged
    ahead.start()
    trio.settle()


def role(node: NodeProcess) -> str:
    """What a node says it is, nothing while it starts anew."""
    try:
        with connect(node.url, timeout=DEADLINE) as store:
            return store.info().role
    except QcoreError:
        return ""


def entries(node: NodeProcess) -> tuple[int, int]:
    """First and last log index of a node."""
    with connect(node.url, timeout=DEADLINE) as store:
        info = store.info()
    return info.log_first or 0, info.log_last or 0


def test_a_witness_on_an_empty_disk_votes_again(trio: Trio) -> None:
    trio.witness.kill()
    shutil.rmtree(trio.witness.data_dir)
    trio.witness.start()
    trio.witness.wait_for_event("starting_anew")
    until(lambda: role(trio.witness) == "follower", lambda: f"the witness has a vote\n{trio.logs()}")
    leader = trio.leader()
    leader.kill()
    before = trio.count(trio.leader())
    with connect(trio.urls, timeout=DEADLINE) as store:
        store.create("User", "ann")
    leader.start()
    trio.settle()
    assert trio.count(leader) == before + 1


def test_a_witness_tells_what_it_is_and_sends_clients_elsewhere(trio: Trio) -> None:
    with connect(trio.witness.url, timeout=DEADLINE) as store:
        assert store.ping()
        info = store.info()
        assert [each.witness for each in info.members] == [False, False, True]
        assert "tolerates 1 failure; node 3 is a witness" in info.outlook
        assert [each.witness for each in store.cluster_status().members] == [False, False, True]
    with connect(trio.witness.url, timeout=2.0) as store, pytest.raises(Forbidden) as refused:
        store.create("User", "ann")
    assert refused.value.data["elsewhere"]
    before = trio.count(trio.first)
    with connect(trio.urls, timeout=DEADLINE) as store:
        store.create("User", "ann")
    assert trio.count(trio.first) == before + 1


def test_a_directory_stays_what_it_is(trio: Trio) -> None:
    for node, wrong in ((trio.witness, False), (trio.first, True)):
        node.kill()
        flags = node.flags
        node.flags = (*(flag for flag in flags if flag != "--witness"), *(["--witness"] if wrong else []))
        node.start(wait=False)
        assert node.wait() == BAD_SETTINGS
        assert "witness" in node.log()
        node.flags = flags


def test_its_directory_can_be_made_that_of_a_node_with_the_data_if_all_others_are_lost(
    trio: Trio, tmp_path: Path
) -> None:
    users, last = trio.count(trio.first), entries(trio.first)[1]
    until(lambda: entries(trio.witness)[1] >= last, lambda: f"the witness has all of it\n{trio.logs()}")
    trio.witness.stop()
    shutil.copytree(trio.witness.data_dir, tmp_path / "node_3")
    node = NodeProcess(tmp_path, "--engine", "embedded", node=3)
    recover = [*node.command, "--data-dir", str(tmp_path), "--id", "3", "recover", "--force-new-cluster"]
    subprocess.run(recover, check=True, capture_output=True, timeout=DEADLINE)
    with node:
        assert trio.count(node) == users
