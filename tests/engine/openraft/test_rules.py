"""What a later version of OpenRaft could break: how it asks for votes, log and snapshots. One test for each rule."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

if TYPE_CHECKING:
    from qcore_openraft import EntryParts

from tests.engine.openraft.raw import (
    ELECTION_MAX_MS,
    HEARTBEAT_MS,
    OTHER,
    SELF,
    THIRD,
    THREE,
    RawNode,
    message,
    raw_node,
)
from tests.server.running import until

LEADER = {"term": 5, "node": OTHER, "committed": True}
AT_0 = {"term": 0, "node": OTHER, "index": 0}


def campaign(term: int, node: int, *, transfer: bool = False, index: int = 0) -> dict[str, Any]:
    last = {"term": 0, "node": OTHER, "index": index}
    return {"vote": {"term": term, "node": node, "committed": False}, "last": last, "transfer": transfer}


def log_id(index: int) -> dict[str, int]:
    return {"term": 5, "node": OTHER, "index": index}


def append(start: int, count: int, *, committed: int | None = None, size: int = 1) -> dict[str, Any]:
    """Entries of the leader, from `start` on."""
    entries = [{"id": log_id(start + place), "commands": b"{" + b"x" * size + b"}"} for place in range(count)]
    previous = AT_0 if start == 1 else log_id(start - 1)
    return {
        "vote": LEADER,
        "previous": previous,
        "entries": entries,
        "committed": None if committed is None else log_id(committed),
    }


# -- votes (rules 8, 15) -----------------------------------------------------------------------------------------


async def test_a_restarted_node_votes_for_nobody_for_a_lease_unless_leadership_is_handed_over() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((4, OTHER, True))
        begun = time.monotonic()
        assert (await node.answer("pre_vote", **campaign(6, THIRD)))["granted"] is False
        refused = await node.answer("vote", **campaign(6, THIRD))
        held = time.monotonic() - begun < ELECTION_MAX_MS / 1000  # on a machine that slept it proves nothing
        assert refused["granted"] is False or not held
        assert refused["vote"] == {"term": 4, "node": OTHER, "committed": True} or not held
        assert (await node.answer("vote", **campaign(7, THIRD, transfer=True)))["granted"] is True


async def test_after_the_lease_a_restarted_node_votes_again() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((4, OTHER, True))
        term = 100
        granted = False
        while not granted:
            term += 1
            granted = (await node.answer("vote", **campaign(term, THIRD)))["granted"]
        assert ("vote", (term, THIRD, False)) in node.log


async def test_a_node_that_stands_late_lets_each_other_one_stand_first() -> None:
    with raw_node(stands_late=True) as node:
        begun = time.monotonic()
        node.start_as_one_of_three((4, OTHER, True))
        for other in (OTHER, THIRD):
            node.border.set_link(other, True)
        await until(lambda: node.sent)
        assert {kind for _, kind, _, _ in node.sent} == {"pre_vote"}
        assert time.monotonic() - begun >= 2 * (ELECTION_MAX_MS + HEARTBEAT_MS) / 1000


async def test_a_vote_is_on_the_disk_before_it_is_given() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((0, SELF, False))
        node.holds = True
        node.pending(1)
        node.border.rpc_in("vote", 1, message(**campaign(9, THIRD)))
        await until(lambda: node.open)
        assert not node.is_answered(1)
        node.complete_log()
        await until(lambda: node.is_answered(1))
        assert node.answers[1]["granted"] is True


async def test_a_node_that_led_before_its_restart_does_not_lead_without_an_election() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((4, SELF, True))
        await until(lambda: ("started",) in node.said)
        await until(lambda: node.roles)
        assert all(leads is False for _, _, _, leads, *_ in node.roles)
        assert not node.log


async def test_a_node_without_connections_wakes_nobody_and_its_term_stays() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((4, OTHER, True))
        begun = time.monotonic()
        await until(lambda: time.monotonic() - begun > 3 * ELECTION_MAX_MS / 1000)
        assert not node.sent
        assert not node.log


@pytest.mark.parametrize("thread", ["link", "main"])
async def test_a_node_one_of_whose_threads_does_not_come_does_not_stand_for_election(thread: str) -> None:
    loop = asyncio.get_running_loop()
    with raw_node() as node, raw_node() as stalled:
        border = stalled.border
        descriptor = border.link_fd() if thread == "link" else border.main_fd()
        loop.remove_reader(descriptor)
        for each in (node, stalled):
            each.start_as_one_of_three((4, OTHER, False))
            for other in (OTHER, THIRD):
                each.border.set_link(other, True)
        await until(lambda: len(node.sent) >= 20)
        stalled.fetch_link()
        assert len(stalled.sent) <= 4
        stalled.sent.clear()
        if thread == "link":
            loop.add_reader(descriptor, stalled.fetch_link)
        else:
            loop.add_reader(descriptor, border.deliver_main, stalled)
        await until(lambda: stalled.sent)


# -- the log (rules 1, 9, 37, 38) --------------------------------------------------------------------------------


async def test_entries_are_applied_before_they_are_durable_here_and_acknowledged_after() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 0))
        node.holds = True
        node.pending(50)
        node.border.rpc_in("append", 50, message(**append(1, 2, committed=2)))
        await until(lambda: len(node.applied) == 2)
        assert not node.is_answered(50)
        node.complete_log()
        await until(lambda: node.is_answered(50))
        assert node.answers[50]["outcome"] == "success"


async def test_a_purge_keeps_its_place_behind_entries_that_are_not_durable_yet() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 0))
        node.holds = True
        node.border.rpc_in("append", 50, message(**append(1, 3, committed=3)))
        await until(lambda: len(node.applied) == 3)
        node.border.snapshot_taken(1, (5, OTHER, 2), THREE, (0, OTHER, 0))
        node.border.purge(2)
        await until(lambda: ("purge", 2) in node.log)
        places = [node.log.index(("append", [1, 2, 3])), node.log.index(("purge", 2))]
        assert places == sorted(places)
        assert node.open


async def test_the_hint_of_what_is_committed_comes_without_being_asked_for() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 3, committed=3))
        await until(lambda: ("committed", 3) in node.log)


async def test_entries_that_another_leader_replaces_are_truncated_first() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 3))
        new = {"term": 6, "node": THIRD, "committed": True}
        entry = {"id": {"term": 6, "node": THIRD, "index": 2}}
        answer = await node.answer("append", vote=new, previous=log_id(1), entries=[entry], committed=None)
        assert answer["outcome"] == "success"
        assert [what for what, *_ in node.log if what != "vote"] == ["append", "truncate", "append"]
        assert ("truncate", 2) in node.log


async def test_a_failed_write_is_fatal_and_nothing_is_acknowledged_after_it() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 0))
        node.holds = True
        node.pending(50)
        node.border.rpc_in("append", 50, message(**append(1, 1)))
        await until(lambda: node.open)
        assert node.border.fail(node.open.pop(), "the disk is gone")
        await until(lambda: node.ended)
        assert node.ended[0] is not None
        assert "the disk is gone" in node.ended[0]
        assert not node.is_answered(50) or node.answers[50] is None


async def test_older_entries_are_asked_of_python_when_a_node_needs_them() -> None:
    with raw_node() as node:
        first, last = (0, OTHER, 0), (5, SELF, 9)
        leaders = [first, (5, SELF, 1)]
        node.start(vote=(5, SELF, True), last=last, leaders=leaders, applied=last, membership=(THREE, first))
        for other in (OTHER, THIRD):
            node.border.set_link(other, True)
        node.border.elect()
        await until(lambda: reads_of(play_blank_followers(node)))
        _, id, start, stop = reads_of(node)[0]
        assert start < stop <= 10
        entries: list[EntryParts] = [(5, SELF, index, b"{}") for index in range(start, start + 3)]
        assert node.border.complete_read(id, entries)
        await until(lambda: start + 3 in [read[2] for read in reads_of(play_blank_followers(node))])


def reads_of(node: RawNode) -> list[tuple[Any, ...]]:
    return [said for said in node.said if said[0] == "read_log"]


def play_blank_followers(node: RawNode) -> RawNode:
    """Answer what was sent to the others as nodes do that have entry 0 alone, and then what they are sent."""
    sent, node.sent = node.sent, []
    for _, kind, request, body in sent:
        asked = decoded(body)
        if kind in ("vote", "pre_vote"):
            reply(node, request, vote=asked["vote"], granted=True, last=AT_0)
        else:
            fits = asked["entries"] or asked["previous"] is None or asked["previous"]["index"] == 0
            reply(node, request, outcome="success" if fits else "conflict", upto=None, vote=None)
    return node


def decoded(body: bytes) -> Any:
    return msgspec.msgpack.decode(body)["message"]


def reply(node: RawNode, request: int, **fields: Any) -> None:
    node.border.rpc_done(request, message(**fields))


async def test_a_batch_of_the_log_is_bounded_as_each_entry_is_an_fdatasync() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 0))
        node.holds = True
        for start in range(1, 301, 50):
            node.pending(start)
            node.border.rpc_in("append", start, message(**append(start, 50)))
        await until(lambda: sum(len(what) for kind, what in node.log if kind == "append") == 300)
        assert max(len(what) for kind, what in node.log if kind == "append") <= 64
        node.complete_log()


# -- the border itself (rules 20, 26) ----------------------------------------------------------------------------


async def test_a_stop_does_not_wait_for_a_vote_that_is_never_written() -> None:
    with raw_node() as node:
        node.holds = True
        node.start_as_one_of_three((5, OTHER, False))
        node.pending(1)
        node.border.rpc_in("append", 1, message(**append(1, 0)))
        await until(lambda: node.open)
        node.border.stop()
        await until(lambda: node.ended)
        assert node.border.open_items() == 0
        assert not node.is_answered(1) or node.answers[1] is None


async def test_what_is_completed_twice_or_was_never_asked_for_changes_nothing() -> None:
    with raw_node() as node:
        node.holds = True
        node.start_as_one_of_three((5, OTHER, False))
        node.border.rpc_in("append", 1, message(**append(1, 0)))
        await until(lambda: node.open)
        assert node.border.complete(node.open) == 1
        assert node.border.complete([*node.open, 999]) == 0
        assert not node.border.fail(999, "no")
        assert not node.border.rpc_done(999, None)


async def test_a_body_that_is_no_request_or_of_another_version_is_answered_by_nothing() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        later = msgspec.msgpack.encode({"version": 99, "message": {}})
        for call, body in enumerate([b"", b"\xff\x00", later], 1):
            node.border.rpc_in("append", call, body)
        await until(lambda: len(node.answers) == 3)
        assert list(node.answers.values()) == [None] * 3


async def test_a_snapshot_that_no_cluster_can_have_made_is_refused() -> None:
    with raw_node() as node:
        node.start_as_one_of_three((5, OTHER, False))
        await node.answer("append", **append(1, 3, committed=3))
        nodes = [{"node": id, "addr": addr, "incarnation": of} for id, addr, of, _ in THREE[1]]
        members = {"configs": THREE[0], "nodes": nodes}
        beyond = {"term": 9, "node": OTHER, "index": 7}
        contradicts = {"term": 5, "node": OTHER, "index": 3} | {"node": OTHER + 1}
        for call, last in enumerate([beyond, contradicts], 60):
            body = message(vote=LEADER, last=last, membership_id=AT_0, membership=members)
            node.pending(call)
            node.border.snapshot_in(call, body, 1, (last["term"], last["node"], last["index"]), (0, OTHER, 0))
            await until(lambda: node.is_answered(call))  # noqa: B023
            assert node.answers[call]["refusal"]
        assert not node.ended


async def test_what_a_handler_leaves_by_an_error_waits_for_the_next_time() -> None:
    with raw_node() as node:
        asyncio.get_running_loop().remove_reader(node.border.link_fd())
        node.start_as_one_of_three((5, OTHER, False))
        node.border.rpc_in("append", 1, b"")
        node.border.rpc_in("append", 2, b"")

        class Fails:
            send = send_snapshot = cancel = staticmethod(lambda *_: None)

            def answer(self, call: int, body: bytes | None, /) -> None:
                raise ZeroDivisionError(call)

        for call in (1, 2):
            with pytest.raises(ZeroDivisionError, match=str(call)):
                node.border.deliver_link(Fails())
