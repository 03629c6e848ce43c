from __future__ import annotations

import json
from collections import Counter

import pytest

from qcore_tools.benchmark.chart import HASHES
from qcore_tools.benchmark.measuring import Outcome
from qcore_tools.benchmark.plan import Plan
from qcore_tools.benchmark.report import About, Format, Report, notes
from qcore_tools.benchmark.server_metrics import ServerMetrics
from qcore_tools.benchmark.workloads import WORKLOADS

ABOUT = About("ws://a:1", "1.2", 2, "follower", "openraft", "fsync")
PLAN = Plan(["SET"], 50, 100, 2.5, 1, 16, 1000, 0.5, "leader", 7, None, False)


def outcome(count: int = 100, counted: int = 100, **changes: object) -> Outcome:
    counts = {0.0025: counted // 2, 0.005: counted, float("inf"): counted}
    took = [{3000: count - 1, 123_456: 1}] if count else []
    found = {"seconds": 2.0, "server": ServerMetrics(counted, counted * 0.002, counts), "microseconds": took}
    return Outcome(WORKLOADS["SET"], 50, **{**found, **changes})  # type: ignore[arg-type]


def report(format: Format = "human") -> Report:
    return Report(format, ABOUT, PLAN, 60, HASHES)


def test_people_read_who_was_measured_how_and_both_sides_of_it() -> None:
    assert report().begin().splitlines() == [
        "qcore 1.2 at ws://a:1: node 2, follower",
        "engine openraft, durability fsync",
        "50 clients, 100 requests or 2.5 s a test, pipeline 1, 16 bytes,",
        "1,000 entities, leader reads, warm-up 0.5 s, seed 7",
    ]
    assert report().result(outcome()).splitlines() == [
        "",
        "SET: 50 requests/s (engine openraft, durability fsync)",
        "  write a field; 100 requests in 2.00 s, no errors",
        "      ms    min    avg    p50    p95    p99  p99.9    max  requests/s",
        "  client  3.000  4.205  3.000  3.000  3.000  123.5  123.5          50",
        "  server      -  2.000   ~2.5   ~4.8   ~5.0   ~5.0      -          50",
        "",
        "    to 3 ms   99.00 %  #####################################",
        "    to 5 ms    0.00 %",
        "    to 7 ms    0.00 %",
        "   to 10 ms    0.00 %",
        "   to 15 ms    0.00 %",
        "   to 20 ms    0.00 %",
        "   to 30 ms    0.00 %",
        "   to 50 ms    0.00 %",
        "   to 70 ms    0.00 %",
        "  to 100 ms    0.00 %",
        "  to 150 ms    1.00 %  #",
    ]


def test_errors_stand_by_their_kind_with_an_example() -> None:
    failed = outcome(0, 0, errors=Counter(busy=3, no_quorum=1), samples={"busy": "too much", "no_quorum": "nobody"})
    lines = report().result(failed).splitlines()
    assert lines[2:6] == [
        "  write a field; 0 requests in 2.00 s, 4 errors",
        "  busy: 3 times: too much",
        "  no_quorum: once: nobody",
        "      ms  min  avg  p50  p95  p99  p99.9  max  requests/s",
    ]
    told = ["SET: busy: 3 times: too much", "SET: no_quorum: once: nobody"]
    assert [notes(failed, format) for format in ("human", "json", "csv", "quiet")] == [[], told, told, told]
    assert json.loads(report("json").result(failed))["errors"] == {"busy": 3, "no_quorum": 1}
    cells = report("csv").result(failed).split(",")
    assert len(cells) == len(report("csv").begin().split(","))
    assert cells[:4] == ["SET", "0.0", "0", "4"]


@pytest.mark.parametrize("format", ["human", "json", "csv", "quiet"])
def test_a_server_that_tells_nothing_is_left_out(format: Format) -> None:
    text = report(format).result(outcome(0, seconds=0.0, server=None))
    assert "openraft" in text
    assert "fsync" in text


def test_what_makes_a_figure_doubtful_is_told() -> None:
    assert notes(outcome(), "csv") == []
    assert notes(outcome(counted=112), "human") == ["SET: the server has counted 112 requests: others use it, too"]
    assert notes(outcome(server=None), "human") == [
        "SET: the server's own metrics are not there, or began anew meanwhile"
    ]
    assert notes(outcome(2000, 2000, busy_seconds=1.9, processes=4), "human") == [
        "SET: a process of the load had something to do 95 % of the time: the server may do more, try --processes 8"
    ]
    assert notes(outcome(busy_seconds=1.9), "human") == []


def test_what_comes_from_the_server_cannot_command_a_terminal() -> None:
    evil = outcome(99, errors=Counter({"a\x1b": 1}), samples={"a\x1b": "b\n\u202e"})
    assert "  a\\u001b: once: b\\u000a\\u202e" in report().result(evil).splitlines()
