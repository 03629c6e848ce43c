from __future__ import annotations

from qcore.server.operations.readiness import NotReady
from qcore.server.operations.status_line import status_line
from tests.server.operations.test_members import blank, cluster, status

FORMING = NotReady("no_leader", "node 1 belongs to no cluster: CLUSTER INIT forms one")


def test_a_node_that_is_ready_says_its_role_who_leads_the_term_and_the_revision() -> None:
    assert status_line(status(), cluster(3), 12, None) == "leader, leader 1, term 3, revision 12"
    follower = status("follower", 2)
    assert status_line(follower, cluster(3, leader=2), 7, None) == "follower, leader 2, term 3, revision 7"


def test_without_a_quorum_it_says_how_many_of_the_nodes_that_are_needed_are_there() -> None:
    alone = NotReady("no_leader", "there is no leader")
    found = status_line(status("candidate", None), cluster(3, down=(2, 3), leader=None), 7, alone)
    assert found == "waiting: 1 of 2 nodes, term 3, revision 7"
    led = NotReady("no_quorum", "this node leads, but has not heard of a quorum for 4 s")
    assert status_line(status(), cluster(5, down=(3, 4, 5)), 7, led) == "waiting: 2 of 3 nodes, term 3, revision 7"


def test_with_a_quorum_it_says_what_it_waits_for() -> None:
    electing = NotReady("no_leader", "there is no leader: an election is under way")
    found = status_line(status("candidate", None), cluster(3, leader=None), 7, electing)
    assert found == "waiting: there is no leader: an election is under way, term 3, revision 7"


def test_while_a_cluster_forms_it_counts_those_that_are_there() -> None:
    members = cluster(1)
    assert status_line(blank(""), members, 1, FORMING, (1, 2)) == "waiting: 1 of 2 nodes, term 0, revision 1"
    sentence = "waiting: node 1 belongs to no cluster: CLUSTER INIT forms one, term 0, revision 1"
    assert status_line(blank(""), members, 1, FORMING, None) == sentence
    assert status_line(blank(""), members, 1, FORMING, (2, 2)) == sentence


def test_what_else_is_wrong_stands_behind_it() -> None:
    behind = NotReady("behind", "2000 entries of the log are to be applied yet")
    assert status_line(status(), cluster(1), 3, behind).endswith(
        "revision 3; 2000 entries of the log are to be applied yet"
    )
    full = "the disk is full"
    assert status_line(status(), cluster(1), 3, None, problem=full).endswith("revision 3; the disk is full")
