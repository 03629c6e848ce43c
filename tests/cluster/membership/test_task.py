"""The membership task: single decisions, and random lives of a cluster that it has to bring to rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcore.cluster.membership.task import MembershipTask, removal_problem
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
from qcore.model.entry import Member, Membership, public_id, raft_node_id

CLUSTER = "c" * 32


def disk(id: int, generation: int = 0) -> str:
    return f"{id}-{generation}"


def address(id: int) -> str:
    return f"10.0.0.{id}:8080"


def raft(id: int, generation: int = 0) -> int:
    return raft_node_id(id, generation)


def linked(id: int, generation: int = 0, **given: Any) -> LinkedNode:
    """A member that has caught up, unless it says something else."""
    known: dict[str, Any] = {"cluster": CLUSTER, "addr": address(id), "lag": 0, "level": 6}
    return LinkedNode(node=raft(id, generation), incarnation=disk(id, generation), **known | given)


def members(voters: list[int], learners: tuple[int, ...] = ()) -> Membership:
    known = {raft(id): Member(address(id), disk(id)) for id in (*voters, *learners)}
    return Membership([[raft(id) for id in voters]], known)


def view(membership: Membership, *others: LinkedNode, removed: tuple[str, ...] = (), **given: Any) -> View:
    """Of node 1, which leads."""
    known: dict[str, Any] = {"node": raft(1), "addr": address(1), "cluster": CLUSTER, "level": 6, "last": 1000}
    return View(membership=membership, linked=others, removed=dict.fromkeys(removed, 0), **known | given)


def offers(seen: View, after: float = 9.0) -> list[Admit]:
    """What a leader offers that has seen the same for so many seconds."""
    task = MembershipTask()
    task.look(seen, 0.0)
    task.look(seen, after)
    return task.offers(seen, after)


def decide(seen: View, looks: int = 1) -> Change | None:
    """What a leader decides that sees the same so many times, once a second."""
    task = MembershipTask()
    found = None
    for now in range(looks):
        found = task.look(seen, float(now))
    return found


TRIO = members([1, 2, 3])


def test_a_membership_that_needs_nothing_is_left_alone() -> None:
    assert decide(view(TRIO, linked(2), linked(3)), 5) is None
    assert decide(view(TRIO), 5) is None


def test_a_joint_membership_is_left_before_anything_else() -> None:
    joint = Membership([[raft(1)], [raft(1), raft(2)]], members([1, 2]).nodes)
    assert decide(view(joint, linked(2), linked(3), removed=(disk(2),))) == LeaveJoint()


def test_a_blank_node_is_offered_a_place_and_added_once_it_has_taken_it() -> None:
    blank = linked(4, cluster="")
    assert offers(view(TRIO, linked(2), blank)) == [Admit(raft(4), raft(4))]
    assert decide(view(TRIO, blank)) is None
    assert decide(view(TRIO, linked(4))) == AddLearner(raft(4), address(4), disk(4))


def test_a_node_of_the_initial_cluster_that_has_not_heard_of_it_yet_is_offered_nothing() -> None:
    late = linked(3, cluster="")
    assert offers(view(TRIO, late)) == []
    assert decide(view(TRIO, late)) is None


@pytest.mark.parametrize("id", [1, 2])
def test_a_blank_disk_under_the_id_of_a_node_that_is_there_is_offered_nothing(id: int) -> None:
    double = LinkedNode(node=raft(id), incarnation="other", cluster="", addr=address(9), level=6)
    assert offers(view(TRIO, linked(2), double)) == []


def test_a_node_of_another_cluster_or_of_an_older_version_is_not_added() -> None:
    for stranger in (linked(4, cluster="d" * 32), linked(4, level=5), linked(4, cluster="", level=5)):
        assert decide(view(TRIO, stranger)) is None
        assert offers(view(TRIO, stranger)) == []
    assert MembershipTask().waiting(view(TRIO, linked(4, level=5)))[4].startswith("cannot be added: its version")


def test_a_new_disk_under_a_known_id_becomes_the_next_generation() -> None:
    new = LinkedNode(node=raft(2), incarnation=disk(2, 1), cluster="", addr=address(2), level=6)
    assert offers(view(TRIO, linked(3), new)) == [Admit(raft(2), raft(2, 1))]
    admitted = linked(2, 1)
    assert decide(view(TRIO, linked(3), admitted)) == ListRemoved(raft(2), disk(2))
    assert decide(view(TRIO, linked(3), admitted, removed=(disk(2),))) == Remove(raft(2))
    assert decide(view(members([1, 3]), linked(3), admitted, removed=(disk(2),))) == AddLearner(
        raft(2, 1), address(2), disk(2, 1)
    )


def test_an_empty_disk_waits_a_while_as_the_member_of_its_id_might_just_be_linking() -> None:
    new = LinkedNode(node=raft(2), incarnation="new", cluster="", addr=address(2), level=6)
    assert offers(view(TRIO, linked(3), new), after=2.9) == []
    assert offers(view(TRIO, linked(3), new), after=3.0) == [Admit(raft(2), raft(2, 1))]


def test_generations_of_removed_disks_are_not_used_again() -> None:
    new = LinkedNode(node=raft(2), incarnation="new", cluster="", addr=address(2), level=6)
    seen = view(members([1, 3]), linked(3), new)
    seen = msgspec.structs.replace(seen, removed={disk(2): raft(2), disk(2, 1): raft(2, 1)})
    assert offers(seen) == [Admit(raft(2), raft(2, 2))]


def test_a_known_id_is_not_taken_over_before_there_is_a_list_of_removed_disks() -> None:
    new = LinkedNode(node=raft(2), incarnation="new", cluster="", addr=address(2), level=6)
    assert offers(view(TRIO, linked(3), new, lists_removed=False)) == []


def test_a_removed_node_is_taken_out_only_if_a_majority_of_the_rest_is_there() -> None:
    assert decide(view(TRIO, linked(2), removed=(disk(3),))) == Remove(raft(3))
    assert decide(view(TRIO, linked(3), removed=(disk(3),))) is None
    alone = view(TRIO, linked(3), removed=(disk(3),))
    assert "of the voters without it 1 can be reached and 2 are needed" in MembershipTask().waiting(alone)[3]
    assert removal_problem(view(members([1])), raft(1)) == "it is the only voter"


def test_a_leader_that_is_removed_hands_over_to_whom_lacks_least() -> None:
    seen = view(TRIO, linked(2, lag=9), linked(3, lag=2), removed=(disk(1),))
    assert decide(seen) == HandOver(raft(3))
    assert decide(view(TRIO, linked(2), linked(3), removed=(disk(1), disk(3)))) == HandOver(raft(2))


def test_addresses_are_noted_where_a_member_was_reached() -> None:
    moved = linked(2, addr="10.1.1.2:80")
    assert decide(view(TRIO, moved)) == SetAddress(raft(2), "10.1.1.2:80")
    assert decide(view(TRIO, linked(2, addr="10.1.1.2:80", reached=False))) is None
    assert decide(view(TRIO, addr="10.1.1.1:80")) == SetAddress(raft(1), "10.1.1.1:80")
    assert decide(view(TRIO, addr="0.0.0.0:80")) is None


@pytest.mark.parametrize(
    ("voters", "learners", "promoted"),
    [
        ([1], (2,), True),
        ([1, 2], (3,), True),
        ([1, 2, 3], (4,), False),
        ([1, 2, 3], (4, 5), True),
        ([1, 2, 3, 4], (5,), True),
        ([1, 2, 3, 4, 5], (6, 7), False),
    ],
)
def test_the_second_and_third_get_a_vote_at_once_and_later_ones_in_pairs(
    voters: list[int], learners: tuple[int, ...], promoted: bool
) -> None:
    seen = view(members(voters, learners), *(linked(id) for id in (*voters[1:], *learners)))
    assert decide(seen, 3) == (Promote(raft(learners[0])) if promoted else None)
    if not promoted:
        assert MembershipTask().waiting(seen)[learners[0]].startswith("has no vote")


def test_a_learner_gets_a_vote_when_it_was_seen_twice_to_have_caught_up() -> None:
    def seen(lag: int | None, last: int = 1000) -> View:
        return view(members([1], (2,)), linked(2, lag=lag), last=last)

    task = MembershipTask()
    assert task.look(seen(0), 0.0) is None
    assert task.look(seen(101), 0.5) is None
    assert task.look(seen(None), 1.0) is None
    assert task.look(seen(50), 1.5) is None, "it lacks what the leader had a second ago"
    assert task.look(seen(50, last=1050), 2.5) is None
    assert task.look(seen(60, last=1150), 3.0) == Promote(raft(2))


def test_an_order_gives_a_vote_to_whom_the_number_of_voters_would_not() -> None:
    task = MembershipTask()
    task.wished.add(raft(4))
    seen = view(members([1, 2, 3], (4,)), linked(2), linked(3), linked(4))
    assert task.look(seen, 0.0) is None
    assert task.look(seen, 1.0) == Promote(raft(4))


# -- lives ---------------------------------------------------------------------------------------------------


class World:
    """A cluster of nodes that come, go, lose their disks and are removed, as the leader sees it."""

    def __init__(self, voters: int) -> None:
        self.membership = members(list(range(1, voters + 1)))
        self.removed: dict[str, int] = {}
        self.leader = 1
        self.task = MembershipTask()
        self.now = 0.0
        self.disks = {id: (raft(id), disk(id), CLUSTER) for id in range(1, voters + 1)}
        """By id: Raft NodeId, incarnation and cluster."""
        self.up = set(self.disks)
        self.lags: dict[int, int] = {}
        self.made = 0

    def view(self) -> View:
        others = []
        for id in sorted(self.up - {self.leader}):
            node, incarnation, cluster = self.disks[id]
            gone = incarnation in self.removed and node not in self.membership.nodes
            if not gone:
                others.append(
                    LinkedNode(node=node, incarnation=incarnation, cluster=cluster, addr=address(id), level=6, lag=0)
                )
        return View(
            node=self.disks[self.leader][0],
            addr=address(self.leader),
            cluster=CLUSTER,
            level=6,
            membership=self.membership,
            removed=dict(self.removed),
            linked=tuple(others),
            last=0,
        )

    def voters_up(self) -> list[int]:
        (config,) = self.membership.configs
        there = {self.disks[id][0] for id in self.up if self.is_disk(id)}
        return [node for node in config if node in there]

    def is_disk(self, id: int) -> bool:
        """Whether the disk that a node has now is the member of its id."""
        node, incarnation, _ = self.disks[id]
        known = self.membership.nodes.get(node)
        return known is not None and known.incarnation == incarnation

    def can_lose(self, id: int) -> bool:
        """Whether a majority of the voters stays up without a node."""
        rest = [node for node in self.voters_up() if public_id(node) != id]
        return len(rest) > len(self.membership.configs[0]) // 2

    # -- what happens

    def start(self, id: int) -> None:
        if id not in self.disks:
            self.wipe(id)
        self.up.add(id)

    def stop(self, id: int) -> None:
        if id in self.up and self.can_lose(id):
            self.up.discard(id)
            self.elect()

    def wipe(self, id: int) -> None:
        """A node gets an empty disk; only as long as a majority of the voters keeps its own."""
        if id in self.disks and not self.can_lose(id):
            return
        self.made += 1
        self.disks[id] = raft(id), f"disk {self.made}", ""
        self.elect()

    def lose(self, id: int) -> None:
        """A node ends, and its disk with it."""
        self.stop(id)
        if id not in self.up:
            self.wipe(id)

    def order_removal(self, id: int) -> None:
        seen = self.view()
        member = seen.of_id(id)
        if member is not None and not removal_problem(seen, member):
            self.removed[seen.membership.nodes[member].incarnation] = member

    def elect(self, _id: int = 0) -> None:
        """Whoever leads forgets all that is not committed."""
        if self.leader not in self.up or not self.is_disk(self.leader):
            self.leader = public_id(self.voters_up()[0])
        self.task = MembershipTask()

    def settle(self, _id: int) -> None:
        """The leader has time for many looks."""
        for _ in range(10):
            self.step(_id)

    # -- what the leader does

    def step(self, _id: int = 0) -> bool:
        """Let the leader look once; whether anything changed."""
        self.now += 1.0
        seen = self.view()
        change = self.task.look(seen, self.now)
        offered = self.task.offers(seen, self.now)
        for offer in offered:
            id = public_id(offer.linked)
            assert self.disks[id][2] == "", "only blank nodes are offered anything"
            self.disks[id] = offer.node, self.disks[id][1], CLUSTER
        if change is not None:
            self.carry_out(change, seen)
        return bool(offered) or change is not None

    def carry_out(self, change: Change, seen: View) -> None:
        (voters,), nodes = [set(config) for config in self.membership.configs], dict(self.membership.nodes)
        match change:
            case HandOver(node):
                assert node in voters
                assert self.disks[public_id(node)][0] == node
                self.leader, self.task = public_id(node), MembershipTask()
            case ListRemoved(node, incarnation):
                assert nodes[node].incarnation == incarnation
                self.removed[incarnation] = node
            case Remove(node):
                assert nodes[node].incarnation in self.removed
                assert node != seen.node
                voters.discard(node)
                del nodes[node]
            case AddLearner(node, addr, incarnation):
                assert incarnation not in self.removed
                assert node not in nodes
                assert public_id(node) not in {public_id(other) for other in nodes}
                nodes[node] = Member(addr, incarnation)
            case Promote(node):
                assert node in nodes
                assert node not in voters
                assert not seen.is_removed(node)
                voters.add(node)
            case _:
                raise AssertionError(change)
        self.membership = Membership([sorted(voters)], nodes)
        assert len(self.voters_up()) > len(voters) // 2, "a change has taken the quorum away"


KINDS = ["start", "stop", "lose", "order_removal", "step", "settle", "elect"]
EVENTS = st.tuples(st.sampled_from(KINDS), st.integers(1, 5))


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 5), st.lists(EVENTS, max_size=30))
def test_whatever_happened_the_cluster_comes_to_rest_with_all_that_are_there(
    voters: int, events: list[tuple[str, int]]
) -> None:
    world = World(voters)
    for name, id in events:
        getattr(world, name)(id)
    for id in range(1, 6):
        world.start(id)
    for _ in range(80):
        world.step()
    assert not world.step(), "it never comes to rest"
    present = {id for id in world.up if world.disks[id][1] not in world.removed}
    known = world.view()
    gone = {node for node in world.membership.nodes if known.is_removed(node)}
    assert {public_id(node) for node in world.membership.nodes} - {public_id(node) for node in gone} == present
    assert all(removal_problem(known, node) for node in gone)
    voting = len(world.membership.configs[0])
    assert voting >= min(3, len(present)), "second and third get a vote at once"
    assert voting % 2 or len(known.learners) == 0 or gone, "one more vote would be worth it"


# -- witnesses -------------------------------------------------------------------------------------------------


def with_witnesses(membership: Membership, *ids: int) -> Membership:
    """The same, in which these nodes are witnesses."""
    nodes = {
        node: Member(each.addr, each.incarnation, witness=public_id(node) in ids)
        for node, each in membership.nodes.items()
    }
    return Membership(membership.configs, nodes)


def test_a_witness_is_added_as_one() -> None:
    found = decide(view(members([1, 2]), linked(2), linked(3, witness=True)))
    assert found == AddLearner(raft(3), address(3), disk(3), witness=True)


@pytest.mark.parametrize(
    ("voters", "learners", "witnesses", "promoted", "why"),
    [
        ([1, 2], (3,), (3,), 3, "is about to get a vote"),
        ([1], (3,), (3,), None, "has no vote: a witness votes beside two nodes that have the data, and one votes now"),
        ([1, 2, 4], (3,), (3,), None, "has no vote: 3 nodes vote, and a witness is of use beside an even number"),
        ([1, 2, 4], (3,), (3, 4), None, "has no vote: another witness votes already"),
        ([1, 2], (3, 4), (3,), 4, "is about to get a vote"),
        ([1], (2, 3), (3,), 2, "has no vote: a witness votes beside two"),
    ],
)
def test_a_witness_votes_only_where_it_makes_an_even_number_with_the_data_odd(
    voters: list[int], learners: tuple[int, ...], witnesses: tuple[int, ...], promoted: int | None, why: str
) -> None:
    membership = with_witnesses(members(voters, learners), *witnesses)
    seen = view(membership, *(linked(id, witness=id in witnesses) for id in (*voters, *learners) if id != 1))
    task = MembershipTask()
    found = [task.look(seen, float(now)) for now in range(4)][-1]
    assert found == (None if promoted is None else Promote(raft(promoted)))
    assert task.waiting(seen)[3].startswith(why)


def test_neither_leadership_nor_the_last_copy_of_the_data_is_left_to_a_witness() -> None:
    three = with_witnesses(TRIO, 3)
    seen = view(three, linked(2), linked(3, witness=True), removed=(disk(1),))
    assert decide(seen) == HandOver(raft(2))
    two = with_witnesses(members([1, 3]), 3)
    seen = view(two, linked(3, witness=True), removed=(disk(1),))
    assert decide(seen) is None
    assert removal_problem(seen, raft(1)) == "no other voter has the data"
