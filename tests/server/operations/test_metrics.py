"""Each metric is documented, is in the text that Prometheus gets, and moves when the thing happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from qcore.engine.base import PeerStatus
from qcore.server.operations.metrics import METRICS
from qcore.server.runtime import budgets
from tests.server.fake_engine import FakeEngine
from tests.server.running import Running, running, taker, until

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
ROW = re.compile(r"\| `(qcore_\w+)` \| (\w+) \| (.*?) \| (.*) \|")

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(run: Running) -> Values:
    """The value of each sample, by its name and labels."""
    text = run.node.metrics.text().decode()
    found: Values = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(run: Running, name: str, **labels: str) -> float:
    return samples(run)[name, tuple(sorted(labels.items()))]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running(tmp_path, listen=True, slow_request_ms=100))


# -- what there is -------------------------------------------------------------------------------------------


async def test_every_metric_is_documented_with_kind_labels_and_help(run: Running) -> None:
    rows = {name: (kind, labels, text) for name, kind, labels, text in ROW.findall(DOCUMENT.read_text("utf-8"))}
    own = {m.name: (m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in METRICS}
    told = {family.name: family for family in parse(run.node.metrics.text().decode())}
    process = {
        name + "_total" * (family.type == "counter"): (family.type, "", family.documentation)
        for name, family in told.items()
        if name.startswith("qcore_process_")
    }
    assert rows == own | process


async def test_every_metric_is_told_as_it_is_documented(run: Running) -> None:
    told = {family.name: family for family in parse(run.node.metrics.text().decode())}
    for metric in METRICS:
        family = told[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample


async def test_alerts_name_metrics_that_there_are() -> None:
    names = {metric.name for metric in METRICS}
    text = DOCUMENT.read_text("utf-8")
    used = set(re.findall(r"qcore_\w+", text)) - set(re.findall(r"qcore_process_\w+", text))
    assert {re.sub("_bucket$", "", name) for name in used} == names


async def test_a_histogram_adds_up(run: Running) -> None:
    client = run.client()
    for _ in range(7):
        await client.result("ping")
    found = [v for (n, labels), v in samples(run).items() if n == "qcore_request_duration_seconds_bucket" and labels]
    assert found == sorted(found)
    assert found[-1] == value(run, "qcore_request_duration_seconds_count", method="ping") == 7


async def test_the_registry_is_the_nodes_own(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as one, running(tmp_path / "b") as two:
        await one.client().result("ping")
        assert value(one, "qcore_requests_total", method="ping", outcome="ok") == 1
        assert ("qcore_requests_total", (("method", "ping"), ("outcome", "ok"))) not in samples(two)


# -- what moves ----------------------------------------------------------------------------------------------


async def test_requests_are_counted_by_method_and_outcome(run: Running) -> None:
    client = run.client()
    await client.result("create", type="Object", name="x")
    await client.kind("get", id=99)
    client.send_text(b"no json")
    await client.result("ping")
    assert value(run, "qcore_requests_total", method="create", outcome="ok") == 1
    assert value(run, "qcore_requests_total", method="get", outcome="not_found") == 1
    assert value(run, "qcore_requests_total", method="unknown", outcome="parse_error") == 1
    assert value(run, "qcore_open_requests") == 0


async def test_the_requests_of_a_batch_array_are_counted_each(run: Running) -> None:
    client = run.client()
    client.send_text(b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"get"}]')
    await until(lambda: 2 in client.answers)
    client.send_text(b"[]")
    await client.result("ping")
    assert value(run, "qcore_requests_total", method="ping", outcome="ok") == 2
    assert value(run, "qcore_requests_total", method="get", outcome="bad_params") == 1
    assert value(run, "qcore_requests_total", method="unknown", outcome="invalid_request") == 1
    assert value(run, "qcore_open_requests") == 0


async def test_a_write_flushes_the_disk_and_grows_the_log(run: Running) -> None:
    before = samples(run)
    await run.client().result("create", type="Object", name="x")
    after = samples(run)
    grown = {name for (name, _), number in after.items() if number > before.get((name, ()), number)}
    assert {"qcore_log_entries", "qcore_log_appended_bytes_total", "qcore_state_revision"} <= grown
    assert {"qcore_state_entities", "qcore_raft_applied_index", "qcore_raft_committed_index"} <= grown
    flushed = ("qcore_fsync_duration_seconds_count", (("call", "fdatasync"),))
    stored = ("qcore_fsync_duration_seconds_count", (("call", "fsync"),))
    assert after[flushed] + after[stored] > before[flushed] + before[stored]


async def test_writes_that_wait_are_counted_while_they_do(tmp_path: Path) -> None:
    async with running(tmp_path, engine=FakeEngine, wait=False) as run:
        client = run.client()
        sent = client.send("create", type="Object", name="x", timeout=0.3)
        assert value(run, "qcore_waiting_writes") == 1
        assert value(run, "qcore_waiting_writes_bytes") > 0
        assert value(run, "qcore_open_requests") == 1
        await until(lambda: sent in client.answers)
        await asyncio.sleep(0)
        assert value(run, "qcore_requests_total", method="create", outcome="no_quorum") == 1
        assert value(run, "qcore_open_requests") == 0


async def test_a_read_that_waits_is_counted_and_slow_when_it_was_answered(run: Running) -> None:
    client = run.client()
    sent = client.send("exists", id=1, min_revision=1, timeout=30)
    client.send("exists", id=1, min_revision=99, timeout=0.15)
    assert value(run, "qcore_waiting_reads") == 2
    await until(lambda: 2 in client.answers)
    await client.result("create", type="Object", name="x")
    await until(lambda: sent in client.answers)
    await client.result("ping")
    assert value(run, "qcore_waiting_reads") == 0
    assert value(run, "qcore_slow_requests_total") == 2
    slow = (await client.result("slowlog"))["items"]
    assert [(each["method"], each["error"]) for each in slow] == [("exists", None), ("exists", "timeout")]
    for each in slow:
        assert each["waited"] > 0.1
        assert round(each["seconds"] - each["waited"] - each["carried_out"], 5) == 0


async def test_connections_and_listeners_are_counted_and_how_they_end(run: Running) -> None:
    client = await run.open()
    client.send(b'{"jsonrpc":"2.0","id":1,"method":"listen","params":{"target":"Object"}}')
    assert "result" in await client.answer()
    assert value(run, "qcore_connections") == value(run, "qcore_connections_opened_total") == 1
    assert value(run, "qcore_subscriptions") == 1
    client.close()
    await until(lambda: not value(run, "qcore_connections"))
    assert value(run, "qcore_connections_opened_total") == 1
    await until(lambda: not value(run, "qcore_subscriptions"))


async def test_a_client_that_does_not_finish_its_message_is_counted(run: Running) -> None:
    run.front.unfinished._max_bytes = 1000
    client = await run.open()
    client.send(b"x" * 2000, fin=False)
    await client.closed()
    assert value(run, "qcore_connections_cut_off_total", reason="unfinished") == 1


async def test_a_client_that_answers_no_ping_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path, listen=True, ping_interval=0.01, ping_timeout=0.01) as run:
        client = await run.open()
        await client.ended()
        assert value(run, "qcore_connections_cut_off_total", reason="silent") == 1


async def test_a_client_that_does_not_read_is_counted(run: Running) -> None:
    run.front.send_queue = 1000
    client = await run.open()
    for _ in range(40):  # answers as long as the requests, which nobody reads
        client.send(b'{"jsonrpc":"2.0","id":"%b","method":"ping"}' % (b"x" * 500_000))
    await until(lambda: value(run, "qcore_connections_cut_off_total", reason="unread"))


async def test_a_snapshot_is_told_and_one_that_failed(run: Running) -> None:
    client = run.client()
    assert ("qcore_snapshot_size_bytes", ()) not in samples(run)
    await client.result("snapshot.take")
    assert value(run, "qcore_snapshots_total", outcome="ok") == 1
    assert value(run, "qcore_snapshot_size_bytes") > 0
    assert value(run, "qcore_snapshot_timestamp_seconds") > 1_700_000_000
    assert value(run, "qcore_snapshot_duration_seconds") > 0
    taker(run.node)._failed("the test says so")
    assert value(run, "qcore_snapshots_total", outcome="failed") == 1
    assert value(run, "qcore_snapshot_running") == 0


async def test_a_full_disk_refuses_writes_by_name(tmp_path: Path) -> None:
    async with running(tmp_path, disk_reserve_mb=1_048_576) as run:
        await run.client().kind("create", type="Object", name="x")
        await asyncio.sleep(0)
        assert value(run, "qcore_requests_total", method="create", outcome="disk_full") == 1
        assert value(run, "qcore_disk_free_bytes") < value(run, "qcore_disk_reserve_bytes")
        assert value(run, "qcore_disk_size_bytes") >= value(run, "qcore_disk_free_bytes")


async def test_the_role_and_its_changes_are_told(tmp_path: Path) -> None:
    async with running(tmp_path, engine=FakeEngine, wait=False) as run:
        engine = run.engine
        assert isinstance(engine, FakeEngine)
        engine.begin()
        assert value(run, "qcore_ready") == 0
        engine.lead()
        assert value(run, "qcore_raft_role", role="leader") == 1
        assert value(run, "qcore_raft_voters") == 2
        assert value(run, "qcore_raft_tolerates_failures") == 0
        engine.follow(2)
        assert value(run, "qcore_raft_role", role="leader") == 0
        assert value(run, "qcore_raft_role", role="follower") == 1
        assert value(run, "qcore_raft_leader") == 2
        assert value(run, "qcore_raft_role_changes_total") == 2
        assert value(run, "qcore_ready") == 1


async def test_other_nodes_are_told_as_the_engine_knows_them(tmp_path: Path) -> None:
    async with running(tmp_path, engine=FakeEngine, wait=False) as run:
        engine = run.engine
        assert isinstance(engine, FakeEngine)
        engine.peers = (PeerStatus(2, alive=True, lag=7), PeerStatus(3, alive=False))
        assert value(run, "qcore_raft_peer_up", peer="2") == 1
        assert value(run, "qcore_raft_peer_up", peer="3") == 0
        assert value(run, "qcore_raft_peer_lag_entries", peer="2") == 7
        assert ("qcore_raft_peer_lag_entries", (("peer", "3"),)) not in samples(run)


async def test_the_loop_is_looked_at_while_the_node_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "LOOP_LOOK_SECONDS", 0.001)
    async with running(tmp_path) as run:
        await until(lambda: value(run, "qcore_loop_lag_seconds_count"))
