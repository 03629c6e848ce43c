"""Whose disk is full, as the others say."""

from __future__ import annotations

from qcore.model.entry import raft_node_id
from qcore.server.writes.full_disks import DiskReport, FullDisks

FULL = DiskReport("the disk of /data is full")
ONE, TWO = raft_node_id(1, 0), raft_node_id(2, 3)


def test_a_node_is_full_until_it_says_otherwise() -> None:
    disks = FullDisks(3.0)
    assert disks.of([ONE, TWO], 0.0) == {}
    disks.note(TWO, FULL, 0.0)
    assert disks.of([ONE, TWO], 1.0) == {2: FULL}
    disks.note(TWO, DiskReport(), 1.5)
    assert disks.of([ONE, TWO], 1.5) == {}


def test_of_whom_nothing_is_heard_nothing_is_waited_for() -> None:
    disks = FullDisks(3.0)
    disks.note(TWO, FULL, 0.0)
    disks.note(TWO, FULL, 2.0)
    assert disks.of([TWO], 4.9) == {2: FULL}
    assert disks.of([TWO], 5.0) == {}


def test_only_those_asked_for_count() -> None:
    disks = FullDisks(3.0)
    disks.note(TWO, FULL, 0.0)
    assert disks.of([ONE], 1.0) == {}
    assert disks.of([raft_node_id(2, 4)], 1.0) == {}, "the node has another disk by now"
