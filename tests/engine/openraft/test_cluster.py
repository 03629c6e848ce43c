"""A cluster's life on OpenRaft: elections, cuts, failover, membership and snapshots, with real disks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from qcore.engine.openraft.unwritten import MOST_BYTES
from qcore.model.entry import Member, Membership
from qcore.model.errors import Damaged, Forbidden, NoQuorum, RequestError
from tests.engine.openraft.cluster import Cluster, PlainHost, clusters, raft_id
from tests.server.running import GatedFiles, until


async def write_many(cluster: Cluster, host: PlainHost, count: int) -> list[int]:
    return [await cluster.write(host) for _ in range(count)]


async def test_three_nodes_elect_a_leader_and_apply_the_same(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        tokens = await write_many(cluster, leader, 20)
        assert await cluster.settle() == tokens
        first, second, third = cluster.hosts.values()
        assert first.entries == second.entries == third.entries
        assert [host.leader for host in cluster.hosts.values() if host is not leader] == [leader.node] * 2


async def test_a_follower_names_the_leader_and_takes_no_barrier(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        follower = next(host for host in cluster.hosts.values() if host is not leader)
        await until(lambda: follower.leader)
        heard: list[tuple[int, RequestError | None]] = []
        follower.engine.read_barrier(lambda index, error: heard.append((index, error)), time.monotonic() + 5)
        index, error = heard[0]
        assert index == -1
        assert isinstance(error, NoQuorum)
        assert error.data["leader"] == leader.node


async def test_a_read_barrier_tells_what_a_quorum_has_committed(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        await write_many(cluster, leader, 3)
        heard: list[tuple[int, RequestError | None]] = []
        for _ in range(3):
            leader.engine.read_barrier(lambda index, error: heard.append((index, error)), time.monotonic() + 5)
        await until(lambda: len(heard) == 3)
        assert heard == [(leader.last.index, None)] * 3


async def test_a_barrier_of_a_leader_that_was_cut_off_fails_by_its_deadline(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        cluster.cut(leader.node)
        heard: list[tuple[int, RequestError | None]] = []
        leader.engine.read_barrier(lambda index, error: heard.append((index, error)), time.monotonic() + 1)
        await until(lambda: heard)
        assert heard[0][0] == -1
        cluster.heal()


async def test_a_lease_read_asks_nobody_and_ends_with_the_lease(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        await write_many(cluster, leader, 3)
        await cluster.settle()
        heard: list[tuple[int, RequestError | None]] = []
        last = leader.last.index
        cluster.cut(leader.node)

        def read() -> None:
            leader.engine.read_barrier(lambda *found: heard.append(found), time.monotonic() + 5, lease=True)

        read()
        await until(lambda: heard)
        while leader.term is not None:  # as long as it may, it knows everything that anybody has written
            read()
            await asyncio.sleep(0.001)
        read()
        assert isinstance(heard[-1][1], NoQuorum)
        assert {index for index, error in heard if error is None} <= {last}
        cluster.heal()


async def test_after_a_restart_inside_the_lease_no_lease_read_is_stale(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        old = await cluster.form(1, 2, 3)
        await cluster.write(old)
        await cluster.settle()
        heard: list[tuple[int, RequestError | None]] = []
        others = [node for node in cluster.hosts if node != old.node]
        cluster.cut(old.node)
        for node in others:  # they forget whom they follow
            cluster.abandon(node)
        cluster.start(*others)
        new = await cluster.leader(others)
        await until(lambda: old.engine.accepts_proposals() is False or new.term)
        await cluster.write(new)
        old.engine.read_barrier(lambda *found: heard.append(found), time.monotonic() + 5, lease=True)
        await until(lambda: heard)
        assert heard[0][1] is not None
        cluster.heal()


@pytest.mark.parametrize("slow", ["leader", "follower"])
async def test_a_slow_disk_of_one_node_holds_up_no_commit(tmp_path: Path, slow: str) -> None:
    disks = {node: GatedFiles() for node in (1, 2, 3)}
    async with clusters(tmp_path, files=disks.__getitem__) as cluster:
        leader = await cluster.form(1, 2, 3)
        await cluster.write(leader)
        await cluster.settle()
        follower = next(node for node in cluster.hosts if node != leader.node)
        held = disks[leader.node if slow == "leader" else follower]
        held.gated = "logs"
        held.open.clear()
        await write_many(cluster, leader, 2)
        assert held.held
        held.open.set()
        await cluster.settle()


async def test_a_leader_whose_own_disk_hangs_takes_only_so_much_ahead_of_it(tmp_path: Path) -> None:
    disks = {node: GatedFiles() for node in (1, 2, 3)}
    async with clusters(tmp_path, files=disks.__getitem__) as cluster:
        leader = await cluster.form(1, 2, 3)
        await cluster.write(leader)
        await cluster.settle()
        held = disks[leader.node]
        held.gated = "logs"
        held.open.clear()
        took = 0
        while leader.engine.accepts_proposals():
            token = cluster.propose(leader, "x" * (1 << 20))
            await until(lambda: ("committed", token) in leader.said)  # noqa: B023
            took += 1
        assert took == MOST_BYTES >> 20
        leader.asked_again = False
        held.open.set()
        await until(lambda: leader.asked_again)
        assert leader.engine.accepts_proposals()
        await cluster.settle()


async def test_a_leader_that_was_cut_off_steps_down_and_another_one_leads(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        old = await cluster.form(1, 2, 3)
        before = await cluster.write(old)
        term = old.term
        cluster.cut(old.node)
        lost = cluster.propose(old)
        await until(lambda: old.term is None)
        assert old.roles[-1] == ("following", None, term)
        others = [node for node in cluster.hosts if node != old.node]
        new = await cluster.leader(others)
        after = await cluster.write(new)
        cluster.heal()
        await until(lambda: old.leader == new.node)
        assert await cluster.settle() == [before, after]
        assert ("rejected", lost) in old.said


async def test_what_was_acknowledged_outlives_the_leader(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        tokens = await write_many(cluster, leader, 10)
        for _ in range(3):
            cluster.abandon(leader.node)
            gone, leader = leader, await cluster.leader()
            tokens += await write_many(cluster, leader, 5)
            cluster.start(gone.node)
            await until(lambda: cluster.hosts[gone.node].leader)  # noqa: B023
        assert await cluster.settle() == tokens


async def test_a_follower_that_was_cut_off_does_not_disturb_when_it_returns(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        term, apart = leader.term, next(node for node in cluster.hosts if node != leader.node)
        cluster.cut(apart)
        await until(lambda: cluster.engines[apart].status().role == "follower")
        tokens = await write_many(cluster, leader, 60)
        cluster.heal()
        assert await cluster.settle() == tokens
        assert leader.term == term


async def test_leadership_is_handed_over_without_an_election_time_out(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        old = await cluster.form(1, 2, 3)
        await cluster.write(old)
        target = next(node for node in cluster.hosts if node != old.node)
        errors: list[RequestError | None] = []
        old.engine.transfer(raft_id(target), errors.append)
        new = await cluster.leader([target])
        await until(lambda: errors)
        assert errors == [None]
        assert old.term is None
        await cluster.write(new)


async def test_a_hand_over_to_a_node_that_is_gone_is_refused_and_writes_go_on(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        target = next(node for node in cluster.hosts if node != leader.node)
        cluster.abandon(target)
        errors: list[RequestError | None] = []
        leader.engine.transfer(raft_id(target), errors.append)
        await until(lambda: errors)
        assert errors[0] is not None
        await cluster.write(leader)


async def test_a_witness_is_handed_no_leadership_and_leads_only_where_it_alone_has_the_newest_entries(
    tmp_path: Path,
) -> None:
    async with clusters(tmp_path) as cluster:
        cluster.witnesses = {3}
        leader = await cluster.form(1, 2, 3)
        assert leader.node in (1, 2)
        assert leader.membership is not None
        assert leader.membership[0].witnesses == {raft_id(3)}
        await cluster.write(leader)
        errors: list[RequestError | None] = []
        leader.engine.transfer(raft_id(3), errors.append)
        await until(lambda: errors)
        assert errors[0] is not None
        assert "it is a witness" in errors[0].message
        behind = next(node for node in (1, 2) if node != leader.node)
        cluster.abandon(behind)
        await cluster.write(leader)
        cluster.abandon(leader.node)
        cluster.start(behind)
        witness = await cluster.leader([3])
        while errors[-1] is not None:  # it has to get the newest entries first
            errors.clear()
            witness.engine.transfer(raft_id(behind), errors.append)
            await until(lambda: errors)
        await cluster.write(await cluster.leader([behind]))


async def test_after_a_hand_over_that_never_arrived_there_is_a_leader_again(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        await cluster.write(leader)
        await cluster.settle()
        target = next(node for node in cluster.hosts if node != leader.node)
        cluster.cut(target)
        errors: list[RequestError | None] = []
        leader.engine.transfer(raft_id(target), errors.append)
        await until(lambda: errors)
        await cluster.write(await cluster.leader(set(cluster.hosts) - {target}))
        cluster.heal()
        await cluster.settle()


async def test_a_learner_catches_up_gets_a_vote_and_can_be_removed(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1)
        tokens = await write_many(cluster, leader, 5)
        cluster.start(2)
        errors: list[RequestError | None] = []
        member = cluster.member(2)
        leader.engine.add_learner(raft_id(2), member, errors.append)
        await until(lambda: errors)
        assert await cluster.settle() == tokens
        leader.engine.promote(raft_id(2), errors.append)
        await until(lambda: len(errors) == 2)
        assert leader.membership is not None
        assert leader.membership[0].configs == [[raft_id(1), raft_id(2)]]
        tokens.append(await cluster.write(leader))
        assert await cluster.settle() == tokens
        leader.engine.remove(raft_id(2), errors.append)
        await until(lambda: len(errors) == 3)
        assert errors == [None] * 3
        assert leader.membership[0].configs == [[raft_id(1)]]
        assert list(leader.membership[0].nodes) == [raft_id(1)]
        await cluster.write(leader)


async def test_another_address_of_a_member_is_noted_and_nothing_else(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        await cluster.settle()
        assert leader.membership is not None
        before = leader.membership[0]
        errors: list[RequestError | None] = []
        leader.engine.set_address(raft_id(2), "10.0.0.9:80", errors.append)
        await until(lambda: errors)
        leader.engine.set_address(raft_id(2), "10.0.0.9:80", errors.append)
        await until(lambda: len(errors) == 2)
        assert errors == [None, None]
        moved = Member("10.0.0.9:80", before.nodes[raft_id(2)].incarnation)
        assert leader.membership[0] == Membership(before.configs, {**before.nodes, raft_id(2): moved})
        leader.engine.set_address(raft_id(9), "10.0.0.9:80", errors.append)
        await until(lambda: len(errors) == 3)
        assert isinstance(errors[2], Forbidden)
        assert leader.membership[0].nodes.keys() == before.nodes.keys()


async def test_a_node_that_is_too_far_behind_is_sent_a_snapshot(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        apart = next(node for node in cluster.hosts if node != leader.node)
        await cluster.stop(apart)
        await write_many(cluster, leader, 10)
        found = leader.take_snapshot()
        leader.engine.purge(found.header.last)
        await until(lambda: cluster.directories[leader.node].purged == found.header.last)
        cluster.start(apart)
        await until(lambda: cluster.hosts[apart].installed)
        tokens = await write_many(cluster, leader, 3)
        late = cluster.hosts[apart]
        await until(lambda: late.last == leader.last)
        assert [entry.body.time for entry in late.entries if entry.body.kind == "commands"] == tokens
        assert cluster.directories[apart].purged == found.header.last


async def test_a_snapshot_that_is_no_good_is_refused_and_sent_again(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        apart = next(node for node in cluster.hosts if node != leader.node)
        await cluster.stop(apart)
        await write_many(cluster, leader, 3)
        leader.engine.purge(leader.take_snapshot().header.last)
        await until(lambda: cluster.directories[leader.node].purged)
        cluster.start(apart)
        cluster.hosts[apart].refuses = Damaged("a byte is not what was written")
        await until(lambda: len(list((tmp_path / str(apart) / f"node_{apart}" / "snapshots").iterdir())) > 1)
        assert not cluster.hosts[apart].installed
        cluster.hosts[apart].refuses = None
        await until(lambda: cluster.hosts[apart].installed)


async def test_all_nodes_stopped_and_started_again_have_lost_nothing(tmp_path: Path) -> None:
    async with clusters(tmp_path) as cluster:
        leader = await cluster.form(1, 2, 3)
        tokens = await write_many(cluster, leader, 10)
        await cluster.stop(1, 2, 3)
        cluster.start(1, 2, 3)
        leader = await cluster.leader()
        tokens += await write_many(cluster, leader, 3)
        assert await cluster.settle() == tokens
