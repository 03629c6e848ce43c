"""Who is a member of a cluster, as one of its nodes sees it."""

from __future__ import annotations

from qcore.client import QcoreError
from qcore.client.blocking import connect
from tests.process import NodeProcess
from tests.proof.nodes import until

__all__ = ["until_votes", "votes"]


def votes(node: NodeProcess) -> dict[int, str]:
    """Who is a member, as a node sees it; nobody if it does not say."""
    try:
        with connect(node.url, timeout=2.0) as store:
            return {each.node: each.vote for each in store.cluster_status().members}
    except QcoreError:
        return {}


def until_votes(node: NodeProcess, wanted: dict[int, str]) -> None:
    until(lambda: votes(node) == wanted, lambda: f"the members are {wanted}, not {votes(node)}\n{node.log()}")
