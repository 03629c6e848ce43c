from __future__ import annotations

import msgspec

from qcore.model.entry import Member, Membership
from qcore.model.initial_cluster import Candidate, InitialCluster

ONE, TWO = Candidate(65_536, "01" * 16, "10.0.0.1:8080"), Candidate(2 * 65_536 + 3, "02" * 16, "10.0.0.2:8080")
INITIAL = InitialCluster(TWO.incarnation, 1, "ab" * 16, (ONE, TWO), chosen=True)


def test_it_is_told_by_the_ids_people_see() -> None:
    assert str(INITIAL) == "cluster abababab of nodes 1 and 2"
    assert str(msgspec.structs.replace(INITIAL, members=(TWO,))) == "cluster abababab of node 2 alone"
    assert str(TWO) == "node 2 (10.0.0.2:8080)"


def test_it_names_a_node_on_one_disk_wherever_it_is_reached() -> None:
    assert INITIAL.names(msgspec.structs.replace(TWO, addr="elsewhere:1"))
    assert not INITIAL.names(msgspec.structs.replace(TWO, incarnation="ff" * 16))
    assert not INITIAL.names(msgspec.structs.replace(TWO, node=2 * 65_536))


def test_its_members_are_the_voters_of_the_first_entry() -> None:
    nodes = {each.node: Member(each.addr, each.incarnation) for each in (ONE, TWO)}
    assert INITIAL.membership() == Membership([[ONE.node, TWO.node]], nodes)


def test_that_of_the_lowest_proposer_goes_on() -> None:
    lower = InitialCluster(ONE.incarnation, 7, "cd" * 16, (ONE, TWO), chosen=True)
    assert lower.rank < INITIAL.rank
