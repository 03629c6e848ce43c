"""The membership task: how a leader lets its cluster grow, shrink and heal, sans-I/O, one change at a time.

Nothing is remembered that a new leader would have to know: each decision is made anew of the committed membership, the
list of removed disks and who is linked. So whatever a leader left half done, the next one finishes.

In this order, of which the first that is to be done comes first:

1. a joint membership is left;
2. a member whose disk is on the list of removed ones is taken out, a leader after it has handed over;
3. a member that is reached at another address is noted there;
4. a node on a new disk takes the place of the member with its id: that one's disk goes on the list;
5. a node that belongs to the cluster and is no member is added, as a learner;
6. a learner that has caught up is promoted: the second and the third voter at once, later ones in pairs, a witness
   where it makes an even number of voters that have the data an odd one.

Beside that blank nodes are offered to belong to the cluster, a new disk under a known id as the next generation. That
is no change of the membership, and who does not take the offer holds nobody up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from qcore.cluster.membership.view import (
    AddLearner,
    Admit,
    Change,
    HandOver,
    LeaveJoint,
    LinkedNode,
    ListRemoved,
    Promote,
    Remove,
    SetAddress,
    View,
)
from qcore.model.entry import GENERATIONS, generation_of, public_id, raft_node_id
from qcore.model.hosts import host_address

__all__ = ["MembershipTask", "removal_problem", "witness_problem"]

_CLOSE_ENTRIES = 100
_CLOSE_SECONDS = 1.0
"""A learner has caught up that lacks no more entries, and none that the leader had so long ago."""

_GONE_SECONDS = 3.0
"""A member was away for so long before an empty disk takes its place: it might just be linking."""

_LOOKS = 2
"""So many times in a row it has to be seen like that."""


class MembershipTask:
    """Of one leadership. `look` is called every half second or so, and not while a change is under way.

    Attributes:
        wished: Raft NodeIds of learners that get a vote as soon as they have caught up, however many vote already.
    """

    def __init__(self) -> None:
        self.wished: set[int] = set()
        self._lasts: deque[tuple[float, int]] = deque()
        """The leader's last index at earlier looks, the oldest one being just old enough."""
        self._seen: dict[int, int] = {}
        """How many times in a row a learner was seen to have caught up."""
        self._there: dict[int, float] = {}
        """When each member was last seen to be linked, at first when this leadership began to look."""

    def look(self, view: View, now: float) -> Change | None:
        """What to do next, at monotonic time `now`; None where nothing is to be done."""
        self._note_progress(view, now)
        self._note_presence(view, now)
        if len(view.membership.configs) > 1:
            return LeaveJoint()
        return next(self._changes(view), None)

    def offers(self, view: View, now: float) -> list[Admit]:
        """Which nodes to offer to belong to the cluster; it may be said again and again."""
        return list(self._admissions(view, now))

    def waiting(self, view: View) -> dict[int, str]:
        """Why a node is no voter, by the id people see; of members and of linked nodes."""
        found = {each.id: self._why_no_member(view, each) for each in view.linked if not view.is_member(each)}
        for node in view.learners:
            found[public_id(node)] = self._why_learner(view, node)
        for node in view.membership.nodes:
            if view.is_removed(node):
                why = "" if node not in view.voters else removal_problem(view, node)
                found[public_id(node)] = f"is to be removed: {why}" if why else "is being removed"
        return {id: why for id, why in found.items() if why}

    def has_caught_up(self, node: int) -> bool:
        """Whether a learner may get a vote."""
        return self._seen.get(node, 0) >= _LOOKS

    # -- decisions ---------------------------------------------------------------------------------------------

    def _changes(self, view: View) -> Iterator[Change]:
        yield from _removals(view)
        yield from _addresses(view)
        yield from _replacements(view)
        yield from _additions(view)
        yield from self._promotions(view)

    def _promotions(self, view: View) -> Iterator[Change]:
        ready = [
            node
            for node in view.learners
            if self.has_caught_up(node) and not view.is_removed(node) and not witness_problem(view, node)
        ]
        nodes = [node for node in ready if not view.is_witness(node)]
        voters, room = len(view.voters), view.max_voters - len(view.voters)
        needed = 1 if voters < 3 or voters % 2 == 0 else 2
        chosen = [node for node in ready if node in self.wished]
        if not chosen and len(nodes) >= needed and room >= needed:
            chosen = nodes
        if not chosen and room and voters % 2 == 0:
            chosen = [node for node in ready if view.is_witness(node)]
        yield from map(Promote, chosen)

    def _admissions(self, view: View, now: float) -> Iterator[Admit]:
        """Offer membership to blank nodes; to one under a known id as another generation, if that one is gone."""
        for found in _joining(view):
            if found.cluster or found.id == public_id(view.node):
                continue
            known = view.of_id(found.id)
            if known is not None and not (view.lists_removed and self._is_gone(known, now)):
                continue
            used = [node for node in [*view.membership.nodes, *view.removed.values()] if public_id(node) == found.id]
            generation = max([*map(generation_of, used), generation_of(found.node) - 1]) + 1
            if generation < GENERATIONS:
                yield Admit(found.node, raft_node_id(found.id, generation))

    def _is_gone(self, node: int, now: float) -> bool:
        return now - self._there.get(node, now) >= _GONE_SECONDS

    # -- who is there, and how far learners are --------------------------------------------------------------

    def _note_presence(self, view: View, now: float) -> None:
        self._there = {
            node: now if view.member(node) is not None else self._there.get(node, now) for node in view.membership.nodes
        }

    def _note_progress(self, view: View, now: float) -> None:
        lasts = self._lasts
        lasts.append((now, view.last))
        while len(lasts) > 1 and lasts[1][0] <= now - _CLOSE_SECONDS:
            lasts.popleft()
        self._seen = {node: self._seen.get(node, 0) + 1 for node in view.learners if self._is_close(view, node)}

    def _is_close(self, view: View, node: int) -> bool:
        found = view.member(node)
        if found is None or found.lag is None or found.lag > _CLOSE_ENTRIES:
            return False
        return view.last - found.lag >= self._lasts[0][1]

    # -- reasons -----------------------------------------------------------------------------------------------

    def _why_learner(self, view: View, node: int) -> str:
        found = view.member(node)
        if found is None:
            return "has no vote: it cannot be reached"
        if not self.has_caught_up(node):
            left = "" if not found.lag else f", {found.lag} entries to go"
            return f"has no vote yet: it is catching up{left}"
        problem = witness_problem(view, node)
        if problem:
            return f"has no vote: {problem}"
        voters = len(view.voters)
        if view.is_witness(node) and voters % 2 and voters < view.max_voters:
            return f"has no vote: {voters} nodes vote, and a witness is of use beside an even number"
        if voters >= view.max_voters or (voters % 2 and voters >= 3 and view.max_voters - voters < 2):
            return f"has no vote: {voters} nodes vote, and max_voters is {view.max_voters}"
        if voters >= 3 and voters % 2:
            return "has no vote yet: one more node has to join, as an even number of voters tolerates no more failures"
        return "is about to get a vote"

    def _why_no_member(self, view: View, found: LinkedNode) -> str:
        if found.incarnation in view.removed:
            return "was removed: only CLUSTER ADD brings it back"
        if found.level < view.level:
            return f"cannot be added: its version knows feature level {found.level}, {view.level} is in force"
        return "is about to be added" if found.cluster in ("", view.cluster) else ""


def removal_problem(view: View, node: int) -> str:
    """Why a member cannot be taken out, "" where it can: the other voters have to be enough without it."""
    voters = view.voters
    if node not in voters:
        return ""
    rest = [voter for voter in voters if voter != node]
    if not rest:
        return "it is the only voter"
    if all(map(view.is_witness, rest)):
        return "no other voter has the data"
    there = [voter for voter in rest if voter == view.node or view.member(voter) is not None]
    needed = len(rest) // 2 + 1
    if len(there) < needed:
        return f"of the voters without it {len(there)} can be reached and {needed} are needed"
    return ""


def witness_problem(view: View, node: int) -> str:
    """Why a member must not vote because it is a witness, "" where it may or is none."""
    if not view.is_witness(node):
        return ""
    if any(map(view.is_witness, view.voters)):
        return "another witness votes already"
    if len(view.voters) < 2:
        return "a witness votes beside two nodes that have the data, and one votes now"
    return ""


def _removals(view: View) -> Iterator[Change]:
    for node in sorted(view.membership.nodes):
        if view.is_removed(node) and not removal_problem(view, node):
            yield from [Remove(node)] if node != view.node else _hand_over(view)


def _hand_over(view: View) -> Iterator[Change]:
    others = [
        found
        for voter in view.voters
        if voter != view.node and not view.is_removed(voter) and not view.is_witness(voter)
        for found in [view.member(voter)]
        if found is not None
    ]
    for found in sorted(others, key=lambda each: (each.lag is None, each.lag or 0)):
        yield HandOver(found.node)


def _addresses(view: View) -> Iterator[Change]:
    known = view.membership.nodes
    own = known.get(view.node)
    if own is not None and own.addr != view.addr and not _is_wildcard(view.addr):
        yield SetAddress(view.node, view.addr)
    for found in view.linked:
        if view.is_member(found) and found.reached and known[found.node].addr != found.addr:
            yield SetAddress(found.node, found.addr)


def _replacements(view: View) -> Iterator[Change]:
    """A disk that was admitted as the next generation is there: the one before it goes, unless it is there as well."""
    for found in view.linked:
        old = view.of_id(found.id)
        if old is None or old >= found.node or found.cluster != view.cluster or not view.lists_removed:
            continue
        if old != view.node and view.member(old) is None and not view.is_removed(old):
            yield ListRemoved(old, view.membership.nodes[old].incarnation)


def _additions(view: View) -> Iterator[Change]:
    for found in _joining(view):
        if found.cluster == view.cluster and view.of_id(found.id) is None:
            yield AddLearner(found.node, found.addr, found.incarnation, found.witness)


def _joining(view: View) -> Iterator[LinkedNode]:
    """Linked nodes that may become members."""
    for found in view.linked:
        if not view.is_member(found) and found.incarnation not in view.removed and found.level >= view.level:
            yield found


def _is_wildcard(addr: str) -> bool:
    address = host_address(addr.rpartition(":")[0].strip("[]"))
    return address is not None and address.is_unspecified
