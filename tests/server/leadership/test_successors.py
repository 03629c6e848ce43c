from __future__ import annotations

from qcore.engine.base import PeerStatus
from qcore.model.entry import Member, Membership, raft_node_id
from qcore.server.leadership.successors import successors


def voters(*nodes: int, learners: tuple[int, ...] = ()) -> Membership:
    members = {node: Member(f"n{node}", "00" * 16) for node in (*nodes, *learners)}
    return Membership([list(nodes)], members)


def first(node: int) -> int:
    return raft_node_id(node, 0)


THREE = voters(first(1), first(2), first(3))


def test_the_one_that_lacks_the_fewest_entries_comes_first() -> None:
    peers = PeerStatus(2, True, 7), PeerStatus(3, True, 0)
    assert successors(1, THREE, peers) == [first(3), first(2)]


def test_of_equal_ones_the_lowest_id_and_an_unknown_lag_last() -> None:
    five = voters(*map(first, range(1, 6)))
    peers = PeerStatus(5, True, None), PeerStatus(4, True, 0), PeerStatus(2, True, 0), PeerStatus(3, True, 9)
    assert successors(1, five, peers) == [first(2), first(4), first(3), first(5)]


def test_neither_itself_nor_a_learner_nor_who_does_not_answer() -> None:
    membership = voters(first(1), first(2), first(3), learners=(first(4),))
    peers = PeerStatus(1, True, 0), PeerStatus(2, False, 0), PeerStatus(3, True, 5), PeerStatus(4, True, 0)
    assert successors(1, membership, [*peers, PeerStatus(9, True, 0)]) == [first(3)]


def test_a_node_alone_has_none_and_before_the_first_membership_neither() -> None:
    assert successors(1, voters(first(1)), ()) == []
    assert successors(1, None, [PeerStatus(2, True, 0)]) == []


def test_while_voters_change_those_of_both_sets_and_of_a_node_its_newest_disk() -> None:
    old, new = raft_node_id(2, 0), raft_node_id(2, 1)
    members = {node: Member("n", "00" * 16) for node in (first(1), old, new, first(3))}
    membership = Membership([[first(1), old], [first(1), new, first(3)]], members)
    assert successors(1, membership, [PeerStatus(2, True, 0), PeerStatus(3, True, 1)]) == [new, first(3)]


def test_a_witness_leads_for_nobody() -> None:
    nodes = {node: Member(f"n{node}", "00" * 16, witness=node == first(3)) for node in THREE.nodes}
    peers = PeerStatus(2, True, 7), PeerStatus(3, True, 0)
    assert successors(1, Membership(THREE.configs, nodes), peers) == [first(2)]
