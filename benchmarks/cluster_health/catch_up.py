"""A follower that is far behind comes back: how long until it is there, and what do writes wait meanwhile?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.cluster.qcore_cluster import QcoreCluster, node_metrics
from benchmarks.cluster_health.report import COLUMNS, quiet, row
from benchmarks.load import Load
from tests.process import DEADLINE, NodeProcess

__all__ = ["catch_up"]

LOAD = Load(3)
"""So few that nearly each write is an entry of its own."""

CHUNK = 1_000
NEAR = 50
"""Entries behind the leader with which a follower counts as there, as the load goes on."""


def catch_up(folder: Path, entries: int, seconds: float, *, keep_log: bool) -> Iterator[str]:
    """Stop a follower, write so many entries, start it under load; the lines to print.

    With `keep_log` nothing is purged, so that it gets entries; otherwise it gets a snapshot and what follows.
    """
    limits = ("--max-log-files", str(10 * entries), "--max-log-size-mb", "10000") if keep_log else ()
    with QcoreCluster(folder / f"behind_{'log' if keep_log else 'snapshot'}", *limits) as cluster:
        leader, place = cluster.leader(), cluster.followers()[0]
        lagging, where = cluster.nodes[place], cluster.addresses[leader]
        yield COLUMNS
        yield row("all three are there", cluster.load("SET", LOAD, where, "--seconds", str(seconds)))
        lagging.stop()
        wanted = _last(cluster.nodes[leader]) + entries
        while _last(cluster.nodes[leader]) < wanted:
            cluster.load("SET", LOAD, where, "--requests", str(CHUNK))
        yield row("a follower is stopped", cluster.load("SET", LOAD, where, "--seconds", str(seconds)))
        with quiet(cluster) as elections, ThreadPoolExecutor(1) as thread:
            load = thread.submit(cluster.load, "SET", LOAD, where, "--seconds", str(seconds))
            begun = time.monotonic()
            lagging.start()
            started = time.monotonic() - begun
            _wait_until_level(cluster.nodes[leader], lagging)
            took = time.monotonic() - begun
            done = load.result()
        yield row("while it comes back", done) + elections()
        still = f", without load from {seconds:g} s on" if took > seconds else ""
        by = "its log" if keep_log else "a snapshot"
        yield f"{entries:,} entries behind, by {by}: listened in {started:.1f} s, was there in {took:.1f} s{still}"


def _last(node: NodeProcess) -> float:
    return node_metrics(node)["qcore_raft_last_index"]


def _wait_until_level(leader: NodeProcess, lagging: NodeProcess) -> None:
    end = time.monotonic() + DEADLINE * 5
    while node_metrics(lagging)["qcore_raft_applied_index"] < _last(leader) - NEAR:
        if time.monotonic() > end:
            raise TimeoutError(f"it is still behind:\n{lagging.log()}")
        time.sleep(0.05)
