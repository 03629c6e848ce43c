"""What all parts print alike, and what each watches: whether another node began to lead, or one was not linked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from benchmarks.cluster.qcore_cluster import QcoreCluster, node_metrics
from benchmarks.load import Measured

__all__ = ["COLUMNS", "quiet", "row", "unlinked"]

COLUMNS = f"{'':<44}{'/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"

_PAUSE = 0.1
"""Seconds between two looks."""


def row(title: str, done: Measured) -> str:
    """A line under `COLUMNS`."""
    times = "".join(f"{us / 1000:>9.1f}" for us in (done.p50_us, done.p99_us, done.max_us))
    failed = f"  {done.errors} errors, {done.closed} connections lost" if done.errors or done.closed else ""
    return f"{title:<44}{done.rate:>9,.0f}{times}{failed}"


def _term(cluster: QcoreCluster) -> float:
    return max(node_metrics(node)["qcore_raft_term"] for node in cluster.nodes if node.running)


@contextlib.contextmanager
def quiet(cluster: QcoreCluster) -> Iterator[Callable[[], str]]:
    """Gives what says, behind the block, whether there was an election within it: nothing if there was none."""
    before = _term(cluster)
    terms = 0.0
    yield lambda: f"  {terms:.0f} ELECTIONS" if terms else ""
    terms = _term(cluster) - before


@contextlib.contextmanager
def unlinked(cluster: QcoreCluster) -> Iterator[Callable[[], tuple[int, int]]]:
    """Gives the looks at all nodes within the block, and how many of them saw a peer that could not be reached."""
    seen = [0, 0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(_PAUSE):
            for node in cluster.nodes:
                up = [value for name, value in node_metrics(node).items() if name.startswith("qcore_raft_peer_up")]
                seen[0] += 1
                seen[1] += not all(up)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: (seen[0], seen[1])
    finally:
        over.set()
        thread.join()
