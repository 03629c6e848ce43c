"""Who leads, as the host is to hear it: from what the core says of roles, and from what is committed. No I/O.

A leadership is told once its first entry is committed: then its proposals are accepted, and a quorum was there.
"""

from __future__ import annotations

from collections.abc import Callable

from qcore.model.entry import LogId, public_id

__all__ = ["Roles"]


class Roles:
    """The role of node `itself` (Raft NodeId), told to `leading(term)` and `following(leader, term)`.

    Attributes:
        name: what the core calls it: leader, follower, candidate or learner.
        term: the latest term.
        leader: Raft NodeId of who leads, None if nobody is known to.
        leads: whether the host was told that this node leads, and nothing else since.
        alone: whether this node is the only member.
    """

    def __init__(
        self, itself: int, leading: Callable[[int], None], following: Callable[[int | None, int], None]
    ) -> None:
        self.name = "follower"
        self.term = 0
        self.leader: int | None = None
        self.leads = False
        self.alone = False
        self._self = itself
        self._leading = leading
        self._following = following
        self._won = False
        self._leadership = 0
        """The stretch that the present leadership began, so that a new one of the same term is another."""
        self._told = 0
        self._opened = 0
        """The latest term of which an entry of this node's own is committed."""

    def heard(self, name: str, term: int, leader: int | None, leads: bool, members: list[int], stretch: int) -> None:
        """The core says who leads."""
        was, self.leader = (self.leader, self.term), leader
        self.name, self.term, self._won, self._leadership = name, term, leads, stretch
        self.alone = members == [self._self]
        if leads:
            self._tell()
        elif self.leads or leader != was[0] or (leader is not None and term != was[1]):
            self.leads = False
            self._following(None if leader is None else public_id(leader), term)

    def committed(self, id: LogId) -> None:
        """An entry is committed."""
        if id.node == self._self and id.term > self._opened:
            self._opened = id.term
            self._tell()

    def ended(self) -> None:
        """Nothing is led any more."""
        self.leads = self._won = False
        self.leader = None

    def _tell(self) -> None:
        if self._won and self._opened == self.term and (not self.leads or self._told != self._leadership):
            self.leads, self._told = True, self._leadership
            self._leading(self.term)
