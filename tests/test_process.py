from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.wire import Api
from tests.conftest import NodeFactory
from tests.process import NodeProcess, children, event_of


def test_a_node_listens_after_its_start(node: NodeProcess) -> None:
    with Api(node.url) as api:
        assert api.call("ping") == "PONG"
    assert node.data_dir.is_dir()
    assert node.resident_bytes() > 0


def test_a_killed_node_comes_back_at_the_same_address_with_its_data(node: NodeProcess) -> None:
    url = node.url
    with Api(url) as api:
        made = api.call("create", type="Folder", name="kept", parent=1)
    assert node.kill() == node.kill() == -signal.SIGKILL
    assert not node.running
    node.start()
    assert node.url == url
    with Api(url) as api:
        assert api.call("exists", id=made["id"])


def test_events_are_counted_over_all_starts(node: NodeProcess) -> None:
    node.kill()
    node.start()
    assert node.stop() == 0
    assert (node.logged["listening"], node.logged["stopped"]) == (2, 1)
    assert event_of("Traceback (most recent call last):\n") == "Traceback"


def test_a_stopped_node_ends_with_zero_and_says_so(node: NodeProcess) -> None:
    assert node.stop() == 0
    assert node.events("stopped")


def test_a_node_that_ends_at_its_start_shows_its_exit_code_and_log(node_factory: NodeFactory) -> None:
    refused = node_factory("--config-file", "/no/such/file.yaml")
    with pytest.raises(AssertionError, match=r"(?s)ended with 2 before it logged `listening`.*no/such/file"):
        refused.start()


def test_a_paused_node_answers_after_it_is_resumed(node: NodeProcess) -> None:
    node.pause()
    stat = Path(f"/proc/{node.pid}/stat")
    assert stat.read_text().rpartition(")")[2].split()[0] == "T"
    node.resume()
    with Api(node.url) as api:
        assert api.call("ping") == "PONG"


def test_a_paused_node_can_be_killed(node: NodeProcess) -> None:
    node.pause()
    node.kill()
    assert node.wait() == -signal.SIGKILL


def test_a_node_sees_no_setting_of_the_outer_environment(
    monkeypatch: pytest.MonkeyPatch, node_factory: NodeFactory
) -> None:
    monkeypatch.setenv("QCORE_ID", "nonsense")
    made = node_factory(env={"QCORE_MACHINE": "given-by-the-test"})
    made.start()
    with Api(made.url) as api:
        assert api.call("machine") == {"machine": "given-by-the-test", "node": 1}


def test_a_running_node_is_not_started_twice(node: NodeProcess) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        node.start()


def test_children_finds_a_running_process_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.pid in children()
        process.kill()
        process.wait()
    assert process.pid not in children()


def test_an_orphan_is_found_below_the_tests() -> None:
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    script = f"import subprocess; print(subprocess.Popen({sleeper}, stdout=subprocess.DEVNULL).pid)"
    orphan = int(subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout)
    assert orphan in children()
    os.kill(orphan, signal.SIGKILL)
    os.waitpid(orphan, 0)
    assert orphan not in children()
