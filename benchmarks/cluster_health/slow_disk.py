"""The leader's disk and one follower's are slowed down, one after the other and together: who waits for whom?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.cluster.qcore_cluster import QcoreCluster
from benchmarks.cluster_health.report import COLUMNS, quiet, row
from benchmarks.load import Load
from tests.faults import Faults, Rule, compile_library

__all__ = ["slow_disk"]

LEADER_MS = 20
FOLLOWER_MS = 1000


def slow_disk(folder: Path, seconds: float) -> Iterator[str]:
    """Latency of writes by one client and by fifty, each for so many seconds; the lines to print."""
    library = compile_library(folder)
    faults = {id: Faults(library, folder / f"faults{id}") for id in (1, 2, 3)}

    def env(id: int) -> Mapping[str, str]:
        return faults[id].env

    with QcoreCluster(folder / "slow", env=env) as cluster:
        leader, slow = cluster.leader(), cluster.followers()[0]
        at_leader, at_follower = (Rule("fsync", "delay", ms) for ms in (LEADER_MS, FOLLOWER_MS))
        yield COLUMNS
        for title, on_leader, on_follower in (
            ("no disk is slow", (), ()),
            (f"the leader's by {LEADER_MS} ms", (at_leader,), ()),
            (f"a follower's by {FOLLOWER_MS} ms", (), (at_follower,)),
            ("both", (at_leader,), (at_follower,)),
        ):
            faults[leader + 1].set(*on_leader)
            faults[slow + 1].set(*on_follower)
            for load in (Load(1), Load(50)):
                with quiet(cluster) as elections:
                    done = cluster.load("SET", load, cluster.addresses[leader], "--seconds", str(seconds))
                yield row(f"{title}, {load.connections} clients", done) + elections()
        for each in faults.values():
            each.clear()
