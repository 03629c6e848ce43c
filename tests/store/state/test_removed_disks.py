from __future__ import annotations

import pytest

from qcore.model.errors import BadParams
from qcore.model.leader_commands import RaiseLevel, ReadmitDisk, RemoveDisk
from qcore.store.state.removed_disks import MAX_REMOVED, REMOVED_LEVEL, RemovedDisks
from qcore.store.state.state import State
from tests.store.samples import Log
from tests.store.state.test_snapshot_lines import again, everything, written

FIRST, SECOND = "ab" * 16, "cd" * 16


def at_level(level: int) -> Log:
    log = Log()
    log.do(RaiseLevel(level))
    return log


def test_a_disk_is_listed_until_it_is_readmitted() -> None:
    log = at_level(REMOVED_LEVEL)
    digest, revision = log.state.digest(), log.state.revision
    log.do(RemoveDisk(node=131_072, incarnation=FIRST))
    log.do(RemoveDisk(node=131_073, incarnation=SECOND))
    log.do(RemoveDisk(node=131_072, incarnation=FIRST))
    assert log.state.removed.all == [(FIRST, 131_072), (SECOND, 131_073)]
    log.do(ReadmitDisk(incarnation=FIRST))
    log.do(ReadmitDisk(incarnation=FIRST))
    assert log.state.removed.all == [(SECOND, 131_073)]
    assert (log.state.digest(), log.state.revision) == (digest, revision), "it is no write"


def test_the_list_is_in_snapshots_and_taken_over_with_them() -> None:
    log = at_level(REMOVED_LEVEL)
    assert b"removed" not in written(log.state)
    log.do(RemoveDisk(node=131_072, incarnation=FIRST))
    copy = again(log.state)
    assert everything(copy) == everything(log.state)
    other = State()
    other.adopt(copy, lambda work: None)
    assert other.removed.all == [(FIRST, 131_072)]


def test_below_its_level_there_is_no_list() -> None:
    log = at_level(REMOVED_LEVEL - 1)
    for command in (RemoveDisk(node=131_072, incarnation=FIRST), ReadmitDisk(incarnation=FIRST)):
        with pytest.raises(BadParams, match=f"from feature level {REMOVED_LEVEL} on"):
            log.do(command)
    assert log.state.removed.all == []


def test_the_newest_ones_are_kept() -> None:
    disks = RemovedDisks()
    for number in range(MAX_REMOVED + 2):
        disks.add(str(number), number)
    assert len(disks.nodes) == MAX_REMOVED
    assert next(iter(disks.nodes)) == "2"


def test_who_holds_the_list_sees_no_change_of_it() -> None:
    disks = RemovedDisks()
    disks.add(FIRST, 1)
    held = disks.nodes
    disks.readmit(FIRST)
    assert (dict(held), dict(disks.nodes)) == ({FIRST: 1}, {})
