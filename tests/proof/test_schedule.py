from __future__ import annotations

from collections import Counter

import pytest

from tests.proof.schedule import CLUSTER_FAULTS, FAULTS, Action, describe_schedule, faults_for, make_schedule


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    first = make_schedule(7, 3, 40)
    assert make_schedule(7, 3, 40) == first
    assert make_schedule(8, 3, 40) != first


def test_a_schedule_is_told_in_words() -> None:
    assert Action("kill", 0, 0.5, 30).describe() == "after 30 operations kill of leader for 0.50 s"
    assert describe_schedule([Action("pause", 2, 1, 30)]) == "1. after 30 operations pause of follower 2 for 1.00 s"
    assert Action("kill_all", 1, 1, 30).describe() == "after 30 operations kill_all of nodes for 1.00 s"
    assert Action("kill", 1, 1, 30).what == Action("kill", 2, 1, 30).what == "kill of follower"


@pytest.mark.parametrize("seed", range(5))
def test_faults_of_a_cluster_strike_the_leader_and_a_follower_in_turn(seed: int) -> None:
    schedule = make_schedule(seed, 3, 2 * len(faults_for(3)))
    struck = {action.what for action in schedule}
    assert struck == {Action(fault, target, 0, 0).what for fault in faults_for(3) for target in (0, 1)}


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_every_fault_comes_before_any_comes_again(nodes: int) -> None:
    faults = faults_for(nodes)
    schedule = make_schedule(7, nodes, 2 * len(faults))
    assert Counter(action.fault for action in schedule) == dict.fromkeys(faults, 2)
    assert {action.fault for action in schedule[: len(faults)]} == set(faults)
    assert {action.target for action in schedule} <= set(range(nodes))


def test_a_lone_node_has_no_faults_that_take_several() -> None:
    assert set(faults_for(1)) == set(FAULTS)
    assert set(faults_for(3)) == {*FAULTS, *CLUSTER_FAULTS}


def test_faults_may_last_as_long_as_is_said() -> None:
    lasting = {action.seconds for action in make_schedule(7, 3, 9, ["pause"], {"pause": (7.0, 8.0)})}
    assert min(lasting) >= 7
    assert max(lasting) <= 8


def test_faults_that_have_one_role_strike_nobody_else() -> None:
    schedule = make_schedule(7, 5, 8, ["crash_at_install", "two_down"])
    assert {action.what for action in schedule} == {"crash_at_install of follower", "two_down of leader"}


def test_faults_may_be_chosen() -> None:
    assert {action.fault for action in make_schedule(7, 1, 9, ["kill", "pause"])} == {"kill", "pause"}
