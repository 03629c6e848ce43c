"""Who may lead instead of this node, the best first. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from qcore.engine.base import PeerStatus
from qcore.model.entry import Membership, public_id

__all__ = ["successors"]


def successors(itself: int, membership: Membership | None, peers: Iterable[PeerStatus]) -> list[int]:
    """Raft NodeIds of the voters with the data that answer, but for node `itself` (public id), the least lag first.

    One whose lag is not known yet comes last; the newest disk of a node counts.
    """
    if membership is None:
        return []
    voting = {each for config in membership.configs for each in config}
    voters = {public_id(node): node for node in sorted(voting - membership.witnesses)}
    fit = [peer for peer in peers if peer.alive and peer.node in voters and peer.node != itself]
    fit.sort(key=lambda peer: (peer.lag is None, peer.lag or 0, peer.node))
    return [voters[peer.node] for peer in fit]
