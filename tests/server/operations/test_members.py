"""What a node says of its cluster: members, what fails next, what to do."""

from __future__ import annotations

import pytest

from qcore.engine.base import EngineStatus, PeerStatus
from qcore.model.entry import Member, Membership, raft_node_id
from qcore.server.operations.members import Cluster


def status(role: str = "leader", leader: int | None = 1, peers: tuple[PeerStatus, ...] = ()) -> EngineStatus:
    return EngineStatus(role, leader, 3, "c", 0, 9, 9, 0, 0, 0.0, peers)


def blank(cluster: str) -> EngineStatus:
    return EngineStatus("learner", None, 0, cluster, None, None, None, 0, 0, None)


def cluster(
    voters: int, down: tuple[int, ...] = (), learners: int = 0, leader: int | None = 1, full: tuple[int, ...] = ()
) -> Cluster:
    everybody = [raft_node_id(node, 0) for node in range(1, voters + learners + 1)]
    nodes = {node: Member(f"host{place}:8080", "00" * 16) for place, node in enumerate(everybody, 1)}
    peers = [PeerStatus(node, node not in down, 5 * node) for node in range(2, voters + learners + 1)]
    role = "leader" if leader == 1 else "follower"
    return Cluster(1, "here:1", Membership([everybody[:voters]], nodes), status(role, leader, tuple(peers)), full)


@pytest.mark.parametrize(
    ("voters", "down", "tolerates", "outlook"),
    [
        (1, (), 0, "no other node has this data: keep a copy of it elsewhere (snapshot.export)"),
        (2, (), 0, "tolerates 0 failures: a third node makes it 1"),
        (3, (), 1, "tolerates 1 failure"),
        (4, (), 1, "tolerates 1 failure: a fifth node makes it 2"),
        (5, (), 2, "tolerates 2 failures"),
        (3, (3,), 0, "node 3 cannot be reached: tolerates 0 failures until it is back; start it, or remove it"),
        (5, (2, 4), 0, "nodes 2, 4 cannot be reached: tolerates 0 failures until they are back; start or remove them"),
        (2, (2,), -1, "no quorum: 1 of 2 voters can be reached, 2 are needed; start node 2, and writes go on"),
        (3, (2, 3), -1, "no quorum: 1 of 3 voters can be reached, 2 are needed; start nodes 2, 3, and writes go on"),
    ],
)  # fmt: skip
def test_the_outlook_says_what_fails_next_and_what_to_do(
    voters: int, down: tuple[int, ...], tolerates: int, outlook: str
) -> None:
    found = cluster(voters, down)
    assert (found.tolerates, found.outlook()) == (tolerates, outlook)


def test_the_outlook_names_the_voter_whose_disk_is_full() -> None:
    refused = "writes but deletions are refused until there is room"
    assert cluster(3, full=(2,)).outlook() == f"the disk of node 2 is full: {refused}; tolerates 1 failure"
    assert cluster(3, down=(2, 3), full=(1,)).outlook().startswith("no quorum")
    assert cluster(3, learners=1, full=(4,)).outlook() == "tolerates 1 failure"


def test_a_node_without_a_membership_is_alone() -> None:
    found = Cluster(7, "here:1", None, status(leader=7))
    assert found.voters == [7]
    assert [(member.node, member.addr, member.role) for member in found.members()] == [(7, "here:1", "leader")]


def test_a_node_that_is_in_no_cluster_says_so_and_speaks_of_no_election() -> None:
    found = Cluster(1, "here:1", None, blank(""))
    assert (found.tolerates, found.outlook()) == (-1, "nothing can be written: this node is in no cluster yet")
    assert found.why_no_leader() == "this node is in no cluster yet"


def test_a_node_of_a_cluster_that_has_just_been_formed_does_not_say_that_it_is_in_none() -> None:
    found = Cluster(1, "here:1", None, blank("c"))
    assert found.tolerates == -1
    assert found.why_no_leader() == "its cluster has not begun on this node yet"
    assert found.outlook() == f"nothing can be written: {found.why_no_leader()}"


def test_members_are_told_with_role_lag_and_life() -> None:
    found = cluster(3, down=(3,), learners=1)
    assert [(m.node, m.addr, m.role, m.lag, m.alive) for m in found.members()] == [
        (1, "here:1", "leader", 0, True),
        (2, "host2:8080", "follower", 10, True),
        (3, "host3:8080", "follower", 15, False),
        (4, "host4:8080", "learner", 20, True),
    ]


def test_while_two_sets_of_voters_count_the_weaker_one_does() -> None:
    nodes = {raft_node_id(node, 0): Member(f"h:{node}", "00" * 16) for node in (1, 2, 3)}
    one, two, three = nodes
    peers = (PeerStatus(2, True), PeerStatus(3, False))
    found = Cluster(1, "h:1", Membership([[one, two, three], [one, three]], nodes), status(peers=peers))
    assert found.tolerates == -1


def test_those_the_engine_says_nothing_of_are_taken_to_be_there_while_somebody_leads() -> None:
    nodes = {raft_node_id(node, 0): Member(f"h:{node}", "00" * 16) for node in (1, 2, 3)}
    membership = Membership([list(nodes)], nodes)
    assert Cluster(1, "h:1", membership, status()).tolerates == 1
    assert Cluster(1, "h:1", membership, status("candidate", None)).tolerates == -1


@pytest.mark.parametrize(
    ("down", "tolerates", "outlook"),
    [
        ((), 1, "tolerates 1 failure; node 3 is a witness, which keeps no copy of the data"),
        ((2,), 0, "node 2 cannot be reached: tolerates 0 failures until it is back; start it, or remove it"),
        ((3,), 0, "node 3 cannot be reached: tolerates 0 failures until it is back; start it, or remove it"),
        ((1, 2), -1, "no voter that has the data can be reached; start nodes 1, 2, and writes go on"),
    ],
)  # fmt: skip
def test_a_witness_counts_as_a_vote_and_not_as_a_copy(down: tuple[int, ...], tolerates: int, outlook: str) -> None:
    everybody = [raft_node_id(node, 0) for node in (1, 2, 3)]
    nodes = {node: Member("host:1", "00" * 16, witness=node == everybody[2]) for node in everybody}
    own = 3 if 1 in down else 1
    peers = tuple(PeerStatus(node, node not in down) for node in (1, 2, 3) if node != own)
    found = Cluster(own, "here:1", Membership([everybody], nodes), status(peers=peers))
    assert (found.tolerates, found.outlook()) == (tolerates, outlook)
    assert [each.witness for each in found.members()] == [False, False, True]
