"""Nodes on real sockets in one process: who links with whom, what gets through, and what ends how."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from pathlib import Path

import msgspec
import pytest

from qcore.cluster import budgets
from qcore.engine.base import RpcKind
from qcore.model.entry import LogId, Vote
from qcore.model.errors import NoQuorum, RequestError
from tests.cluster.linked import CLUSTER, DEADLINE, LinkedNode, ScriptedEngine, linked_nodes, started, until
from tests.cluster.relay import Relay, relayed


def test_nodes_of_which_one_knows_the_other_ask_each_other_in_both_directions(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2, linked=False) as (first, second):
        first.dial(second.address)
        until(lambda: first.reaches(second) and second.reaches(first))
        assert first.engine.ask(2, "vote", b"a").result(DEADLINE) == b"vote:a"
        assert second.engine.ask(1, "append", b"b").result(DEADLINE) == b"append:b"


def test_three_nodes_reach_each_other_and_every_request_is_answered_once(tmp_path: Path) -> None:
    kinds: list[RpcKind] = ["heartbeat", "vote", "pre_vote", "transfer", "append"]
    with linked_nodes(tmp_path, 1, 2, 3) as nodes:
        asked = [
            (node.engine.ask(other.id, kind, b"%d" % number), b"%s:%d" % (kind.encode(), number))
            for number in range(100)
            for kind in kinds
            for node in nodes
            for other in nodes
            if node is not other
        ]
        for future, answer in asked:
            assert future.result(DEADLINE) == answer
        for node in nodes:
            for other in nodes:
                came = [(kind, int(body)) for of, kind, body in node.engine.came if of == other.own.node]
                for kind in kinds:
                    numbers = [number for one, number in came if one == kind]
                    assert numbers == (list(range(100)) if node is not other else [])


def test_each_channel_has_one_connection_in_each_direction_and_no_more(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        until(lambda: all(len(node.host.hellos) >= 8 for node in (first, second)))
        # a node that is named by several sources, or dials itself, has no more than these
        for node in (first, second):
            channels = sorted(found.channel for found in node.host.hellos)
            assert channels == sorted([*("urgent", "append", "forward", "snapshot") * 2])
            assert node.host.reasons() <= {"itself"}


def test_the_engine_is_called_on_the_links_thread(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        first.engine.ask(2, "vote", b"").result(DEADLINE)
        assert second.engine.threads.isdisjoint({threading.get_ident()})
        assert len(second.engine.threads) == 1


# -- requests -----------------------------------------------------------------------------------------------


def test_a_request_to_a_node_that_is_not_linked_fails_at_once(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1) as (first,):
        assert first.engine.ask(2, "append", b"").result(DEADLINE) is None


def test_a_request_that_is_not_answered_ends_at_its_limit(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        second.engine.reply = lambda node, kind, body: None if kind == "append" else b""
        late = first.engine.ask(2, "append", b"", limit=0.05)
        assert late.result(DEADLINE) is None
        assert first.engine.ask(2, "heartbeat", b"").result(DEADLINE) == b""


def test_an_answer_that_comes_too_late_is_dropped(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        second.engine.reply = lambda node, kind, body: None if body == b"slow" else body
        assert first.engine.ask(2, "append", b"slow", limit=0.01).result(DEADLINE) is None
        until(lambda: second.engine.came)
        second.engine.answer(1, b"late")
        assert first.engine.ask(2, "append", b"next").result(DEADLINE) == b"next"


def test_nothing_is_heard_of_a_request_that_was_cancelled(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        second.engine.reply = lambda node, kind, body: None if body == b"slow" else body
        cancelled = first.engine.ask(2, "append", b"slow")
        until(lambda: second.engine.came)
        first.engine.cancel(cancelled)
        second.engine.answer(1, b"late")
        assert first.engine.ask(2, "append", b"next").result(DEADLINE) == b"next"
        assert not cancelled.done()


def test_a_request_that_is_cancelled_before_it_left_never_leaves(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        relay.hold("append")
        asked = [first.engine.ask(2, "append", b"%d" % number * (1 << 20)) for number in range(10)]
        for one in asked[5:]:
            first.engine.cancel(one)
        assert first.engine.ask(2, "heartbeat", b"").result(DEADLINE) is not None  # behind all of that
        relay.release()
        assert all(one.result(DEADLINE) for one in asked[:5])
        came = [body[:1] for _, kind, body in second.engine.came if kind == "append"]
        assert came == [b"0", b"1", b"2", b"3", b"4"]


def test_an_engine_that_cannot_answer_fails_the_request(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        second.engine.reply = lambda node, kind, body: None
        failing = first.engine.ask(2, "vote", b"")
        until(lambda: second.engine.came)
        second.engine.answer(1, None)
        assert failing.result(DEADLINE) is None


def test_what_is_larger_than_a_frame_fails_and_the_link_stays(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, _second):
        assert first.engine.ask(2, "append", bytes(33 << 20)).result(DEADLINE) is None
        assert first.engine.ask(2, "append", bytes(4 << 20)).result(DEADLINE) == b"append:" + bytes(4 << 20)
        assert first.engine.links == [(second_node(), True)]


def second_node() -> int:
    return 2 * 65_536


def test_an_answer_that_is_larger_than_a_frame_fails_and_the_link_stays(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        second.engine.reply = lambda node, kind, body: bytes(int(body))
        assert first.engine.ask(2, "append", b"%d" % (33 << 20)).result(DEADLINE) is None
        assert first.engine.ask(2, "append", b"5").result(DEADLINE) == bytes(5)
        assert first.engine.links == [(second.own.node, True)]


def test_heartbeats_overtake_entries_that_nobody_reads(tmp_path: Path) -> None:
    """The way of the entries is blocked for good; whatever Raft cannot wait for goes by another one."""
    with relayed(tmp_path) as (first, second, relay):
        relay.hold("append")
        stuck = [first.engine.ask(2, "append", bytes(4 << 20)) for _ in range(10)]
        for number in range(200):
            assert first.engine.ask(2, "heartbeat", b"%d" % number).result(DEADLINE) == b"heartbeat:%d" % number
        assert not any(one.done() for one in stuck)
        assert [body for _, kind, body in second.engine.came if kind == "append"] == []
        relay.release()
        assert all(one.result(DEADLINE) for one in stuck)


def test_requests_that_find_no_room_behind_a_slow_peer_fail(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, _, relay):
        relay.hold("append")
        asked = [first.engine.ask(2, "append", bytes(4 << 20)) for _ in range(30)]
        assert first.engine.ask(2, "heartbeat", b"").result(DEADLINE) is not None  # all of them were looked at
        failed = [one for one in asked if one.done()]
        assert failed
        assert all(one.result() is None for one in failed)
        assert sum(4 << 20 for one in asked if not one.done()) <= (64 << 20) + 3 * (4 << 20)
        relay.release()
        assert all(one.result(DEADLINE) for one in asked if one not in failed)


def test_heartbeats_go_on_while_the_main_thread_computes(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2, 3) as (first, _, _):
        asked = [first.engine.ask(id, "heartbeat", b"%d" % number) for number in range(100) for id in (2, 3)]
        computed = 0
        while not all(one.done() for one in asked):  # never waits, never gives way by itself
            computed += sum(range(1000))
        assert all(one.result() is not None for one in asked)


# -- lost and found again -------------------------------------------------------------------------------------


def test_a_cut_link_is_told_fails_what_is_open_and_comes_back(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        second.engine.reply = lambda node, kind, body: None
        failing = [first.engine.ask(2, "append", b""), first.engine.ask(2, "vote", b"")]
        until(lambda: len(second.engine.came) == 2)
        relay.cut()
        assert [one.result(DEADLINE) for one in failing] == [None, None]
        until(lambda: first.engine.links[-1] == (second.own.node, True) and len(first.engine.links) >= 3)
        assert [up for _, up in first.engine.links[:3]] == [True, False, True]
        second.engine.reply = lambda node, kind, body: b"well"
        assert first.engine.ask(2, "append", b"").result(DEADLINE) == b"well"


def test_a_link_that_is_cut_again_and_again_loses_no_answer_twice(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        for turn in range(8):
            until(lambda: first.reaches(second))
            asked = [first.engine.ask(2, kind, b"x" * 50_000) for kind in ("append", "vote") for _ in range(20)]
            if turn % 2:
                asked[0].result(DEADLINE)
            relay.cut()
            for one in asked:
                assert one.result(DEADLINE) in (None, b"append:" + b"x" * 50_000, b"vote:" + b"x" * 50_000)


def test_a_peer_that_is_there_and_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half open: the socket stays, but nothing comes through in either direction."""
    monkeypatch.setattr(budgets, "PING_SECONDS", 0.05)
    monkeypatch.setattr(budgets, "SILENCE_SECONDS", 0.3)
    with relayed(tmp_path) as (first, second, relay):
        relay.swallow()
        until(lambda: not first.reaches(second) and first.host.said("link_lost"))
        (lost,) = {notice.message.partition(": ")[2] for notice in first.host.said("link_lost")}
        assert lost == "nothing was heard for 0.3 s"
        relay.cut()
        relay.release()
        until(lambda: first.reaches(second))


def test_only_the_way_of_the_entries_is_dead_and_a_new_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "PING_SECONDS", 0.05)
    monkeypatch.setattr(budgets, "SILENCE_SECONDS", 0.3)
    with relayed(tmp_path) as (first, second, relay):
        relay.swallow("append")
        lost = first.engine.ask(2, "append", b"")
        assert lost.result(DEADLINE) is None
        until(lambda: first.reaches(second))
        assert first.engine.ask(2, "append", b"a").result(DEADLINE) == b"append:a"
        assert first.engine.links[:3] == [(second.own.node, up) for up in (True, False, True)]


def test_a_slow_peer_that_still_takes_bytes_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "PING_SECONDS", 0.05)
    monkeypatch.setattr(budgets, "SILENCE_SECONDS", 1.0)
    with relayed(tmp_path) as (first, second, relay):
        relay.trickle(256 << 10, 0.05)  # 5 MB/s, one of which takes longer than silence may
        assert first.engine.ask(2, "append", bytes(12 << 20)).result(DEADLINE) == b"append:" + bytes(12 << 20)
        assert first.engine.links == [(second.own.node, True)]


def test_a_restarted_node_is_linked_again_by_whoever_knows_it(tmp_path: Path) -> None:
    first = LinkedNode(1, tmp_path / "1")
    with started(first):
        for turn in range(3):
            second = LinkedNode(2, tmp_path / "2")
            with started(second):
                if turn == 0:
                    first.dial(second.address)
                else:
                    second.dial(first.address)
                until(lambda: first.reaches(second) and second.reaches(first))  # noqa: B023
            until(lambda: not first.engine.up[2])


def test_all_addresses_of_a_node_are_tried_and_one_is_used(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1", addr="nowhere"), LinkedNode(2, tmp_path / "2")
    with Relay(second.address) as one, Relay(second.address) as other, started(first, second):
        first.dial(
            "127.0.0.1:1", "no..name:1", "nobody.invalid:1", one.address, "[::1]:1", other.address, first.address
        )
        until(lambda: first.reaches(second) and len(first.host.hellos) >= 4)
        assert [up for _, up in first.engine.links] == [True]
        for relay in (one, other):
            relay.close()
            until(lambda: first.engine.ask(2, "vote", b"").result(DEADLINE) == b"vote:")


# -- refusals -------------------------------------------------------------------------------------------------


def test_another_secret_is_told_to_both_and_links_nothing(tmp_path: Path) -> None:
    first = LinkedNode(1, tmp_path / "1", secrets=(b"one",))
    second = LinkedNode(2, tmp_path / "2", secrets=(b"two",))
    with started(first, second):
        first.dial(second.address)
        until(lambda: first.host.said("link_refused") and second.host.said("link_refused"))
        assert first.host.said("link_refused")[0].message == (
            f"{second.address} does not talk to this node: the two nodes do not have the same cluster secret "
            "(wrong_secret)"
        )
        assert second.host.said("link_refused")[0].message.startswith("This node does not talk to 127.0.0.1:")
        assert [(refusal.reason, proved) for refusal, proved in first.host.refusals] == [("wrong_secret", False)]
        assert first.host.hellos == second.host.hellos == []
        assert first.engine.links == []


def test_a_secret_is_changed_while_all_stay_linked(tmp_path: Path) -> None:
    old, both = LinkedNode(1, tmp_path / "1", (b"old",)), LinkedNode(2, tmp_path / "2", (b"new", b"old"))
    new = LinkedNode(3, tmp_path / "3", (b"new",))
    with started(old, both, new):
        both.dial(old.address, new.address)
        until(lambda: both.reaches(old) and both.reaches(new) and old.reaches(both) and new.reaches(both))


def test_another_cluster_is_refused_and_the_refusal_is_proved(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1"), LinkedNode(2, tmp_path / "2", cluster="c2" * 16)
    with started(first, second):
        first.dial(second.address)
        until(lambda: first.host.refusals)
        (found,) = {(refusal.reason, proved) for refusal, proved in first.host.refusals}
        assert found == ("other_cluster", True)


def test_a_removed_node_hears_that_it_is(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        first.link.set_removed([second.own.incarnation])
        until(lambda: "removed" in second.host.reasons())
        assert all(proved for refusal, proved in second.host.refusals if refusal.reason == "removed")
        until(lambda: not first.reaches(second) and not second.reaches(first))


@pytest.mark.parametrize("same_disk", [True, False])
def test_a_second_node_of_the_same_number_is_refused(tmp_path: Path, same_disk: bool) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        incarnation = second.own.incarnation if same_disk else "ff" * 16
        double = LinkedNode(2, tmp_path / "double", incarnation=incarnation)
        with started(double):
            double.dial(first.address)
            until(lambda: double.host.refusals)
            assert double.host.reasons() == {"second_run" if same_disk else "second_incarnation"}
            assert first.reaches(second)


def test_a_disk_that_is_not_the_members_is_refused(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, linked=False) as (first,):
        first.link.set_members({2 * 65_536: "ff" * 16})
        second = LinkedNode(2, tmp_path / "2")
        with started(second):
            second.dial(first.address)
            until(lambda: "second_incarnation" in second.host.reasons())
            assert first.engine.links == []


def test_a_log_without_what_it_has_acknowledged_is_refused(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, linked=False) as (first,):
        second = LinkedNode(2, tmp_path / "2")
        second.host.vote, second.host.last = Vote(7, 65_536, True), LogId(6, 65_536, 40)
        with started(second):
            second.dial(first.address)
            until(lambda: first.reaches(second))
            first.link.acknowledged(second.own.incarnation, LogId(6, 65_536, 35))
        until(lambda: not first.reaches(second))
        older = LinkedNode(2, tmp_path / "2")
        older.host.vote, older.host.last = Vote(8, 65_536, False), LogId(6, 65_536, 34)
        with started(older):
            older.dial(first.address)
            until(lambda: "log_behind" in older.host.reasons())


def test_a_disk_that_was_put_back_is_refused(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, linked=False) as (first,):
        second = LinkedNode(2, tmp_path / "2")
        second.host.vote, second.host.last = Vote(7, 65_536, True), LogId(7, 65_536, 40)
        with started(second):
            second.dial(first.address)
            until(lambda: first.reaches(second))
        until(lambda: not first.reaches(second))
        older = LinkedNode(2, tmp_path / "2")
        older.host.vote, older.host.last = Vote(6, 65_536, True), LogId(6, 65_536, 30)
        with started(older):
            older.dial(first.address)
            until(lambda: "vote_behind" in older.host.reasons() and first.host.said("link_refused"))
            (loud,) = first.host.said("link_refused")
            assert (loud.level, "\n" in loud.message) == ("error", False)


def test_blank_nodes_meet_and_raft_stays_silent_until_both_are_in_one_cluster(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1", cluster=""), LinkedNode(2, tmp_path / "2", cluster="")
    with started(first, second):
        first.dial(second.address)
        until(lambda: len(first.host.hellos) >= 8 and len(second.host.hellos) >= 8)
        assert first.engine.links == second.engine.links == []
        assert first.engine.ask(2, "vote", b"").result(DEADLINE) is None
        first.link.identify(msgspec.structs.replace(first.own, cluster=CLUSTER))
        until(lambda: any(found.cluster == CLUSTER for found in second.host.hellos))
        assert first.engine.links == second.engine.links == []
        second.link.identify(msgspec.structs.replace(second.own, cluster=CLUSTER))
        until(lambda: first.reaches(second) and second.reaches(first))
        assert second.engine.came == []


def test_without_a_secret_other_machines_are_not_talked_to(tmp_path: Path) -> None:
    first = LinkedNode(1, tmp_path / "1", secrets=())
    with started(first):
        hub = first.link._hub
        assert hub is not None
        assert hub.may_dial("127.0.0.1:80") is None
        assert hub.may_dial("[::1]:80") is None
        refusal = hub.may_dial("192.0.2.7:80")
        assert refusal is not None
        assert refusal.reason == "no_secret"


def test_nodes_without_a_secret_link_on_one_machine(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1", secrets=()), LinkedNode(2, tmp_path / "2", secrets=())
    with started(first, second):
        first.dial(second.address)
        until(lambda: first.reaches(second) and second.reaches(first))


# -- status ---------------------------------------------------------------------------------------------------


def test_the_status_tells_who_is_linked_and_how_far_clocks_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "PING_SECONDS", 0.02)
    with linked_nodes(tmp_path, 1, 2, 3) as (first, second, third):
        until(lambda: len(first.link.status) == 2 and all(one.clock_ahead is not None for one in first.link.status))
        assert [(one.hello.id, one.up, one.hello.run) for one in first.link.status] == [
            (2, True, second.own.run),
            (3, True, third.own.run),
        ]
        assert all(abs(one.clock_ahead or 0) < 60 for one in first.link.status)


def test_the_status_tells_every_address_that_leads_to_a_node_as_it_was_named(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1"), LinkedNode(2, tmp_path / "2")
    named = [f"localhost:{node.address.rpartition(':')[2]}" for node in (first, second)]
    with started(first, second):
        first.dial(named[1], second.address, named[0])
        until(lambda: first.host.own_addresses and first.link.status and len(first.link.status[0].addresses) == 2)
        (status,) = first.link.status
        assert set(status.addresses) == {named[1], second.address}
        assert status.address in status.addresses
        assert set(first.host.own_addresses) <= {named[0], first.address}
        assert named[0] in first.host.own_addresses


# -- the end --------------------------------------------------------------------------------------------------


def test_a_stop_with_everything_open_ends_and_fails_what_is_open(tmp_path: Path) -> None:
    before = threading.active_count()
    with linked_nodes(tmp_path, 1, 2, 3) as (first, second, _):
        second.engine.reply = lambda node, kind, body: None
        asked = [first.engine.ask(2, kind, bytes(100_000)) for kind in ("append", "vote") for _ in range(50)]
        first.dial("127.0.0.1:1", second.address, "192.0.2.1:1")
        until(lambda: len(second.engine.came) > 10)
        strangers = [socket.create_connection(("127.0.0.1", first.door._socket.getsockname()[1])) for _ in range(3)]
        assert first.link.stop(DEADLINE)
        assert [one.result(0) for one in asked] == [None] * 100
        assert first.link.stop(0)
        for stranger in strangers:
            stranger.close()
    until(lambda: threading.active_count() <= before)


def test_a_stopped_link_takes_nothing_any_more(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        first.link.stop(DEADLINE)
        ours, theirs = socket.socketpair()
        first.link.accept(ours, b"", b"")
        assert ours.fileno() == -1
        theirs.close()
        first.dial(second.address)
        first.link.set_members({})
        until(lambda: not second.reaches(first))


def test_a_link_that_cannot_go_on_says_so(tmp_path: Path) -> None:
    node = LinkedNode(1, tmp_path / "1")

    def fail() -> ScriptedEngine:
        raise OSError("no queue")

    node.engine.rpc_queue = fail  # type: ignore[method-assign]
    node.link.start()
    until(lambda: node.host.failures)
    assert [str(failure) for failure in node.host.failures] == ["no queue"]
    assert node.link.stop(DEADLINE)
    node.door.close()
    node.engine.close()


def test_an_abandoned_link_is_cut_at_once(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        first.link.abandon()
        until(lambda: not second.reaches(first))
        assert first.link.stop(DEADLINE)


def test_links_start_and_stop_many_times(tmp_path: Path) -> None:
    for _ in range(20):
        with linked_nodes(tmp_path, 1, 2, linked=False) as (first, second):
            first.dial(second.address)
            first.engine.ask(2, "append", b"x")


# -- other questions ------------------------------------------------------------------------------------------


def ask(node: LinkedNode, id: int, kind: str, body: bytes) -> bytes | RequestError:
    heard: Future[bytes | RequestError] = Future()
    node.link.ask(id * 65_536, kind, body, DEADLINE, lambda found, error: heard.set_result(error or found))
    return heard.result(DEADLINE)


def test_any_two_nodes_that_are_linked_may_ask_each_other_what_is_not_rafts(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1", cluster=""), LinkedNode(2, tmp_path / "2", cluster="")
    with started(first, second):
        first.dial(second.address)
        until(lambda: first.link.status)
        assert ask(first, 2, "formation", b"promise") == b"formation promise"
        (question,) = second.host.questions
        assert (question.asker.run, question.asker.cluster) == (first.own.run, "")
        assert isinstance(ask(first, 3, "formation", b""), NoQuorum)
        assert first.link.stop(DEADLINE)
        assert isinstance(ask(first, 2, "formation", b""), NoQuorum)
