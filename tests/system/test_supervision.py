"""What a service manager hears of real nodes: READY, STATUS, WATCHDOG and the rest, at a real socket."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect as websocket

from qcore.client.blocking import connect
from tests.faults import Faults, Rule
from tests.manager import ServiceManager
from tests.process import DEADLINE, NodeProcess
from tests.proof.nodes import Nodes, until
from tests.proof.run import NODE_FLAGS

NodeFactory = Callable[..., NodeProcess]

OFTEN = {"WATCHDOG_USEC": "400000"}
"""A watchdog that wants a sign of life every 0.4 s, so that a test sees some."""

SCHEMA = {"schema": {"entityType": "User"}}

PATIENCE = """
import sys
from qcore.server.runtime import budgets
from qcore.server.main import main
budgets.LEADER_PATIENCE_SECONDS = {}
sys.exit(main())
"""
"""The daemon; it waits for a leader for so many seconds."""

HANGING_LINK = """
import signal, sys, threading
from qcore.cluster.hub import Hub
from qcore.server.main import main

hangs, look = threading.Event(), Hub.look

def look_or_hang(hub):
    if hangs.is_set():
        threading.Event().wait()
    look(hub)

Hub.look = look_or_hang
signal.signal(signal.SIGUSR1, lambda number, frame: hangs.set())
sys.exit(main())
"""
"""The daemon; the thread of its peer link hangs after SIGUSR1."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as made:
        yield made


# -- a node alone ----------------------------------------------------------------------------------------


def test_a_start_asks_for_time_and_ends_in_ready_and_a_stop_in_stopping(
    node_factory: NodeFactory, manager: ServiceManager
) -> None:
    node = node_factory(env=manager.env)
    node.start()
    assert re.fullmatch(r"leader, leader 1, term 1, revision \d+", manager.wait_for("READY")["STATUS"])
    assert node.stop() == 0
    assert manager.wait_for("STOPPING")["STATUS"] == "Stopping"
    heard = len(manager.heard)
    node.start()
    ready = manager.wait(lambda words: "READY" in words, heard)
    starting = [words["STATUS"] for words in manager.heard[heard:ready] if "EXTEND_TIMEOUT_USEC" in words]
    assert starting[:2] == ["Opening the data directory", "Reading snapshot and log"]


def test_the_status_goes_with_the_revision(node_factory: NodeFactory, manager: ServiceManager) -> None:
    node = node_factory(env=manager.env)
    node.start()
    with connect(node.url, timeout=DEADLINE) as store:
        store.schema_set({"entityType": "User"})
        store.create("User", "ann")
        revision = store.info().revision
    manager.wait(lambda words: words.get("STATUS") == f"leader, leader 1, term 1, revision {revision}")


def test_a_reload_is_announced_and_ends_in_ready_whether_or_not_the_settings_are_good(
    node_factory: NodeFactory, manager: ServiceManager, tmp_path: Path
) -> None:
    path = tmp_path / "qcore.toml"
    path.write_text("")
    node = node_factory("--settings", str(path), env=manager.env)
    node.start()
    manager.wait_for("READY")
    for text in ('log_level = "debug"\n', "max_lost = 7\n"):
        before = len(manager.heard)
        path.write_text(text)
        os.kill(node.pid, signal.SIGHUP)
        number = manager.wait(lambda words: "RELOADING" in words, before)
        assert int(manager.heard[number]["MONOTONIC_USEC"]) > 0
        manager.wait(lambda words: "READY" in words, number)


def test_why_a_node_ends_stands_in_its_status(node_factory: NodeFactory, manager: ServiceManager) -> None:
    node = node_factory(env=manager.env)
    node.start()
    node.data_dir.rename(node.folder / "away")
    assert node.wait() == 74
    assert "was moved away or replaced" in manager.wait_for("STOPPING")["STATUS"]


def test_why_a_node_does_not_start_stands_in_its_status(node_factory: NodeFactory, manager: ServiceManager) -> None:
    first = node_factory(name="data")
    first.start()
    second = node_factory(name="data", env=manager.env)
    second.start(wait=False)
    assert second.wait() == 73
    manager.wait(lambda words: words.get("STATUS", "").startswith("Failed: ") and "in use" in words["STATUS"])


# -- the watchdog ----------------------------------------------------------------------------------------


def signs(manager: ServiceManager, count: int) -> None:
    """Wait for so many more signs of life."""
    number = len(manager.heard)
    for _ in range(count):
        number = manager.wait(lambda words: "WATCHDOG" in words, number) + 1


def test_a_node_that_moves_gives_signs_of_life(node_factory: NodeFactory, manager: ServiceManager) -> None:
    node = node_factory(env={**manager.env, **OFTEN})
    node.start()
    signs(manager, 4)
    assert node.stop() == 0


def test_nobody_hears_signs_of_life_who_watches_another_process(
    node_factory: NodeFactory, manager: ServiceManager
) -> None:
    node = node_factory(env={**manager.env, **OFTEN, "WATCHDOG_PID": "1"})
    node.start()
    manager.wait_for("READY")
    node.stop()
    manager.wait_for("STOPPING")
    ready = manager.wait(lambda words: "READY" in words)
    assert not any("WATCHDOG" in words for words in manager.heard[ready:])


def test_a_slow_disk_is_not_taken_for_a_hung_node(
    node_factory: NodeFactory, manager: ServiceManager, faults: Faults
) -> None:
    node = node_factory("--request-timeout", "600", env={**manager.env, **OFTEN, **faults.env})
    node.start()
    faults.set(Rule("fsync", "delay", 600_000, "*/logs*"))
    with websocket(node.url) as writer, connect(node.url, timeout=DEADLINE) as store:
        writer.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "schema.set", "params": SCHEMA}))
        until(lambda: faults.seen("fsync", "delay"), node.log)
        signs(manager, 5)
        assert store.info().role == "leader"
    node.kill()


def test_a_peer_link_that_hangs_is_named_and_ends_the_signs_of_life(
    node_factory: NodeFactory, manager: ServiceManager
) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    flags = ("--engine", "openraft", "--peers", "127.0.0.1:9")
    node = node_factory(*flags, command=(sys.executable, "-c", HANGING_LINK), env={**manager.env, **OFTEN})
    node.start()
    assert "no cluster" in manager.wait_for("READY")["STATUS"]
    signs(manager, 3)
    os.kill(node.pid, signal.SIGUSR1)
    assert "the peer link does not answer" in node.wait_for_event("thread_hangs")["message"]
    node.kill()


def test_where_each_thread_stood_is_told_when_the_watchdog_ends_a_node(node: NodeProcess) -> None:
    os.kill(node.pid, signal.SIGABRT)
    assert node.wait() == -signal.SIGABRT
    assert "Current thread" in node.log()


# -- a member of a cluster -------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path, fault_library: Path) -> Iterator[Nodes]:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    with Nodes(tmp_path, 3, fault_library, NODE_FLAGS) as nodes:
        yield nodes


def test_a_member_is_ready_when_it_has_caught_up_and_all_the_same_where_nobody_leads(
    cluster: Nodes, manager: ServiceManager
) -> None:
    third = cluster.processes[3]
    third.kill()
    with connect(cluster.urls[1], timeout=DEADLINE) as store:
        store.schema_set({"entityType": "User"})
        for number in range(100):
            store.create("User", f"user {number}")
        revision = store.info().revision
    third.env = {**third.env, **manager.env, **OFTEN}
    third.command = (sys.executable, "-c", PATIENCE.format(DEADLINE))
    third.start()
    found = re.fullmatch(r"\w+, leader [12], term \d+, revision (\d+)", manager.wait_for("READY")["STATUS"])
    assert found is not None
    assert int(found[1]) >= revision

    for other in (1, 2):
        cluster.processes[other].kill()
    manager.wait(lambda words: words.get("STATUS", "").startswith("waiting: 1 of 2 nodes, term "))
    signs(manager, 3)
    third.kill()
    heard = len(manager.heard)
    third.command = (sys.executable, "-c", PATIENCE.format(0.2))
    third.start()
    assert manager.wait_for("READY", heard)["STATUS"].startswith("waiting: 1 of 2 nodes, term ")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{third.address}/readyz")
    with caught.value as answer:
        assert answer.code == 503


def test_a_blank_node_is_ready_and_says_how_many_it_waits_for(
    node_factory: NodeFactory, manager: ServiceManager
) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    flags = ("--engine", "openraft", "--peers", "127.0.0.1:9", "--auto-init", "--min-nodes", "2")
    node = node_factory(*flags, env=manager.env)
    node.start()
    assert manager.wait_for("READY")["STATUS"] == "waiting: 1 of 2 nodes, term 0, revision 0"
    assert node.stop() == 0
