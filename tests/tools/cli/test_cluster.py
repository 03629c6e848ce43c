from __future__ import annotations

from typing import Any

import pytest

from qcore_tools.cli.cluster import FORMED, MEMBER, STATUS, TRANSFERRED
from qcore_tools.cli.views import Format, render


def state(**changed: Any) -> dict[str, Any]:
    members = [
        {"node": 1, "addr": "10.0.0.1:8080", "role": "leader", "vote": "voter", "lag": 0, "alive": True},
        {"node": 2, "addr": "10.0.0.2:8080", "role": "follower", "vote": "voter", "lag": 3, "alive": False},
        {
            "node": 3,
            "addr": "10.0.0.3:8080",
            "role": "learner",
            "vote": "learner",
            "lag": 900,
            "alive": True,
            "waiting": "catching up",
        },
    ]
    found = {
        "node": 1,
        "cluster": "ab" * 16,
        "formation": "member",
        "role": "leader",
        "leader": 1,
        "term": 3,
        "members": members,
        "tolerates": 0,
        "outlook": "tolerates 0 failures: a third node makes it 1",
        "waiting": None,
    }
    return found | changed


def test_people_see_the_members_and_what_fails_next() -> None:
    assert render(STATUS, state(), {}, "human").splitlines() == [
        f"Cluster: {'ab' * 16}",
        "Leader: 1 (term 3)",
        "This node: 1 (leader)",
        "Member 1: 10.0.0.1:8080 (leader, voter, lag 0, alive)",
        "Member 2: 10.0.0.2:8080 (follower, voter, lag 3, not reachable)",
        "Member 3: 10.0.0.3:8080 (learner, lag 900, alive, catching up)",
        "Outlook: tolerates 0 failures: a third node makes it 1",
    ]


def test_people_see_whose_disk_is_full() -> None:
    found = state()
    found["members"][0]["disk"] = "the disk of /data is full"
    assert "(leader, voter, lag 0, alive, the disk of /data is full)" in render(STATUS, found, {}, "human")


def test_people_see_which_one_is_a_witness() -> None:
    found = state()
    found["members"][1]["witness"] = True
    assert "(follower, voter, witness, lag 3, not reachable)" in render(STATUS, found, {}, "human")


def test_people_see_what_a_blank_node_waits_for() -> None:
    waiting = "node 2 belongs to no cluster: CLUSTER INIT forms one"
    blank = state(cluster="", leader=None, members=[], waiting=waiting)
    lines = render(STATUS, blank, {}, "human").splitlines()
    assert lines[:2] == ["Cluster: none", "Leader: none (term 3)"]
    assert lines[3] == f"Waiting: {waiting}"


def test_programs_get_a_row_for_each_member() -> None:
    csv = render(STATUS, state(), {}, "csv").splitlines()
    assert csv[0] == "node,addr,role,vote,lag,alive,waiting,disk,witness"
    assert csv[3] == "3,10.0.0.3:8080,learner,learner,900,true,catching up,,"
    assert render(STATUS, state(), {}, "raw").splitlines()[1] == "2 10.0.0.2:8080 follower voter 3 false"
    assert list(STATUS.notes(state())) == ["tolerates 0 failures: a third node makes it 1"]


@pytest.mark.parametrize(("format", "text"), [("human", f"Formed cluster: {'ab' * 16}\n"), ("raw", f"{'ab' * 16}\n")])
def test_a_formed_cluster_is_told_by_its_id(format: Format, text: str) -> None:
    assert render(FORMED, {"cluster": "ab" * 16}, {}, format) == text


def test_a_transfer_tells_who_leads() -> None:
    assert render(TRANSFERRED, {"leader": 2}, {}, "human") == "Current Leader: 2\n"


def test_what_became_of_a_member_is_told_with_what_it_waits_for() -> None:
    removed = {"node": 3, "vote": "none", "waiting": None}
    waits = {"node": 4, "vote": "learner", "waiting": "has no vote yet: it is catching up"}
    assert render(MEMBER, removed, {}, "human") == "Node 3: no member\n"
    assert render(MEMBER, waits, {}, "human") == "Node 4: learner\nWaiting: has no vote yet: it is catching up\n"
    assert render(MEMBER, waits, {}, "csv").splitlines()[0] == "node,vote,waiting"
