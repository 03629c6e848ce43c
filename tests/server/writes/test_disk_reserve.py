"""The disk's reserve: writes are refused below it, deletions are not, and it is over when there is room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qcore.disk.space import Space
from qcore.model.requests.commands import Command, Create, Delete, SessionOpen, SetFields
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.server.runtime import budgets
from qcore.server.writes import disk_reserve as reserve
from qcore.server.writes.disk_reserve import DiskReserve
from qcore.server.writes.full_disks import DiskReport
from tests.server.running import running


class Next:
    """The snapshot that the reserve is kept for."""

    def __init__(self) -> None:
        self.size = 0
        self.still = 0
        self.relieved: list[Space] = []
        self.deleted = 0

    def expected(self) -> int:
        return self.size

    def pending(self, found: Space) -> int:
        return self.still

    def deletes(self, size: int) -> None:
        self.deleted += size

    def relieve(self, found: Space) -> None:
        self.relieved.append(found)


def reserve_of(wanted: int | None, snapshot: Next | None = None, rooms: list[int] | None = None) -> DiskReserve:
    return DiskReserve("/data", wanted, snapshot or Next(), ([] if rooms is None else rooms).append)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free bytes of a disk of 1 GB, looked at each time."""
    found = [0]
    monkeypatch.setattr(reserve, "space", lambda _folder: Space(1 << 30, found[0]))
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 0.0)
    return found


def test_below_the_reserve_only_what_deletes_is_taken(free: list[int]) -> None:
    kept = reserve_of(10)
    free[0] = (10 << 20) - 1
    refused: list[Command] = [Create("T", "a"), SetFields(1, "A", 1), Pipeline([Delete(5), Create("T", "a")])]
    for command in refused:
        problem = kept.problem(command, 1, 0)
        assert problem is not None
        assert problem.kind == "disk_full"
        assert (
            "the disk of /data is full: 9.9 MB are free, 10.0 MB are kept in reserve (disk_reserve_mb)"
            in problem.message
        )
        assert problem.message.endswith("; deletions are taken all the same")
        assert problem.data["applied"] == "no"
    taken: list[Command] = [Delete(5), SessionOpen(), Transaction([Delete(5), Get(6)])]
    for command in taken:
        assert kept.problem(command, 1, 0) is None
    free[0] = (10 << 20) + 4096
    assert kept.problem(Create("T", "a"), 1, 0) is None


def test_what_comes_and_what_waits_is_not_free_any_more(free: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 1000.0)
    kept, create = reserve_of(10), Create("T", "a")
    free[0] = 20 << 20
    assert kept.problem(create, 4 << 20, 0) is None
    assert kept.problem(create, 4 << 20, 0) is None
    free[0] = 12 << 20
    problem = kept.problem(create, 4 << 20, 1 << 20)
    assert problem is not None
    assert (
        "12.0 MB are free, 10.0 MB are kept in reserve (disk_reserve_mb), 5.0 MB are to be written" in problem.message
    )
    assert kept.problem(create, 1 << 20, 0) is None


def test_without_a_setting_a_twentieth_is_kept(free: list[int]) -> None:
    kept = reserve_of(None)
    free[0] = (1 << 30) // 20 - 1
    assert kept.problem(Create("T", "a"), 1, 0) is not None
    free[0] += 4097
    assert kept.problem(Create("T", "a"), 1, 0) is None


def test_no_reserve_takes_everything(free: list[int]) -> None:
    assert reserve_of(0).problem(Create("T", "a"), 1, 0) is None


def test_a_disk_that_says_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "space", lambda _folder: None)
    assert reserve_of(10).problem(Create("T", "a"), 1, 0) is None


def test_what_the_next_snapshot_needs_is_kept_where_it_is_more(free: list[int]) -> None:
    """However large the disk is: the reserve alone ends at 512 MB."""
    snapshot = Next()
    snapshot.size = 100 << 20
    kept, slice_ = reserve_of(10, snapshot), 10 * (1 << 20) // 4
    free[0] = snapshot.size + 2 * slice_
    problem = kept.problem(Create("T", "a"), 1, 0)
    assert problem is not None
    assert (
        "105.0 MB are free, 105.0 MB are kept for the next snapshot, which lets old entries go, 0.1 MB are to be"
        in (problem.message)
    )
    free[0] += 4096
    assert kept.problem(Create("T", "a"), 1, 0) is None


def test_deletions_never_touch_the_last_slice(free: list[int]) -> None:
    snapshot = Next()
    kept, last = reserve_of(10, snapshot), 10 * (1 << 20) // 4
    free[0] = last + 2 * 4096
    assert kept.problem(Delete(5), 1, 0) is None
    assert snapshot.deleted == 1
    free[0] -= 1
    problem = kept.problem(Delete(5), 1, 0)
    assert problem is not None
    assert snapshot.deleted == 1
    assert "2.5 MB are free, 2.5 MB are left to a snapshot that makes room, 0.1 MB are to be written" in problem.message
    assert "deletions are taken" not in problem.message
    assert problem.data["applied"] == "no"


def test_deletions_leave_what_the_snapshot_under_way_still_needs(free: list[int]) -> None:
    snapshot = Next()
    snapshot.size = snapshot.still = 30 << 20
    kept = reserve_of(10, snapshot)
    free[0] = 32 << 20
    assert kept.problem(Delete(5), 1, 0) is not None
    snapshot.still = 29 << 20
    assert kept.problem(Delete(5), 1, 0) is None


def test_a_disk_that_is_short_asks_for_room_and_lets_no_files_be_made_ready(free: list[int]) -> None:
    snapshot, rooms = Next(), list[int]()
    kept = reserve_of(10, snapshot, rooms)
    free[0] = 14 << 20
    kept.look()
    assert (snapshot.relieved, rooms) == ([], [1 << 20])
    free[0] = 9 << 20
    kept.problem(Create("T", "a"), 1, 0)
    assert (snapshot.relieved, rooms) == ([Space(1 << 30, 9 << 20)], [1 << 20, 0])


@pytest.mark.parametrize("free_bytes", [10 << 20, (10 << 20) + 4095, (9 << 20) + 1])
@pytest.mark.parametrize("coming", [0, 1, 3 << 20])
def test_what_is_said_of_a_full_disk_adds_up(free: list[int], free_bytes: int, coming: int) -> None:
    free[0] = free_bytes
    problem = reserve_of(10).problem(Create("T", "a"), 1, coming)
    assert problem is not None
    left, *taken = [float(number) for number in re.findall(r"([0-9.]+) MB", problem.message)]
    assert left < sum(taken)


def files_free(monkeypatch: pytest.MonkeyPatch, free: int | None, total: int) -> None:
    """A disk with room for bytes, and for so many files more."""
    monkeypatch.setattr(reserve, "space", lambda _folder: Space(1 << 40, 1 << 39, total, free))


def test_files_are_kept_as_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 0.0)
    snapshot, rooms = Next(), list[int]()
    kept = reserve_of(None, snapshot, rooms)
    files_free(monkeypatch, 51, 1000)
    assert kept.problem(Create("T", "a"), 1, 0) is None
    files_free(monkeypatch, 49, 1000)
    problem = kept.problem(Create("T", "a"), 1, 0)
    assert problem is not None
    assert problem.message == (
        "the disk of /data has no room for more files: 49 more (inodes) can be made, 50 are kept in reserve; "
        "deletions are taken all the same"
    )
    assert kept.look() == problem.message.partition(";")[0]
    assert kept.problem(Delete(5), 1, 0) is None
    assert snapshot.relieved[0].free_files == 49
    assert rooms == [4096 // budgets.READY_FILES_SHARE, 0, 0, 0]
    files_free(monkeypatch, 13, 1000)
    problem = kept.problem(Delete(5), 1, 0)
    assert problem is not None
    assert "13 more (inodes) can be made, 14 are kept in reserve for a snapshot that makes room" in problem.message


def test_so_many_files_may_be_made_before_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 1000.0)
    kept = reserve_of(None)
    files_free(monkeypatch, 53, 1000)
    assert kept.problem(Create("T", "a"), 1, 0) is None
    files_free(monkeypatch, 0, 1000)
    taken = [kept.problem(Create("T", "a"), 1, 0) is None for _ in range(4)]
    assert taken == [True, True, True, False]


@pytest.mark.parametrize(("wanted", "free", "total"), [(None, None, 0), (0, 0, 1000)])
def test_without_a_bound_of_files_or_a_reserve_none_are_kept(
    monkeypatch: pytest.MonkeyPatch, wanted: int | None, free: int | None, total: int
) -> None:
    files_free(monkeypatch, free, total)
    assert reserve_of(wanted).problem(Create("T", "a"), 1, 0) is None


async def test_a_node_on_a_full_disk_reads_and_deletes_and_goes_on_when_there_is_room(
    tmp_path: Path, free: list[int]
) -> None:
    free[0] = 1 << 30
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schema={"entityType": "T"})
        made = await client.result("create", type="T", name="a")
        free[0] = 50 << 20
        assert await client.kind("create", type="T", name="b") == "disk_full"
        assert "50.0 MB are free" in (await client.result("info"))["waiting"]
        assert await client.kind("set", id=made["id"], field="Name", value="x" * (2 << 20)) == "disk_full"
        assert await client.result("exists", id=made["id"])
        free[0] = 1
        assert await client.kind("delete", id=made["id"]) == "disk_full"
        free[0] = 50 << 20
        await client.result("delete", id=made["id"])
        free[0] = 1 << 30
        assert (await client.result("info"))["waiting"] is None
        await client.result("create", type="T", name="b")


# -- the disks of other voters -----------------------------------------------------------------------------


def test_a_voter_whose_disk_is_full_holds_all_writes_but_deletions(free: list[int]) -> None:
    free[0] = 500 << 20
    kept = reserve_of(10)
    kept.others = lambda: {2: DiskReport("the disk of /there is full")}
    problem = kept.problem(Create("T", "a"), 1, 0)
    assert problem is not None
    assert problem.message == "node 2: the disk of /there is full; deletions are taken all the same"
    assert (problem.kind, problem.data["node"], problem.data["applied"]) == ("disk_full", 2, "no")
    assert kept.problem(Delete(5), 1, 0) is None


def test_a_voter_without_room_for_deletions_holds_these_too(free: list[int]) -> None:
    free[0] = 500 << 20
    kept = reserve_of(10)
    kept.others = lambda: {2: DiskReport("full"), 3: DiskReport("full", "nothing goes")}
    problem = kept.problem(Delete(5), 1, 0)
    assert problem is not None
    assert (problem.message, problem.data["node"]) == ("node 3: nothing goes", 3)


def test_what_others_are_told_is_what_the_last_look_found(free: list[int]) -> None:
    kept = reserve_of(40)
    free[0] = 100 << 20
    kept.look()
    assert kept.report == DiskReport()
    free[0] = 39 << 20
    kept.look()
    assert "39.0 MB are free" in kept.report.full
    assert not kept.report.last
    free[0] = 1 << 20
    kept.look()
    assert "are left to a snapshot" in kept.report.last
