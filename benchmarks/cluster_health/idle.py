"""Nobody asks for anything: does a node leave its disk alone?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cluster.qcore_cluster import QcoreCluster

__all__ = ["idle"]


def idle(folder: Path, settle: float, watch: float) -> Iterator[str]:
    """After `settle` seconds without a request, watch for so many seconds; the lines to print."""
    with QcoreCluster(folder / "idle") as cluster:
        leader = cluster.leader()
        time.sleep(settle)
        before = [cluster.usage(place) for place in range(len(cluster.nodes))]
        time.sleep(watch)
        yield f"{'':<20}{'bytes written':>16}{'flushes':>9}{'ms of CPU a second':>20}"
        for place, then in enumerate(before):
            used = cluster.usage(place) - then
            title = f"node {place + 1}" + (", leads" if place == leader else "")
            cpu = 1000 * used.cpu_seconds / watch
            yield f"{title:<20}{used.written_bytes:>16,.0f}{used.flushes:>9.0f}{cpu:>20.1f}"
