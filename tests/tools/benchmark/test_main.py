"""benchmark-tool as a process, against real nodes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qcore.client import QcoreError
from qcore.client.blocking import connect
from qcore_tools.benchmark.workloads import WORKLOADS
from tests.conftest import NodeFactory
from tests.process import DEADLINE, SCHEMA_FILE, NodeProcess, children
from tests.proof.nodes import Nodes, until
from tests.tools.running import command, environment, run

GUIDE = Path(__file__).parents[3] / "docs" / "tools.md"

SMALL = ["--requests", "40", "--clients", "4", "--warmup", "0", "--keyspace", "30"]
"""A run that is over soon."""

ENDLESS = ["--duration", "3600", "--clients", "4", "--warmup", "0", "--keyspace", "30"]

Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests that leave it as it was."""
    with NodeProcess(tmp_path_factory.mktemp("node"), "--config-file", str(SCHEMA_FILE)) as node:
        yield node


@pytest.fixture
def mortal(node_factory: NodeFactory) -> NodeProcess:
    """A node for a test that ends it."""
    made = node_factory("--config-file", str(SCHEMA_FILE))
    made.start()
    return made


@pytest.fixture
def bench(node: NodeProcess) -> Bench:
    """Run benchmark-tool on the node; its results are those of a small run unless words say otherwise."""
    return lambda *words: run("benchmark", *SMALL, *words, url=node.url)


@pytest.fixture
def untouched(node: NodeProcess) -> Iterator[None]:
    """The store has to hold the same after the test."""
    before = content(node)
    yield
    assert content(node) == before


def content(node: NodeProcess) -> tuple[list[str], int, int]:
    """The types, the number of entities, and the revision of the Root's children."""
    with connect(node.url) as store:
        children = store.get("/Root", "Children").fields["Children"].revision
        return store.types().items, sum(store.info().counts.values()), children


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def started(url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A run that goes on."""
    running = subprocess.Popen(
        [*command("benchmark"), *words, "--url", url],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def until_asked(url: str, connections: int = 5, requests: int = 50) -> None:
    """Wait until the tool's connections are there, its own one and those of the load, and have asked so much."""

    def asked() -> bool:
        try:
            with connect(url, client="test") as store:
                found = [each.requests for each in store.clients() if each.name == "benchmark-tool"]
        except QcoreError:
            return False
        return len(found) == connections and sum(found) >= requests

    until(asked, lambda: f"{connections} connections have asked")


def load_processes(tool: int) -> list[int]:
    """The processes that the tool has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            before, _, after = stat.read_text().rpartition(")")
            if int(after.split()[1]) == tool:
                found.append(int(before.split()[0]))
    return found


def name_in(text: str) -> str:
    """The name of the run that is told of."""
    found = re.search(r"Benchmark_[0-9a-f]{8}", text)
    assert found, text
    return found[0]


@pytest.mark.usefixtures("untouched")
def test_every_test_is_run_and_agrees_with_what_the_server_has_counted(bench: Bench, node: NodeProcess) -> None:
    done = bench("--json", "--seed", "1")
    assert (done.returncode, done.stderr) == (0, "")
    found = records(done)
    assert [each["test"] for each in found] == list(WORKLOADS)
    with connect(node.url) as store:
        info = store.info()
    for each in found:
        assert (each["requests"], each["errors"], each["server"]["requests"]) == (40, {}, 40)
        assert each["requests_per_second"] == pytest.approx(each["server"]["requests_per_second"])
        assert (each["engine"], each["durability"], each["node"]) == (info.engine, info.durability, info.node)
        assert (each["clients"], each["keyspace"], each["seed"], each["url"]) == (4, 30, 1, node.url)
        times = list(each["latency_ms"].values())
        assert times[0] > 0
        assert list(each["latency_ms"]) == ["min", "avg", "p50", "p95", "p99", "p99.9", "max"]
        assert sorted(times[2:]) == times[2:]
        assert list(each["server"]["latency_ms"]) == ["avg", "p50", "p95", "p99", "p99.9"]


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.usefixtures("untouched")
def test_people_see_a_histogram_that_fits_their_terminal(node: NodeProcess, columns: int) -> None:
    done = run("benchmark", *SMALL, "--test", "set,Get", url=node.url, COLUMNS=str(columns))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"qcore 0.1.0 at {node.url}: node 1, leader"
    assert lines[1].startswith("engine ")
    server = lines[1]
    titles = [line for line in lines if "requests/s (" in line]
    assert [title.partition(":")[0] for title in titles] == ["SET", "GET"]
    assert all(title.endswith(f" requests/s ({server})") for title in titles)
    assert sum(line.split()[:1] == ["client"] for line in lines) == 2
    assert sum(line.split()[:1] == ["server"] for line in lines) == 2
    assert sum("█" in line for line in lines) >= 2
    assert max(map(len, lines)) <= columns


def test_a_terminal_without_blocks_gets_hashes(node: NodeProcess) -> None:
    done = run("benchmark", *SMALL, "--test", "PING", url=node.url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ms  " in done.stdout
    assert "####" in done.stdout


def test_csv_and_a_line_for_each_test(bench: Bench) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("--csv", "--tests", "PING", "--test", "DELETE").stdout)))
    assert [(row["test"], row["requests"], row["errors"]) for row in rows] == [
        ("PING", "40", "0"),
        ("DELETE", "40", "0"),
    ]
    assert all(row["engine"] and row["durability"] == "fsync" and float(row["p99.9_ms"]) > 0 for row in rows)
    assert all(float(row["server_requests_per_second"]) > 0 and float(row["server_p99_ms"]) > 0 for row in rows)
    out = bench("-q", "--test", "PING,GET").stdout.splitlines()
    assert [line.partition(":")[0] for line in out] == ["PING", "GET"]
    assert all(
        re.search(r"requests/s, p50 .* ms, p99 .* ms, no errors \(engine .*, durability fsync\)$", x) for x in out
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--clients 3 --requests 2 --consistency local --data-size 0", {"clients": 2, "consistency": "local"}),
        ("-P 16 --data-size 100000 --processes 3", {"pipeline": 16, "data_size": 100_000, "processes": 3}),
        ("--pipeline 7 --keyspace 1 --processes 9", {"pipeline": 7, "keyspace": 1, "processes": 4}),
        ("--requests 1100 --keyspace 1100 --warmup 0.05", {"requests": 1100, "keyspace": 1100, "warmup": 0.05}),
    ],
)
@pytest.mark.usefixtures("untouched")
def test_each_option_does_what_it_says(bench: Bench, words: str, expected: dict[str, Any]) -> None:
    done = bench("--json", "--test", "SET,GET,CREATE,DELETE,FINDPAG,LISTEN", *words.split())
    assert done.returncode == 0, done.stderr
    found = records(done)
    assert len(found) == 6
    for each in found:
        assert expected == {key: each[key] for key in expected}
        assert each["errors"] == {}
        assert each["requests"] == each["server"]["requests"]


@pytest.mark.usefixtures("untouched")
def test_a_test_may_be_run_for_a_time(node: NodeProcess) -> None:
    words = "--duration 0.2 --clients 4 --warmup 0.1 --test GET,DELETE --json"
    done = run("benchmark", *words.split(), url=node.url)
    assert done.returncode == 0, done.stderr
    for each in records(done):
        assert each["requests"] > 0
        assert each["seconds"] >= 0.2
        assert each["errors"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clients", "0"], "--clients"),
        (["--clients", "many"], "--clients"),
        (["--requests", "0"], "--requests"),
        (["--requests", "-5"], "--requests"),
        (["--requests", "1" + 30 * "0"], "--requests"),
        (["--test", "NOPE"], "there is no test NOPE: expected some of PING, EXISTS"),
        (["--test", "GET,"], "--test"),
        (["-P", "0"], "--pipeline"),
        (["--data-size", "-1"], "--data-size"),
        (["--data-size", "8388609"], "--data-size"),
        (["--keyspace", "0"], "--keyspace"),
        (["--duration", "0"], "--duration"),
        (["--duration", "nan"], "--duration"),
        (["--duration", "inf"], "--duration"),
        (["--warmup", "-1"], "--warmup"),
        (["--consistency", "eventual"], "--consistency"),
        (["--seed", "-1"], "--seed"),
        (["--processes", "0"], "--processes"),
        (["--csv", "--json"], "one of --csv, --json and -q"),
        (["--remove", "User"], "'User' is no run of this tool"),
        (["extra"], "extra"),
    ],
)
def test_wrong_words_are_2(words: list[str], said: str) -> None:
    done = run("benchmark", *words, url="127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_values_that_no_message_can_hold_are_refused_before_anything_is_made(node_factory: NodeFactory) -> None:
    node = node_factory("--max-message-mb", "1")
    node.start()
    done = run("benchmark", *SMALL, "--data-size", "1000000", url=node.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--data-size 1000000: the server takes messages of 1 MB" in done.stderr
    with connect(node.url) as store:
        assert (store.types().items, store.info().revision) == (["Object", "Root"], 0)


def test_what_is_kept_is_told_and_can_be_removed(bench: Bench, node: NodeProcess) -> None:
    before = content(node)
    done = bench("--test", "CREATE,DELETE,GET", "--keep", "-q")
    assert done.returncode == 0
    name = name_in(done.stderr)
    assert done.stderr.startswith(f"kept: 30 of {name}, 40 of {name}_New, ")
    assert done.stderr.endswith(f"; benchmark-tool --remove {name} removes it\n")
    with connect(node.url) as store:
        assert [store.count(each, exact=True).count for each in (name, f"{name}_New")] == [30, 40]
    assert run("benchmark", "--remove", name, url=node.url).returncode == 0
    assert content(node) == before
    again = run("benchmark", "--remove", name, url=node.url)
    assert (again.returncode, again.stderr) == (1, f"benchmark-tool: there is no {name} in the store\n")


@pytest.mark.usefixtures("untouched")
def test_two_runs_at_once_do_not_disturb_each_other(node: NodeProcess) -> None:
    words = *SMALL, "--seed", "1", "--requests", "300", "-q"
    with started(node.url, *words) as one, started(node.url, *words) as other:
        for running in (one, other):
            out, _ = running.communicate(timeout=DEADLINE)
            assert running.returncode == 0
            assert out.count("no errors") == len(WORKLOADS)


@pytest.mark.parametrize("test", ["CREATE", "DELETE", "LISTEN"])
@pytest.mark.usefixtures("untouched")
def test_control_c_removes_everything_and_is_130(node: NodeProcess, test: str) -> None:
    with started(node.url, *ENDLESS, "--test", test) as running:
        until_asked(node.url)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=DEADLINE)
    assert (running.returncode, err) == (130, "")
    assert out.startswith("qcore ")


@pytest.mark.usefixtures("untouched")
def test_control_c_while_entities_are_made_removes_them(node: NodeProcess) -> None:
    with started(node.url, "--keyspace", "1000000") as running:
        until_asked(node.url, connections=1, requests=600)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=DEADLINE)
    assert (running.returncode, out, err) == (130, "", "")


@pytest.fixture
def hangs_up() -> Iterator[None]:
    """Have a process that is begun end by SIGHUP, also where these tests run by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("untouched", "hangs_up")
def test_who_is_told_to_end_removes_everything_too(node: NodeProcess, number: signal.Signals) -> None:
    with started(node.url, *ENDLESS, "--test", "SET") as running:
        until_asked(node.url)
        running.send_signal(number)
        _, err = running.communicate(timeout=DEADLINE)
    assert (running.returncode, err) == (128 + number, "")


@pytest.mark.usefixtures("untouched")
def test_a_reader_who_has_seen_enough_ends_the_run(node: NodeProcess) -> None:
    with started(node.url, *SMALL, "--json") as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["test"] == "PING"
        running.stdout.close()
        assert running.wait(DEADLINE) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""


@pytest.mark.usefixtures("untouched")
def test_a_process_of_the_load_that_is_killed_ends_the_run(node: NodeProcess) -> None:
    with started(node.url, *ENDLESS, "--test", "SET", "-q") as running:
        until_asked(node.url)
        os.kill(load_processes(running.pid)[0], signal.SIGKILL)
        out, err = running.communicate(timeout=DEADLINE)
    assert (running.returncode, out, err) == (1, "", "benchmark-tool: a process that generates load has ended\n")


def test_a_tool_that_is_killed_takes_the_load_along(node: NodeProcess) -> None:
    before = content(node)
    with started(node.url, *ENDLESS, "--test", "SET") as running:
        until_asked(node.url)
        assert load_processes(running.pid)
        running.kill()
        running.communicate(timeout=DEADLINE)
    until(lambda: not any("qcore_tools.benchmark" in line for line in children().values()), lambda: str(children()))
    left = {name.partition("_New")[0].partition("_Folder")[0] for name in content(node)[0]} - set(before[0])
    (name,) = left
    assert run("benchmark", "--remove", name, url=node.url).returncode == 0
    assert content(node) == before


def test_a_server_that_goes_away_is_3_and_what_is_left_is_named(mortal: NodeProcess) -> None:
    before = content(mortal)
    with started(mortal.url, *ENDLESS, "--test", "GET,SET") as running:
        until_asked(mortal.url)
        mortal.kill()
        out, err = running.communicate(timeout=DEADLINE)
    assert running.returncode == 3
    assert "GET: " in out
    assert "4 errors" in out
    assert "connection_lost: 4 times: " in out
    assert "SET: " not in out
    assert "GET: connections were lost, no further test is run\n" in err
    name = name_in(err)
    assert f"{name} may be left in the store: " in err
    mortal.start()
    assert run("benchmark", "--remove", name, url=mortal.url).returncode == 0
    assert content(mortal) == before


def test_a_server_that_comes_back_is_cleaned_up_and_it_is_1(mortal: NodeProcess) -> None:
    before = content(mortal)
    with started(mortal.url, *ENDLESS, "--wait", "60", "--test", "SET") as running:
        until_asked(mortal.url)
        mortal.stop()
        mortal.start()
        out, err = running.communicate(timeout=DEADLINE)
    assert running.returncode == 1
    assert re.search(r", [1-9]\d* errors?\n  ", out)
    assert err.splitlines()[-1] == "SET: connections were lost, no further test is run"
    assert content(mortal) == before


def test_a_store_that_takes_no_writes_is_1_and_nothing_is_left(node_factory: NodeFactory) -> None:
    node = node_factory("--disk-reserve-mb", "1048576")
    node.start()
    done = run("benchmark", *SMALL, url=node.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("benchmark-tool: ")
    assert done.stderr.count("\n") == 1
    with connect(node.url) as store:
        assert store.types().items == ["Object", "Root"]


def test_connections_that_the_server_refuses_are_told(node_factory: NodeFactory) -> None:
    node = node_factory("--max-connections", "3")
    node.start()
    done = run("benchmark", *SMALL, "--test", "PING", url=node.url)
    assert done.returncode == 3
    assert re.fullmatch(rf"benchmark-tool: connection [1-4] of 4 to {node.url}: refused with 503 .*\n", done.stderr)


@pytest.mark.skipif(find_spec("qcore_openraft") is None, reason="the OpenRaft extension is not built")
def test_a_follower_is_measured_as_what_it_is(tmp_path: Path, fault_library: Path) -> None:
    with Nodes(tmp_path, 3, fault_library) as nodes:
        follower = nodes.others(nodes.leader())[0]
        process = nodes.processes[follower]
        done = run("benchmark", *SMALL, "--json", "--wait", "60", "--test", "GET,CREATE,LISTEN", url=process.url)
        assert done.returncode == 0, done.stderr
        for each in records(done):
            assert (each["node"], each["role"], each["engine"]) == (follower, "follower", "openraft")
            assert (each["requests"], each["errors"]) == (40, {})
            assert each["server"]["requests"] >= 40
        with connect(process.url) as store:
            assert store.types().items == ["Object", "Root"]


def test_the_guides_examples_do_what_they_say(node: NodeProcess) -> None:
    section = GUIDE.read_text().partition("\n## benchmark-tool\n")[2].partition("\n## ")[0]
    examples = re.findall(r"^\$ benchmark-tool(.*)$", section, re.MULTILINE)
    assert examples
    for example in examples:
        done = run("benchmark", *example.split(), *SMALL, url=node.url)
        assert (done.returncode, done.stderr) == (0, "")
        shown = re.search(rf"^\$ benchmark-tool{re.escape(example)}\n([A-Z]+): ", section, re.MULTILINE)
        assert shown is None or f"{shown[1]}: " in done.stdout
