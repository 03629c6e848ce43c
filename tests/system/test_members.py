"""Real nodes that join, leave and come back on an empty disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qcore.client.blocking import Store, connect
from tests.data.make import DATA
from tests.process import DEADLINE, NodeProcess
from tests.proof.nodes import until
from tests.system.membership import until_votes, votes

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

SCHEMA = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}]}
REMOVED = 77
"""Exit code of a node that was removed."""

Start = Callable[..., NodeProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts node `id` with the addresses of others, on a directory of its own that outlives it."""
    running: list[NodeProcess] = []

    def begin(id: int, *peers: NodeProcess, engine: str = "auto", address: str = "127.0.0.1:0") -> NodeProcess:
        named = [flag for peer in peers for flag in ("--peers", peer.address)]
        node = NodeProcess(tmp_path / f"data_{id}", "--engine", engine, *named, node=id)
        node.address = address
        running.append(node)
        node.start()
        return node

    yield begin
    for node in running:
        node.kill()


def again(start: Start, node: NodeProcess, *peers: NodeProcess, engine: str = "auto") -> NodeProcess:
    """Start a node that has ended, with these peers, at its address."""
    return start(node.node, *peers, engine=engine, address=node.address)


def age(store: Store, user: int) -> object:
    return store.get(user, "Age").fields["Age"].value


def write(node: NodeProcess) -> int:
    """Write a user whose age is 7; its id."""
    with connect(node.url, timeout=DEADLINE) as store:
        store.call("schema.set", schema=SCHEMA)
        user: int = store.create("User", "ann").id
        store.set(user, "Age", 7)
    return user


def digests(*nodes: NodeProcess) -> set[tuple[int, str]]:
    found = set()
    for node in nodes:
        with connect(node.url, timeout=DEADLINE) as store:
            now = store.digest()
            found.add((now.revision, now.digest))
    return found


ALL_VOTE = dict.fromkeys([1, 2, 3], "voter")


def grow(start: Start) -> tuple[list[NodeProcess], int]:
    """A lone node with data that two others have joined, and its user."""
    first = start(1, engine="embedded")
    user = write(first)
    assert first.stop() == 0
    second = start(2, first)
    first = again(start, first, second)
    third = start(3, first, second)
    until_votes(first, ALL_VOTE)
    for other in (second, third):
        assert other.wait_for_event("snapshot_installed"), "what a lone node wrote at level 1 is sent to nobody"
    return [first, second, third], user


def test_a_lone_node_with_data_grows_to_three_loses_nothing_and_goes_back_to_one(start: Start) -> None:
    nodes, user = grow(start)
    first, second, third = nodes
    for node in nodes:
        with connect(node.url, timeout=DEADLINE) as store:
            assert age(store, user) == 7
    assert len(digests(*nodes)) == 1
    first.kill()
    with connect(f"{second.url},{third.url}", timeout=DEADLINE) as store:
        store.set(user, "Age", 8)
    first = again(start, first, second, third)
    with connect(first.url, timeout=DEADLINE) as store:
        for gone in (3, 2):
            assert store.cluster_remove(gone).vote == "none"
    assert (second.wait(), third.wait()) == (REMOVED, REMOVED)
    assert votes(first) == {1: "voter"}
    assert first.stop() == 0
    first = again(start, first, engine="embedded")
    with connect(first.url, timeout=DEADLINE) as store:
        assert age(store, user) == 8
        store.set(user, "Age", 9)


@pytest.mark.parametrize("kind", ["log", "snapshots"])
def test_a_directory_of_the_first_version_grows_into_two(start: Start, tmp_path: Path, kind: str) -> None:
    folder = DATA / "0.1.0-6f7acd2" / kind
    shutil.copytree(folder, tmp_path / "data_1")
    nobody = NodeProcess(tmp_path / "nobody")
    nobody.address = "127.0.0.1:1"
    second = start(2, nobody)
    first = start(1, second)
    until_votes(first, {1: "voter", 2: "voter"})
    assert second.wait_for_event("snapshot_installed")
    first.kill()
    first = again(start, first, second)
    assert len(digests(first, second)) == 1
    expected = json.loads(folder.with_name("expected.json").read_text(encoding="utf-8"))["state"]
    with connect(second.url, timeout=DEADLINE) as store:
        now = store.digest()
    assert (now.revision, now.digest) == (expected["revision"], expected["digest"])


def test_a_node_on_an_empty_disk_is_healed_and_a_leader_that_is_killed_meanwhile_holds_nothing_up(start: Start) -> None:
    (first, second, third), user = grow(start)
    third.kill()
    shutil.rmtree(third.data_dir)
    fourth = start(4, first, second)
    third = again(start, third, first, second)
    first.wait_for_event("membership_change")
    first.kill()
    first = again(start, first, second, third)
    until(lambda: set(votes(second)) == {1, 2, 3, 4}, lambda: f"all four are members\n{second.log()}")
    until(lambda: votes(second)[3] == "voter", lambda: f"the third has a vote again\n{second.log()}")
    with connect(third.url, timeout=DEADLINE) as store:
        assert age(store, user) == 7
        store.set(user, "Age", 8)
    assert len(digests(first, second, third, fourth)) == 1
    assert third.wait_for_event("starting_anew")
