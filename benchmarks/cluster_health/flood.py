"""So many clients that they could keep the nodes from talking to each other: do they?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.cluster.members import Target, addresses
from benchmarks.cluster.qcore_cluster import QcoreCluster
from benchmarks.cluster_health.report import COLUMNS, quiet, row, unlinked
from benchmarks.load import Load

__all__ = ["flood"]

LOADS = (Load(500), Load(500, 16))
TARGETS: tuple[Target, ...] = ("leader", "all")


def flood(folder: Path, seconds: float) -> Iterator[str]:
    """Writes and reads of 500 clients to the leader and to all nodes, each for so many seconds; the lines to print."""
    with QcoreCluster(folder / "flood") as cluster:
        yield COLUMNS
        for load in LOADS:
            for method in ("SET", "GET"):
                for target in TARGETS:
                    where = addresses(cluster.addresses, cluster.leader(), target)
                    with quiet(cluster) as elections, unlinked(cluster) as looks:
                        done = cluster.load(method, load, where, "--seconds", str(seconds))
                    seen, without = looks()
                    lost = f"  A PEER UNREACHABLE in {without} of {seen} looks" if without else ""
                    shape = f"{method} {load.connections} x {load.depth}, {target}"
                    yield row(shape, done) + elections() + lost
