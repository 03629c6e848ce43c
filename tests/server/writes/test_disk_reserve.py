"""The disk's reserve: writes are refused below it, deletions are not, and it is over when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcore.disk.space import Space
from qcore.model.requests.commands import Command, Create, Delete, SessionOpen, SetFields
from qcore.model.requests.compound import Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.server.runtime import budgets
from qcore.server.writes import disk_reserve as reserve
from qcore.server.writes.disk_reserve import DiskReserve
from tests.server.running import running


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free bytes of a disk of 1 GB, looked at each time."""
    found = [0]
    monkeypatch.setattr(reserve, "space", lambda _folder: Space(1 << 30, found[0]))
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 0.0)
    return found


def test_below_the_reserve_only_what_deletes_is_taken(free: list[int]) -> None:
    kept = DiskReserve("/data", 10)
    free[0] = (10 << 20) - 1
    refused: list[Command] = [Create("T", "a"), SetFields(1, "A", 1), Pipeline([Delete(5), Create("T", "a")])]
    for command in refused:
        problem = kept.problem(command, 1, 0)
        assert problem is not None
        assert problem.kind == "disk_full"
        assert "the disk of /data is full: 9 MB are free, 10 MB are kept in reserve" in problem.message
        assert problem.data["applied"] == "no"
    taken: list[Command] = [Delete(5), SessionOpen(), Transaction([Delete(5), Get(6)])]
    for command in taken:
        assert kept.problem(command, 1, 0) is None
    free[0] = (10 << 20) + 1
    assert kept.problem(Create("T", "a"), 1, 0) is None


def test_what_comes_and_what_waits_is_not_free_any_more(free: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DISK_LOOK_SECONDS", 1000.0)
    kept, create = DiskReserve("/data", 10), Create("T", "a")
    free[0] = 20 << 20
    assert kept.problem(create, 4 << 20, 0) is None
    assert kept.problem(create, 4 << 20, 0) is None
    free[0] = 12 << 20
    problem = kept.problem(create, 4 << 20, 1 << 20)
    assert problem is not None
    assert "5 MB are to be written, 12 MB are free, 10 MB are kept in reserve" in problem.message
    assert kept.problem(create, 1 << 20, 0) is None


def test_without_a_setting_a_twentieth_is_kept(free: list[int]) -> None:
    kept = DiskReserve("/data", None)
    free[0] = (1 << 30) // 20 - 1
    assert kept.problem(Create("T", "a"), 1, 0) is not None
    free[0] += 2
    assert kept.problem(Create("T", "a"), 1, 0) is None


def test_no_reserve_takes_everything(free: list[int]) -> None:
    assert DiskReserve("/data", 0).problem(Create("T", "a"), 1, 0) is None


def test_a_disk_that_says_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "space", lambda _folder: None)
    assert DiskReserve("/data", 10).problem(Create("T", "a"), 1, 0) is None


async def test_a_node_on_a_full_disk_reads_and_deletes_and_goes_on_when_there_is_room(
    tmp_path: Path, free: list[int]
) -> None:
    free[0] = 1 << 30
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schema={"entityType": "T"})
        made = await client.result("create", type="T", name="a")
        free[0] = 1
        assert await client.kind("create", type="T", name="b") == "disk_full"
        assert await client.kind("set", id=made["id"], field="Name", value="x" * (2 << 20)) == "disk_full"
        assert await client.result("exists", id=made["id"])
        await client.result("delete", id=made["id"])
        free[0] = 1 << 30
        await client.result("create", type="T", name="b")
