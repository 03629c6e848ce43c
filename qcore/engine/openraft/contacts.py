"""What this node knows of the others: whom it reaches, how far each one is, and when a quorum was last there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qcore.engine.base import PeerStatus
from qcore.model.entry import LogId, public_id

if TYPE_CHECKING:
    from qcore_openraft import StatusParts

__all__ = ["Contacts"]


class Contacts:
    """Told by the link on its thread, and by the core's status on the loop's."""

    def __init__(self) -> None:
        self._links: dict[int, bool] = {}
        """Whether each other node can be reached, by Raft NodeId."""
        self._quorum_at: float | None = None
        """Monotonic time at which a quorum was last known to be there."""

    def set_link(self, node: int, up: bool) -> None:
        """A node can be reached, or cannot."""
        self._links[node] = up

    def heard_leader(self) -> None:
        """The leader has sent something: it was there with a quorum a moment ago, as far as a follower can know."""
        self._quorum_at = time.monotonic()

    def note(self, leading: StatusParts | None) -> None:
        """Take the core's status of a node that leads, which knows of a quorum by the answers of the others."""
        if leading is not None and leading[5] is not None:
            self._quorum_at = max(self._quorum_at or 0.0, time.monotonic() - leading[5])

    def quorum_age(self) -> float | None:
        """Seconds since a quorum was last known to be there, None if it never was."""
        return None if self._quorum_at is None else time.monotonic() - self._quorum_at

    def stored(self, leading: StatusParts, id_at: Callable[[int], LogId | None]) -> dict[int, LogId]:
        """How far each node that the link was told of has the committed log; `id_at` gives the id of an entry."""
        committed, found = leading[4], {}
        for node, matched in leading[6]:
            if node in self._links and matched is not None and committed is not None:
                id = id_at(min(matched, committed))
                if id is not None:
                    found[node] = id
        return found

    def peers(self, leading: StatusParts | None, last: LogId | None) -> tuple[PeerStatus, ...]:
        """The nodes that the link was told of; how far each one is only the leader knows."""
        matched = {} if leading is None else dict(leading[6])
        peers = {}
        for node, up in sorted(self._links.copy().items()):
            at = matched.get(node)
            lag = None if at is None or last is None else max(last.index - at, 0)
            peers[public_id(node)] = PeerStatus(public_id(node), up, lag)
        return tuple(peers.values())
