"""Three nodes as real processes, formed by CLUSTER INIT, one of which is killed at a time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from tests.process import DEADLINE
from tests.proof.nodes import Nodes, until
from tests.proof.run import NODE_FLAGS

pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")

SCHEMA = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}]}


STALLING = """
import signal, sys, time
from qcore.server.main import main

def stall(number, frame):
    end = time.monotonic() + 3
    time.sleep(1.5)
    while time.monotonic() < end:  # and with the interpreter's lock
        pass
    print('{"event": "stalled"}', file=sys.stderr, flush=True)

signal.signal(signal.SIGUSR1, stall)
sys.exit(main())
"""
"""The daemon; its main loop stands still for 3 seconds at SIGUSR1, more than twice what an election waits for."""


class Writer:
    """Creates one user after the other, in a thread, through whichever node answers, until it is ended."""

    def __init__(self, urls: str, name: str) -> None:
        self.names: list[str] = []
        self.failures: list[Exception] = []
        self._urls = urls
        self._name = name
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with connect(self._urls, timeout=DEADLINE) as store:
                while not self._ends.is_set():
                    name = f"{self._name} {len(self.names)}"
                    store.create("User", name)
                    self.names.append(name)
        except Exception as exc:  # shown by the test
            self.failures.append(exc)

    def written(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.names) + more
        until(lambda: len(self.names) >= wanted or self.failures, lambda: f"{wanted} writes of {self._name}")
        assert self.failures == []

    def end(self) -> None:
        self._ends.set()
        self._thread.join(DEADLINE)
        assert self.failures == []


@pytest.fixture
def nodes(tmp_path: Path, fault_library: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path, 3, fault_library, NODE_FLAGS) as nodes:
        yield nodes


def test_each_node_is_killed_in_turn_and_nothing_is_lost(nodes: Nodes) -> None:
    with connect(nodes.urls[1]) as store:
        store.call("schema.set", schema=SCHEMA)
        user = store.create("User", "ann").id
    for value, victim in enumerate([nodes.leader(), *nodes.ids]):
        nodes.processes[victim].kill()
        urls = ",".join(nodes.urls[id] for id in nodes.others(victim))
        with connect(urls, timeout=DEADLINE) as store:
            store.set(user, "Age", value)
        nodes.start(victim)
        with connect(nodes.urls[victim], timeout=DEADLINE) as store:
            assert store.get(user, "Age").fields["Age"].value == value
    nodes.settled_digest()


def test_all_nodes_are_stopped_and_started_and_go_on(nodes: Nodes) -> None:
    with connect(nodes.urls[2]) as store:
        store.call("schema.set", schema=SCHEMA)
        user = store.create("User", "ann").id
    for process in nodes.processes.values():
        assert process.stop() == 0
    for id in nodes.ids:
        nodes.start(id)
    with connect(nodes.urls[3], timeout=DEADLINE) as store:
        store.set(user, "Age", 7)
    with connect(nodes.urls[1], timeout=DEADLINE) as store:
        assert store.get(user, "Age").fields["Age"].value == 7
    nodes.settled_digest()


def test_each_leader_in_turn_is_stopped_under_writes_each_of_which_is_done_once(nodes: Nodes) -> None:
    with connect(nodes.urls[1]) as store:
        store.call("schema.set", schema=SCHEMA)
    writers = [
        Writer(",".join(nodes.urls[id] for id in (first, *nodes.others(first))), f"w{first}") for first in nodes.ids
    ]
    try:
        for _ in range(3):
            victim = nodes.leader()
            for writer in writers:
                writer.written(5)
            assert nodes.processes[victim].stop() == 0
            assert nodes.processes[victim].events("transferring")
            assert not nodes.processes[victim].events("stopped_early")
            for writer in writers:
                writer.written(5)
            nodes.start(victim)
    finally:
        for writer in writers:
            writer.end()
    with connect(nodes.urls[1], timeout=DEADLINE) as store:
        found = []
        for writer in writers:
            page = store.find("User", filter=f"Name.startsWith('{writer.names[0][:2]}')", limit=10_000)
            found += sorted(item.name for item in page.items)
    assert found == [name for writer in writers for name in sorted(writer.names)]
    nodes.settled_digest()


def test_a_leader_that_is_stopped_hands_over_to_who_answers(nodes: Nodes) -> None:
    with connect(nodes.urls[1]) as store:
        store.call("schema.set", schema=SCHEMA)
        user = store.create("User", "ann").id
    leader = nodes.leader()
    hung, other = nodes.others(leader)
    nodes.processes[hung].pause()
    with connect(nodes.urls[other], timeout=DEADLINE) as store:
        store.set(user, "Age", 1)
    assert nodes.processes[leader].stop() == 0
    assert nodes.processes[leader].events("transferring")[-1]["to"] == other
    nodes.processes[hung].resume()
    nodes.start(leader)
    with connect(nodes.urls[other], timeout=DEADLINE) as store:
        store.set(user, "Age", 2)
    nodes.settled_digest()


@pytest.fixture
def stalling(tmp_path: Path, fault_library: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path, 3, fault_library, NODE_FLAGS, (sys.executable, "-c", STALLING)) as nodes:
        yield nodes


def test_a_main_loop_that_stands_still_begins_no_election_and_loses_no_write(stalling: Nodes) -> None:
    leader = stalling.leader()
    with connect(stalling.urls[1]) as store:
        store.call("schema.set", schema=SCHEMA)
    writers = [Writer(stalling.urls[id], f"w{id}") for id in stalling.ids]
    before = terms(stalling)
    try:
        for writer in writers:
            writer.written(5)
        for id in (stalling.others(leader)[0], leader):
            process = stalling.processes[id]
            os.kill(process.pid, signal.SIGUSR1)
            process.wait_for_event("stalled")
            for writer in writers:
                writer.written(5)
    finally:
        for writer in writers:
            writer.end()
    assert stalling.leader() == leader
    assert terms(stalling) == before
    stalling.settled_digest()


def terms(nodes: Nodes) -> set[int]:
    found = [nodes.info(id) for id in nodes.ids]
    return {info.term for info in found if info is not None}
