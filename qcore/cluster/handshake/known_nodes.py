"""What this node has seen of the others, and with whom it does not talk therefore: lost, copied and rolled-back disks.

Raft holds as long as no voter forgets what it has promised. A directory that was put back from a backup, or runs a
second time somewhere, has forgotten, and nothing in Raft would notice.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from qcore.cluster.handshake.hello import Hello, Refusal
from qcore.model.entry import LogId, Vote, public_id

__all__ = ["KnownNodes", "Own"]


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself in every hello; see `Hello`."""

    cluster: str
    node: int
    incarnation: str
    run: str
    levels: tuple[int, int]
    addr: str
    version: str
    witness: bool = False


class _Live(msgspec.Struct):
    """A node to which there are connections; `count` of them."""

    node: int
    incarnation: str
    run: str
    addr: str
    count: int = 0


class _Seen(msgspec.Struct):
    """The newest that is known of one disk.

    `acknowledged` is a log id that a quorum has and this disk as well, so that it can never be truncated there.
    """

    run: str
    serial: int
    vote: Vote | None
    last: LogId | None
    acknowledged: LogId | None = None


class KnownNodes:
    """Judges hellos by what came before.

    Attributes:
        own: this node.
        removed: incarnations that were taken out of the cluster.
        members: the incarnation of each member by Raft NodeId, as far as this node knows.
    """

    def __init__(self, own: Own) -> None:
        self.own = own
        self.removed: frozenset[str] = frozenset()
        self.members: Mapping[int, str] = {}
        self._live: dict[int, _Live] = {}
        """By the id people see: one at a time may use it, whatever its generation."""
        self._seen: dict[str, _Seen] = {}
        """By incarnation."""

    def judge(self, hello: Hello) -> Refusal | None:
        """Why a node that has proved the secret is not talked to, None where it is."""
        return self._same_node(hello) or self._strange(hello) or self._second(hello) or self._behind(hello)

    def joined(self, hello: Hello) -> None:
        """There is a connection to a node that was judged: count it, and remember what it said."""
        live = self._live.get(hello.id)
        if live is None or live.run != hello.run:
            live = self._live[hello.id] = _Live(hello.node, hello.incarnation, hello.run, hello.addr)
        live.count += 1
        seen = self._seen.get(hello.incarnation)
        if seen is None:
            self._seen[hello.incarnation] = _Seen(hello.run, hello.serial, hello.vote, hello.last)
        elif not _is_older(hello, seen):
            seen.run, seen.serial, seen.vote, seen.last = hello.run, hello.serial, hello.vote, hello.last

    def left(self, hello: Hello) -> None:
        """A connection that `joined` counted is gone."""
        live = self._live.get(hello.id)
        if live is not None and live.run == hello.run:
            live.count -= 1
            if not live.count:
                del self._live[hello.id]

    def acknowledged(self, incarnation: str, last: LogId) -> None:
        """A disk has confirmed the log up to an entry that is committed."""
        seen = self._seen.get(incarnation)
        if seen is not None and (seen.acknowledged is None or seen.acknowledged < last):
            seen.acknowledged = last

    # -- reasons -------------------------------------------------------------------------------------------

    def _same_node(self, hello: Hello) -> Refusal | None:
        if hello.run == self.own.run:
            return Refusal("itself", f"{hello.addr} is this node itself")
        return None

    def _strange(self, hello: Hello) -> Refusal | None:
        own = self.own
        is_removed = hello.incarnation in self.removed
        if own.cluster and hello.cluster and own.cluster != hello.cluster:
            text = f"{_name(hello)} belongs to cluster {hello.cluster}, node {public_id(own.node)} to {own.cluster}"
            after = ", which was recovered without that disk: the node joins it on an empty one" if is_removed else ""
            return Refusal("other_cluster", text + after)
        if is_removed:
            return Refusal("removed", f"{_name(hello)} was removed from the cluster; only cluster.add brings it back")
        return None

    def _second(self, hello: Hello) -> Refusal | None:
        own = self.own
        if hello.id == public_id(own.node):
            return _second_of(hello, own.incarnation, own.addr, "runs")
        live = self._live.get(hello.id)
        member = self.members.get(hello.node, hello.incarnation)
        if live is not None and live.run != hello.run and not self._belongs_here_rather(hello, live):
            return _second_of(hello, live.incarnation, live.addr, "is linked")
        if member != hello.incarnation and not _is_blank(hello):
            text = f"{_name(hello)} has another disk than the cluster's member of this number, {member}"
            return Refusal("second_incarnation", text)
        return None

    def _belongs_here_rather(self, hello: Hello, live: _Live) -> bool:
        """Whether a node is the member of its number, and the one that is linked under it is another disk."""
        return self.members.get(hello.node) == hello.incarnation != live.incarnation != self.members.get(live.node)

    def _behind(self, hello: Hello) -> Refusal | None:
        """Whether a disk has forgotten what it had: an uncommitted entry may go, but not in the term it was written."""
        seen = self._seen.get(hello.incarnation)
        if seen is None or _is_older(hello, seen):
            return None
        if _ballot(hello.vote) < _ballot(seen.vote):
            return Refusal("vote_behind", _put_back(hello, "its vote", _shown(hello.vote), _shown(seen.vote)))
        floor = seen.acknowledged
        steady = seen.last is not None and seen.vote is not None and seen.last.term == seen.vote.term
        if steady and hello.vote == seen.vote and (floor is None or (seen.last and floor < seen.last)):
            floor = seen.last
        if floor is not None and (hello.last is None or hello.last < floor):
            return Refusal("log_behind", _put_back(hello, "its log", _shown(hello.last), _shown(floor)))
        return None


def _is_blank(hello: Hello) -> bool:
    """Whether a disk has nothing of a cluster: then it may become the next generation of its node."""
    return not hello.cluster and hello.vote is None and hello.last is None


def _is_older(hello: Hello, seen: _Seen) -> bool:
    """Whether a hello was made before one that is known: connections overtake each other."""
    return hello.run == seen.run and hello.serial <= seen.serial


def _second_of(hello: Hello, incarnation: str, addr: str, does: str) -> Refusal:
    if hello.incarnation == incarnation:
        text = f"{_name(hello)} runs on the data directory of node {hello.id} that {does} at {addr}, or on a copy of it"
        return Refusal("second_run", text)
    return Refusal("second_incarnation", f"{_name(hello)} has the number of a node that {does} at {addr}")


def _put_back(hello: Hello, what: str, found: str, seen: str) -> str:
    return f"{_name(hello)} has forgotten what it had: {what} is {found} and was {seen}; was an older disk put back?"


def _name(hello: Hello) -> str:
    return f"node {hello.id} at {hello.addr} (disk {hello.incarnation[:8]})"


def _ballot(vote: Vote | None) -> tuple[int, int, bool]:
    return (-1, -1, False) if vote is None else (vote.term, vote.node, vote.committed)


def _shown(found: Vote | LogId | None) -> str:
    if found is None:
        return "empty"
    if isinstance(found, Vote):
        return f"term {found.term} for node {public_id(found.node)}"
    return f"term {found.term} index {found.index}"
