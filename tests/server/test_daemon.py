"""What the process does before and around the node: addresses, open files, refusals, signals, log lines."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from qcore.engine.factory import refuse_cluster
from qcore.model.errors import AlreadyRunning, ConfigError, ExtensionMissing
from qcore.server import daemon
from qcore.server.config.settings import Settings
from qcore.server.runtime import budgets
from tests.process import DAEMON, DEADLINE, NodeProcess

NodeFactory = Callable[..., NodeProcess]


# -- addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addr", "shown"),
    [("127.0.0.1:0", r"127\.0\.0\.1:\d+"), ("[::1]:0", r"\[::1\]:\d+"), ("localhost:0", r"(127\.0\.0\.1|\[::1\]):\d+")],
)
def test_port_0_picks_a_free_port(addr: str, shown: str) -> None:
    sockets = daemon._bind(addr, 16)
    assert len(sockets) == 1, "two sockets would have two ports"
    assert re.fullmatch(shown, daemon._shown(sockets[0]))
    assert not daemon._shown(sockets[0]).endswith(":0")
    sockets[0].close()


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addr = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AlreadyRunning, match=addr) as caught:
            daemon._bind(addr, 16)
    assert caught.value.exit_code == 73


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.99:0: "):
        daemon._bind("203.0.113.99:0", 16)


# -- open files ------------------------------------------------------------------------------------------


@pytest.fixture
def open_files() -> Iterator[Callable[[int, int], None]]:
    """Set the limits of open files, soft and hard, of this process for one test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft, hard: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_of_open_files_is_raised_for_the_connections_wanted(
    open_files: Callable[[int, int], None],
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files(256, hard)
    assert daemon._most_connections(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (100 + budgets.SPARE_FILES, hard)


def test_a_limit_that_is_high_enough_stays(open_files: Callable[[int, int], None]) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert daemon._most_connections(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


# -- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        (Settings(engine="openraft"), "--engine openraft"),
        (Settings(enable_discovery=True), "--enable-discovery"),
        (Settings(peers=("10.0.0.1:8080",)), "--peers"),
    ],
)
def test_a_cluster_is_refused_by_the_flag_that_asks_for_it(
    settings: Settings, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qcore_openraft", None)
    with pytest.raises(ExtensionMissing, match=f"^{flag} ") as caught:
        refuse_cluster(settings.engine, discovery=settings.enable_discovery, peers=bool(settings.peers))
    assert caught.value.exit_code == 71


def test_a_schema_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: No such file"):
        daemon._read_schema_file(Settings(config_file=tmp_path / "gone.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.yaml: it is no UTF-8 text"):
        daemon._read_schema_file(Settings(config_file=tmp_path / "binary.yaml"))


def test_without_a_schema_file_nothing_is_loaded() -> None:
    assert daemon._read_schema_file(Settings()) is None


# -- the running process ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_with_0_and_says_so(node: NodeProcess, number: signal.Signals) -> None:
    os.kill(node.pid, number)
    assert node.wait() == 0
    assert node.events("stopped")


def test_a_hangup_reloads_the_settings_that_can_change(node_factory: NodeFactory, tmp_path: Path) -> None:
    path = tmp_path / "qcore.toml"
    path.write_text('log_level = "info"\n')
    node = node_factory("--settings", str(path))
    node.start()
    path.write_text('log_level = "warning"\nmax_list = 7\n')
    os.kill(node.pid, signal.SIGHUP)
    assert node.wait_for_event("restart_needed")["settings"] == ["max_list"]
    path.write_text('log_level = "info"\n')
    os.kill(node.pid, signal.SIGHUP)
    assert node.wait_for_event("reloaded")["settings"] == ["log_level"], "the first time nobody was to hear of it"
    assert node.stop() == 0


def test_a_hangup_with_settings_that_are_wrong_changes_nothing(node_factory: NodeFactory, tmp_path: Path) -> None:
    path = tmp_path / "qcore.toml"
    path.write_text("")
    node = node_factory("--settings", str(path))
    node.start()
    path.write_text("max_lost = 7\n")
    os.kill(node.pid, signal.SIGHUP)
    assert "max_lost: unknown setting" in node.wait_for_event("reload_failed")["message"]
    assert node.stop() == 0


def test_a_hangup_at_any_moment_of_the_start_ends_nothing(node_factory: NodeFactory) -> None:
    node = node_factory()
    node.start(wait=False)
    ignored = 1 << (signal.SIGHUP - 1)
    end = time.monotonic() + DEADLINE
    while not signals_ignored_or_caught(node.pid) & ignored:
        assert time.monotonic() < end
    while not node.events("listening"):
        os.kill(node.pid, signal.SIGHUP)
        assert time.monotonic() < end
    assert node.stop() == 0


@pytest.fixture
def long_log(node_factory: NodeFactory) -> NodeProcess:
    """A node that is not running, with a log that takes seconds to read."""
    node = node_factory()
    node.start()
    steps = [{"method": "create", "params": {"type": "T", "name": f"t{number}"}} for number in range(1000)]
    with connect(node.url) as client:
        for method, params in [
            ("schema.set", {"schema": {"entityType": "T"}}),
            *[("pipeline", {"commands": steps})] * 60,
        ]:
            client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            assert "result" in json.loads(client.recv())
    node.kill()
    return node


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_obeyed_while_the_log_is_read(long_log: NodeProcess, number: signal.Signals) -> None:
    vote = (long_log.data_dir / "vote.json").read_bytes()
    long_log.start(wait=False)
    end = time.monotonic() + DEADLINE
    while not signals_ignored_or_caught(long_log.pid) & (1 << (signal.SIGTERM - 1)):
        assert time.monotonic() < end
    os.kill(long_log.pid, number)
    assert long_log.wait() == 0
    assert long_log.events("stopped")[0]["message"].startswith("Stopped while snapshot and log were read")
    assert not long_log.events("log_replayed")
    assert (long_log.data_dir / "vote.json").read_bytes() == vote
    long_log.start()
    assert long_log.events("log_replayed")[0]["entities"] == 60_001
    assert long_log.stop() == 0


def test_a_bound_below_the_level_of_the_store_is_named(node_factory: NodeFactory) -> None:
    node = node_factory()
    node.start()
    assert not node.events("feature_level_is_higher")
    assert node.stop() == 0
    node.flags = ("--max-feature-level", "1")
    node.start()
    assert (
        "max_feature_level is 1, but the store is at feature level"
        in node.events("feature_level_is_higher")[0]["message"]
    )
    assert node.stop() == 0


def signals_ignored_or_caught(pid: int) -> int:
    """What a process does not leave to the kernel, as the kernel shows it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1], 16) for line in lines if line.startswith(("SigIgn:", "SigCgt:")))


@pytest.mark.parametrize("instead", [False, True], ids=["moved away", "replaced"])
def test_a_node_whose_folder_is_another_by_now_ends(node: NodeProcess, instead: bool) -> None:
    node.data_dir.rename(node.folder / "away")
    if instead:
        shutil.copytree(node.folder / "away", node.data_dir)
    assert node.wait() == 74
    assert "was moved away or replaced while the node used it" in node.log()


def test_a_second_signal_changes_nothing(node: NodeProcess) -> None:
    node.pause()
    for _ in range(2):
        os.kill(node.pid, signal.SIGTERM)
        os.kill(node.pid, signal.SIGINT)
    node.resume()
    assert node.wait() == 0


def test_the_listening_event_tells_where_and_what(node: NodeProcess) -> None:
    event = node.wait_for_event("listening")
    assert event["url"] == node.url
    assert event["data_dir"] == str(node.data_dir)
    assert event["pid"] == node.pid
    assert f"qcore-cli --url {node.url}" in event["message"]


def test_a_node_listens_on_ipv6_too(node_factory: NodeFactory) -> None:
    node = node_factory("--ws-addr", "[::1]:0")
    node.start(wait=False)
    url = node.wait_for_event("listening")["url"]
    host, _, port = url.removeprefix("ws://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port))) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_log_lines_are_json_where_stderr_is_no_terminal(tmp_path: Path) -> None:
    lines = run_until_listening(tmp_path, subprocess.PIPE)
    events = [json.loads(line)["event"] for line in lines]
    assert events[-1] == "listening"


def test_log_lines_are_text_on_a_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    try:
        lines = run_until_listening(tmp_path, slave, master)
    finally:
        os.close(master)
        os.close(slave)
    assert "leads itself on ws://127.0.0.1:" in lines[-1]
    assert not lines[-1].startswith("{")


def run_until_listening(folder: Path, stderr: int, reader: int | None = None) -> list[str]:
    """Start a daemon with a stderr of this kind, stop it once it listens, and return its log up to there."""
    command = [*DAEMON, "--data-dir", str(folder), "--ws-addr", "127.0.0.1:0"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("QCORE_")}
    with subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL, env=env) as process:
        stream = os.fdopen(os.dup(reader), "rb") if reader is not None else process.stderr
        assert stream is not None
        guard = threading.Timer(60, process.kill)
        guard.start()
        lines: list[str] = []
        with stream:
            while not lines or ("listening" not in lines[-1] and "leads itself" not in lines[-1]):
                line = stream.readline().decode()
                assert line, lines
                lines.append(line)
            process.terminate()
            assert process.wait(60) == 0
        guard.cancel()
    return lines


def test_a_blank_node_that_may_only_join_is_not_begun_alone(node_factory: NodeFactory) -> None:
    node = node_factory("--bootstrap", "join")
    node.start(wait=False)
    assert node.wait() == 2
    assert "node 1 is blank and may only join a cluster (bootstrap = join)" in node.log()


def test_a_node_of_another_cluster_than_the_settings_say_is_refused(node_factory: NodeFactory) -> None:
    node = node_factory(name="data")
    node.start()
    node.stop()
    other = node_factory("--cluster-id", "ab" * 16, name="data")
    other.start(wait=False)
    assert other.wait() == 2
    assert f"cluster_id says {'ab' * 16}" in other.log()
