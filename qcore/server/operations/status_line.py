"""The one line on a node that `systemctl status` shows."""

from __future__ import annotations

from qcore.engine.base import EngineStatus
from qcore.server.operations.members import Cluster
from qcore.server.operations.readiness import NotReady

__all__ = ["status_line"]


def status_line(
    status: EngineStatus,
    cluster: Cluster,
    revision: int,
    not_ready: NotReady | None,
    gathered: tuple[int, int] | None = None,
    problem: str | None = None,
) -> str:
    """Role, leader, term and revision, or what the node waits for.

    Args:
        gathered: how many nodes are there of how many that are needed, while a cluster forms.
        problem: why writes are refused, if they are.
    """
    place = f"term {status.term}, revision {revision}"
    if not_ready is not None and not_ready.name in ("no_leader", "no_quorum"):
        return f"waiting: {_awaited(cluster, not_ready, gathered)}, {place}"
    leader = "none" if status.leader is None else f"{status.leader}"
    line = f"{status.role}, leader {leader}, {place}"
    trouble = problem if not_ready is None else not_ready.sentence
    return line if trouble is None else f"{line}; {trouble}"


def _awaited(cluster: Cluster, not_ready: NotReady, gathered: tuple[int, int] | None) -> str:
    there, needed = gathered or cluster.quorum()
    return f"{there} of {needed} nodes" if there < needed else not_ready.sentence
