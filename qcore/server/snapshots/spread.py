"""When a snapshot is due, so that the replicas of one log do not all take theirs at the same entry.

All replicas apply the same entries, have the same limits, and are slower while they write a snapshot. So each has a
place of its own: its rank among the members, by Raft NodeId, voters first. With `most` entries between two snapshots
and n members, the one of rank r takes its own at the log indexes r * most / n, and every `most` further on: whatever
each of them did before, after two snapshots they are as far apart as they can be. No more than `most` entries pass
between two of one node, and no less than half of them.

Bytes have no common place to count from, and nor has the time that a snapshot takes. There the ranks have different
periods, so that they meet now and then, and not each time: the limit of bytes is up to half smaller, and the pause
after a snapshot up to twice as long.
"""

from __future__ import annotations

from typing import NamedTuple

from qcore.model.entry import Membership

__all__ = ["Place", "place_of"]


class Place(NamedTuple):
    """Of a node among so many `members`, `rank` from 0. A node alone keeps to the limits as they are."""

    rank: int
    members: int

    def due_index(self, covered: int, most: int) -> int:
        """The log index at which the next snapshot is due, the last one having covered the log up to `covered`."""
        if self.members == 1:
            return covered + most
        most = max(most, 1)
        slot = most * self.rank // self.members
        place = covered + 1 + (slot - covered - 1) % most
        return max(place, covered + most // 2)

    def due_bytes(self, most: int) -> int:
        """The bytes of log behind the last snapshot at which the next one is due."""
        return most - most * self.rank // (2 * self.members)

    def pause(self, seconds: float) -> float:
        """How long limits ask for no other snapshot behind one, where a node alone waits so many seconds."""
        return seconds * (self.members + self.rank) / self.members


def place_of(node: int, membership: Membership) -> Place:
    """The place of a node by its Raft NodeId; one that is no member any more has the last one."""
    voters = set().union(*membership.configs)
    members = sorted(membership.nodes.keys() | voters, key=lambda each: (each not in voters, each))
    rank = members.index(node) if node in members else max(len(members) - 1, 0)
    return Place(rank, max(len(members), 1))
