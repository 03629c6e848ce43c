"""Replicas of one log take their snapshots apart from each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from qcore.model.entry import Member, Membership, raft_node_id
from qcore.server.snapshots.spread import Place, place_of
from tests.server.running import until

MOST = 600


def taken(place: Place, covered: int, entries: int, most: int = MOST) -> list[int]:
    """The log indexes at which a node takes snapshots, the last one before having covered the log up to `covered`."""
    found = []
    while (covered := place.due_index(covered, most)) <= entries:
        found.append(covered)
    return found


def test_a_node_alone_keeps_to_the_limits() -> None:
    alone = Place(0, 1)
    assert taken(alone, -1, 2000) == [599, 1199, 1799]
    assert (alone.due_bytes(100), alone.pause(9.0)) == (100, 9.0)


def test_from_one_place_of_the_log_on_the_replicas_take_turns() -> None:
    """They began together, or were all sent the same snapshot."""
    for covered in (-1, 777, 599, 600, 601):
        turns = [taken(Place(rank, 3), covered, 10_000)[1:] for rank in range(3)]
        everything = sorted(index for turn in turns for index in turn)
        apart = [later - earlier for earlier, later in itertools.pairwise(everything)]
        assert set(apart[2:]) == {MOST // 3}, covered


@pytest.mark.parametrize("count", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 600])
def test_no_more_than_the_limit_passes_and_no_less_than_half(count: int, most: int) -> None:
    for rank in range(count):
        for covered in range(-1, 3 * most):
            step = Place(rank, count).due_index(covered, most) - covered
            assert most // 2 <= step <= max(most, 1)


def test_where_bytes_or_time_decide_the_periods_differ() -> None:
    places = [Place(rank, 3) for rank in range(3)]
    assert [place.due_bytes(600) for place in places] == [600, 500, 400]
    assert [place.pause(9.0) for place in places] == [9.0, 12.0, 15.0]


def test_a_place_is_that_among_the_members_voters_first() -> None:
    ids = [raft_node_id(node, 0) for node in (1, 2, 3, 4)]
    nodes = {id: Member("host:1", "00" * 16) for id in ids}
    membership = Membership([[ids[3], ids[1], ids[2]]], nodes)
    assert [place_of(id, membership) for id in ids] == [Place(3, 4), Place(0, 4), Place(1, 4), Place(2, 4)]
    assert place_of(raft_node_id(9, 0), membership) == Place(3, 4)
    assert place_of(ids[0], Membership([[ids[0]]], {ids[0]: nodes[ids[0]]})) == Place(0, 1)


async def test_three_nodes_take_theirs_at_different_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    from tests.server.peers.nodes import trio

    monkeypatch.setattr("qcore.server.runtime.budgets.SNAPSHOT_PAUSE", 0)
    async with trio(tmp_path, max_log_files=60, log_cleanup_interval=1) as cluster:
        client = (await cluster.leader()).client()
        taken: dict[int, set[int]] = {each.id: set() for each in cluster.nodes}

        def look() -> bool:
            for each in cluster.nodes:
                taken[each.id] |= {found.header.last.index for found in each.directory.snapshots.found}
            return all(len(indexes) > 3 for indexes in taken.values())

        while not look():
            await client.result("session.open")
        await until(look)
        places = {index % 30 for indexes in taken.values() for index in sorted(indexes)[1:]}
        assert places == {0, 10, 20}
