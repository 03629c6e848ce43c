"""Whether a node should get requests now, and if not the reason by its name."""

from __future__ import annotations

from typing import NamedTuple

from qcore.engine.base import EngineStatus
from qcore.server.operations.members import Cluster, is_led
from qcore.server.runtime import budgets

__all__ = ["REASONS", "NotReady", "readiness"]

REASONS = ("stopping", "no_leader", "no_quorum", "setting_up", "behind")
"""The names of reasons."""


class NotReady(NamedTuple):
    """Why a node should not get requests: a stable word, and a sentence."""

    name: str
    sentence: str


def readiness(
    status: EngineStatus, cluster: Cluster, applied: int, *, stopping: bool, set_up: bool, forming: str | None = None
) -> NotReady | None:
    """Why a node that has `applied` the log so far is not ready, None where it is.

    `forming` says what it waits for while it belongs to no cluster, `set_up` that writes flow here, if this node leads.
    """
    if stopping:
        return NotReady("stopping", "the node is stopping")
    if forming is not None:
        return NotReady("no_leader", forming)
    if status.leader is None:
        return NotReady("no_leader", f"there is no leader: {cluster.why_no_leader()}")
    leads, age = status.role == "leader", status.quorum_age
    if leads and age is not None and age > budgets.READY_QUORUM_SECONDS:
        return NotReady("no_quorum", f"this node leads, but has not heard of a quorum for {age:.0f} s")
    if not is_led(status):
        return NotReady("no_leader", f"node {status.leader} led and is not heard: {cluster.why_no_leader()}")
    if leads and not set_up:
        return NotReady("setting_up", "this node has begun to lead, and writes do not flow yet")
    behind = (-1 if status.committed is None else status.committed) - applied
    if behind > budgets.READY_LAG_ENTRIES:
        return NotReady("behind", f"{behind} entries of the log are to be applied yet")
    return None
