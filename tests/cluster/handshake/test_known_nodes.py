from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.cluster.handshake.hello import Hello
from qcore.cluster.handshake.known_nodes import KnownNodes, Own
from qcore.model.entry import LogId, Vote, raft_node_id
from tests.cluster.linked import hello, own

FIRST, SECOND = own(1), own(2)
LEADER = raft_node_id(1, 0)


def vote(term: int, committed: bool = True, node: int = LEADER) -> Vote:
    return Vote(term, node, committed)


def last(term: int, index: int) -> LogId:
    return LogId(term, LEADER, index)


def reason(known: KnownNodes, found: Hello) -> str | None:
    refusal = known.judge(found)
    return None if refusal is None else refusal.reason


def again(of: Own, **changes: Any) -> Own:
    """The same disk in another process."""
    return own(of.node // 65_536, incarnation=of.incarnation, **changes)


@pytest.fixture
def known() -> KnownNodes:
    return KnownNodes(FIRST)


def test_a_node_of_the_cluster_is_talked_to_on_every_channel(known: KnownNodes) -> None:
    for serial in range(1, 5):
        found = hello(SECOND, serial)
        assert reason(known, found) is None
        known.joined(found)


def test_a_node_knows_itself(known: KnownNodes) -> None:
    assert reason(known, hello(FIRST)) == "itself"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"), [("a", "b", "other_cluster"), ("", "b", None), ("a", "", None), ("", "", None)]
)
def test_blank_nodes_are_talked_to_and_other_clusters_are_not(ours: str, theirs: str, expected: str | None) -> None:
    known = KnownNodes(own(1, cluster=ours))
    assert reason(known, hello(own(2, cluster=theirs))) == expected


def test_a_removed_disk_stays_out_whatever_its_number(known: KnownNodes) -> None:
    known.removed = frozenset({SECOND.incarnation})
    assert reason(known, hello(SECOND)) == "removed"
    assert reason(known, hello(own(3, incarnation=SECOND.incarnation))) == "removed"


def test_a_disk_that_a_recovered_cluster_goes_on_without_is_told_so(known: KnownNodes) -> None:
    before = hello(own(2, cluster="cd" * 16))
    known.removed = frozenset({before.incarnation})
    refusal = known.judge(before)
    assert refusal is not None
    assert refusal.reason == "other_cluster", "cluster.add would not bring it back"
    assert f"belongs to cluster {'cd' * 16}" in refusal.message
    assert "which was recovered without that disk: the node joins it on an empty one" in refusal.message


def test_a_second_disk_under_the_number_of_a_live_node_is_refused(known: KnownNodes) -> None:
    known.joined(hello(SECOND))
    other = hello(own(2, incarnation="ff" * 16))
    assert reason(known, other) == "second_incarnation"
    assert reason(known, hello(own(2, incarnation="ff" * 16, node=raft_node_id(2, 1)))) == "second_incarnation"
    known.left(hello(SECOND))
    assert reason(known, other) is None


def test_a_second_process_on_the_disk_of_a_live_node_is_refused(known: KnownNodes) -> None:
    known.joined(hello(SECOND))
    known.joined(hello(SECOND, 2))
    restarted = hello(again(SECOND))
    assert reason(known, restarted) == "second_run"
    known.left(hello(SECOND))
    assert reason(known, restarted) == "second_run"
    known.left(hello(SECOND, 2))
    assert reason(known, restarted) is None


def test_this_nodes_own_number_and_disk_are_taken(known: KnownNodes) -> None:
    assert reason(known, hello(own(1, incarnation="ff" * 16))) == "second_incarnation"
    assert reason(known, hello(again(FIRST))) == "second_run"


def test_the_disk_that_the_cluster_knows_under_a_number_is_the_one_that_counts(known: KnownNodes) -> None:
    known.members = {SECOND.node: "ff" * 16}
    assert reason(known, hello(SECOND)) == "second_incarnation"
    assert reason(known, hello(own(2, node=raft_node_id(2, 1)))) is None


def test_an_empty_disk_under_a_number_that_the_cluster_knows_may_ask_to_become_the_next_one(known: KnownNodes) -> None:
    known.members = {SECOND.node: SECOND.incarnation}
    empty = hello(own(2, incarnation="ff" * 16, cluster=""), vote=None, last=None)
    assert reason(known, empty) is None
    known.joined(hello(SECOND))
    assert reason(known, empty) == "second_incarnation"


def test_a_member_is_talked_to_although_an_empty_disk_has_come_before_it_under_its_number(known: KnownNodes) -> None:
    known.members = {SECOND.node: SECOND.incarnation}
    empty = hello(own(2, incarnation="ff" * 16, cluster=""), vote=None, last=None)
    known.joined(empty)
    assert reason(known, hello(SECOND)) is None
    known.joined(hello(SECOND))
    assert reason(known, empty) == "second_incarnation"


def test_the_next_generation_of_a_running_disk_is_the_same_node(known: KnownNodes) -> None:
    known.joined(hello(SECOND))
    assert reason(known, hello(msgspec.structs.replace(SECOND, node=raft_node_id(2, 1)), 2)) is None


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        ((vote(3), last(3, 9)), (vote(2), last(2, 20)), "vote_behind"),
        ((vote(3), last(3, 9)), (None, None), "vote_behind"),
        ((vote(3), last(3, 9)), (vote(3, False), last(3, 9)), "vote_behind"),
        ((vote(3), last(3, 9)), (vote(3), last(3, 8)), "log_behind"),
        ((vote(3), last(3, 9)), (vote(3), None), "log_behind"),
        ((vote(3), last(3, 9)), (vote(3), last(3, 9)), None),
        ((vote(3), last(3, 9)), (vote(3), last(3, 10)), None),
        ((vote(3), last(2, 9)), (vote(3), last(2, 7)), None),  # truncated by the leader of term 3, then a crash
        ((vote(3), last(3, 9)), (vote(4, False), last(3, 7)), None),  # the leader of term 4 has truncated it
        ((None, None), (vote(1), None), None),
    ],
)
def test_a_disk_that_was_put_back_is_refused(seen: Any, now: Any, expected: str | None) -> None:
    known = KnownNodes(FIRST)
    known.joined(hello(SECOND, 1, *seen))
    known.left(hello(SECOND))
    assert reason(known, hello(again(SECOND), 1, *now)) == expected


def test_what_a_disk_has_acknowledged_can_never_be_missing(known: KnownNodes) -> None:
    known.joined(hello(SECOND, 1, vote(3), last(2, 9)))
    known.left(hello(SECOND))
    known.acknowledged(SECOND.incarnation, last(2, 8))
    known.acknowledged(SECOND.incarnation, last(2, 7))
    assert reason(known, hello(again(SECOND), 1, vote(4), last(2, 7))) == "log_behind"
    assert reason(known, hello(again(SECOND), 1, vote(4), last(2, 8))) is None


def test_a_refusal_names_the_node_its_address_and_what_was_found(known: KnownNodes) -> None:
    known.joined(hello(SECOND, 1, vote(3), last(3, 9)))
    known.left(hello(SECOND))
    refusal = known.judge(hello(again(SECOND), 1, vote(2), last(2, 5)))
    assert refusal is not None
    assert refusal.message == (
        "node 2 at 127.0.0.1:2 (disk 02020202) has forgotten what it had: its vote is term 2 for node 1 and was term 3 "
        "for node 1; was an older disk put back?"
    )
    assert "\n" not in refusal.message


@given(st.permutations(range(1, 5)))
def test_hellos_of_one_run_may_overtake_each_other(order: list[int]) -> None:
    """Votes and logs only grow, but the four channels are dialled at the same time."""
    known = KnownNodes(FIRST)
    for serial in order:
        found = hello(SECOND, serial, vote(serial), last(serial, serial))
        assert reason(known, found) is None
        known.joined(found)
    for serial in order:
        known.left(hello(SECOND, serial))
    assert reason(known, hello(again(SECOND), 1, vote(4), last(4, 4))) is None
    assert reason(known, hello(again(SECOND), 1, vote(3), last(4, 4))) == "vote_behind"


@given(st.lists(st.sampled_from(["first", "second", "third", "end"]), max_size=30))
def test_at_most_one_run_of_a_number_is_linked_at_a_time(events: list[str]) -> None:
    known = KnownNodes(FIRST)
    runs = {"first": SECOND, "second": again(SECOND), "third": own(2, incarnation="ff" * 16)}
    linked: list[Hello] = []
    for event in events:
        if event == "end":
            if linked:
                known.left(linked.pop(0))
            continue
        found = hello(runs[event], len(linked) + 1)
        refused = known.judge(found)
        assert (refused is None) is all(one.run == found.run for one in linked)
        if refused is None:
            known.joined(found)
            linked.append(found)
