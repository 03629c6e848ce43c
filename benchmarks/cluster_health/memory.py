"""Does a node grow with what was written to it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.cluster.qcore_cluster import QcoreCluster
from benchmarks.load import Load

__all__ = ["memory"]

PARTS = 4
EVENTS = 1_000
"""So few are kept for listeners: by default 100,000 are, and a node grows until it has as many."""


def memory(folder: Path, writes: int) -> Iterator[str]:
    """Write so much to the leader, in parts, and show each node's memory after each; the lines to print.

    The first part still fills what is bounded: the log's cache, files that lie ready.
    """
    with QcoreCluster(folder / "memory", "--watch-history", str(EVENTS)) as cluster:
        leader = cluster.leader()
        yield f"{'MiB, writes:':<20}" + "".join(f"{n * writes // PARTS:>10,}" for n in range(PARTS + 1))
        found = [[node.resident_bytes() / 2**20] for node in cluster.nodes]
        for _ in range(PARTS):
            cluster.load("SET", Load(50), cluster.addresses[leader], "--requests", str(writes // PARTS))
            for node, sizes in zip(cluster.nodes, found, strict=True):
                sizes.append(node.resident_bytes() / 2**20)
        for place, sizes in enumerate(found):
            title = f"node {place + 1}" + (", leads" if place == leader else "")
            yield f"{title:<20}" + "".join(f"{size:>10.1f}" for size in sizes)
