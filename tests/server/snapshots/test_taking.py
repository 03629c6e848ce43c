"""Snapshots of a running node: when they are taken, what they let go, and starting from them."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from qcore.disk.directory import Directory
from qcore.disk.files import Files
from qcore.disk.snapshot_files import KEPT
from qcore.disk.space import Space, default_reserve, last_slice
from qcore.model import entry
from qcore.model.errors import Damaged
from qcore.model.leader_commands import RaiseLevel
from qcore.model.requests.queries import SnapshotTake
from qcore.server.calls import Call
from qcore.server.recovery import load
from qcore.server.runtime import budgets
from qcore.store import apply
from tests.server.running import Client, GatedFiles, Running, running, taker, until

USER = {"entityType": "User", "fields": [{"name": "Age", "dataType": "Int"}, {"name": "Notes", "dataType": "String"}]}


async def write(client: Client, count: int, notes: str = "") -> list[int]:
    """Make so many entries of the log, each of which creates an entity; return their ids."""
    return [
        (await client.result("create", type="User", name=f"n{each}", fields={"Age": each, "Notes": notes}))["id"]
        for each in range(count)
    ]


async def begin(run: Running) -> Client:
    client = run.client()
    await client.result("schema.set", schema=USER)
    return client


def files(run: Running, folder: str) -> list[Path]:
    return sorted((run.directory.path / folder).glob("*.json"))


def entries(run: Running) -> int:
    """Files of the log with something in them; they may go while they are counted."""
    count = 0
    for file in files(run, "logs"):
        with suppress(FileNotFoundError):
            count += bool(file.read_bytes().strip())
    return count


def first_entry(run: Running) -> int:
    first = run.directory.log.first
    assert first is not None
    return first.index


async def test_one_is_taken_when_asked_for_and_a_start_goes_on_from_it(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        session = (await client.result("session.open"))["session"]
        await client.result("create", type="User", name="once", session=session, seq=1)
        taken = await client.result("snapshot.take")
        assert taken == {
            "index": run.state.applied,
            "revision": run.state.revision,
            "file": str(files(run, "snapshots")[0]),
        }
        await write(client, 3)
        digest = run.state.digest()
    async with running(tmp_path) as again:
        assert again.state.digest() == digest
        client = again.client()
        first = await client.result("create", type="User", name="once", session=session, seq=1)
        assert first["revision"] == 2
        assert await client.result("count", type="User") == {"count": 4}
        await write(client, 1)


async def test_what_the_snapshot_holds_is_not_applied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 5)
        await client.result("snapshot.take")
        await write(client, 2)
    applied: list[int] = []
    applying_entry = apply.applying_entry

    def counting(state: Any, each: Any, read: Any = None) -> Any:
        applied.append(each.id.index)
        return applying_entry(state, each, read)

    for module in ("store.apply", "server.writes.applier"):
        monkeypatch.setattr(f"qcore.{module}.applying_entry", counting)
    async with running(tmp_path):
        assert applied == [10, 11, 12, 13]  # two creations, then the blank entry and the epoch of the new term


async def test_asking_twice_without_a_change_gives_the_same_one(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        first = await client.result("snapshot.take")
        assert await client.result("snapshot.take") == first
        assert len(files(run, "snapshots")) == 1


async def test_all_who_ask_meanwhile_are_answered_with_what_is_newer(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 5)
        one = client.send("snapshot.take")
        created = client.send("create", type="User", name="late")
        await until(lambda: created in client.answers)
        others = [client.send("snapshot.take") for _ in range(3)]
        await until(lambda: all(id in client.answers for id in (one, *others)))
        indexes = [client.answers[id]["result"]["index"] for id in (one, *others)]
        assert indexes[1:] == [run.state.applied] * 3
        assert len(files(run, "snapshots")) <= 2


async def test_the_limit_of_entries_asks_for_snapshots_and_the_log_goes_up_to_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "SNAPSHOT_PAUSE", 0)
    async with running(tmp_path, max_log_files=20, log_cleanup_interval=5) as run:
        client = await begin(run)
        for _ in range(12):
            await write(client, 10)
            await until(lambda: taker(run.node)._running is None)
        kept = run.directory.snapshots.found
        await until(lambda: first_entry(run) == kept[1].header.last.index + 1)
        await until(lambda: entries(run) < 60)
        await until(lambda: len(files(run, "snapshots")) == KEPT)
        assert len(kept) == KEPT
        assert run.directory.log.last is not None
        assert run.directory.log.last.index == run.state.applied
        digest = run.state.digest()
    async with running(tmp_path) as again:
        assert again.state.digest() == digest


async def test_the_limit_of_bytes_asks_for_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MEGABYTE", 1000)
    async with running(tmp_path, max_log_size_mb=20, log_cleanup_interval=1) as run:
        client = await begin(run)
        await write(client, 3, "x" * 2000)
        assert files(run, "snapshots") == []
        await write(client, 3, "x" * 2000)
        await until(lambda: len(files(run, "snapshots")) == 1)


async def test_the_next_one_leaves_time_to_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "SNAPSHOT_PAUSE", 1e9)
    async with running(tmp_path, max_log_files=10, log_cleanup_interval=1) as run:
        client = await begin(run)
        await write(client, 30)
        await until(lambda: len(files(run, "snapshots")) == 1)
        await write(client, 30)
        assert len(files(run, "snapshots")) == 1
        await client.result("snapshot.take")
        assert len(files(run, "snapshots")) == 2


async def test_a_snapshot_under_load_is_that_of_its_index(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 50, "x" * 3000)
        digests = {run.state.applied: run.state.digest()}
        asked = client.send("snapshot.take")
        while asked not in client.answers:
            await write(client, 1)
            digests[run.state.applied] = run.state.digest()
        taken = client.answers[asked]["result"]
        header = run.directory.snapshots.found[0].header
        assert header.last.index == taken["index"]
        assert header.digest == digests[taken["index"]]
        digest = run.state.digest()
    async with running(tmp_path) as again:
        assert again.state.digest() == digest


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(data)


async def taken_twice(tmp_path: Path) -> tuple[Running, str]:
    """A node with two snapshots, whose log begins behind the first of them."""
    async with running(tmp_path) as run:
        client = await begin(run)
        for _ in range(2):
            await write(client, 3)
            await client.result("snapshot.take")
        await until(lambda: first_entry(run) > 0)
        await write(client, 3)
        digest = run.state.digest()
    return run, digest


async def test_a_damaged_newest_snapshot_is_told_and_the_one_before_it_used(tmp_path: Path) -> None:
    run, digest = await taken_twice(tmp_path)
    spoil(Path(run.directory.snapshots.found[0].path))
    async with running(tmp_path) as again:
        assert again.state.digest() == digest
        (problem,) = again.directory.snapshots.problems
        assert run.directory.snapshots.found[0].path in problem.message


@pytest.mark.parametrize("harm", [spoil, Path.unlink], ids=["damaged", "missing"])
async def test_without_a_good_snapshot_as_far_as_the_log_is_gone_there_is_no_start(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    run, _ = await taken_twice(tmp_path)
    for path in files(run, "snapshots"):
        harm(path)
    directory = Directory.open(tmp_path, 1)
    try:
        with pytest.raises(Damaged, match=r"expected a good snapshot at log index .* or above"):
            load(directory)
    finally:
        directory.close()


async def test_a_snapshot_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        await (await begin(run)).result("snapshot.take")
    monkeypatch.setattr("qcore.server.recovery.FEATURE_LEVEL", 0)
    directory = Directory.open(tmp_path, 1)
    try:
        with pytest.raises(Damaged, match="written by a newer qcore"):
            load(directory)
    finally:
        directory.close()


async def test_a_log_that_ends_below_the_snapshot_gives_way_to_it(tmp_path: Path) -> None:
    """As where entries were applied, and a snapshot written, before they were durable here."""
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 5)
        await client.result("snapshot.take")
        digest = run.state.digest()
    directory = Directory.open(tmp_path, 1)
    last = directory.log.last
    assert last is not None
    directory.log.truncate(last.index - 2)
    directory.close()
    async with running(tmp_path) as again:
        assert again.state.digest() == digest
        assert first_entry(again) == last.index + 1
        await write(again.client(), 2)
    async with running(tmp_path) as third:
        assert await third.client().result("count", type="User") == {"count": 7}


class FullForSnapshots(Files):
    """A disk on which nothing can be added to a file."""

    def extend(self, path: str, data: bytes, sync: bool) -> None:
        with self._writing("write", path):
            raise OSError(28, "No space left on device")


async def test_a_snapshot_that_cannot_be_written_is_no_harm(tmp_path: Path) -> None:
    async with running(tmp_path, files=FullForSnapshots()) as run:
        client = await begin(run)
        answer = await client.ask("snapshot.take")
        assert answer["error"]["data"]["kind"] == "disk_full"
        assert "No space left" in answer["error"]["message"]
        await write(client, 3)
        assert not run.state._pins
        await until(lambda: list((run.directory.path / "snapshots").iterdir()) == [])


async def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcore.server.snapshots.taking.space", lambda _folder: Space(1 << 30, 99))
    async with running(tmp_path) as run:
        client = await begin(run)
        answer = await client.ask("snapshot.take")
        assert "there are 99 bytes free" in answer["error"]["message"]
        assert list((run.directory.path / "snapshots").iterdir()) == []


async def test_the_disk_is_looked_at_once_before_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def look(folder: str) -> Space:
        looks.append(folder)
        return Space(1 << 30, 1 << 29)

    async with running(tmp_path) as run:
        client = await begin(run)
        monkeypatch.setattr("qcore.server.snapshots.taking.space", look)
        await client.result("snapshot.take")
        assert looks == [str(run.directory.path)]


async def test_a_disk_without_inodes_gets_a_snapshot_that_lets_entries_go(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 20)
        run.node._snapshots.relieve(Space(1 << 40, 1 << 39, 200, 100))
        await until(lambda: not taker(run.node)._relief.active)
        assert run.directory.snapshots.found == []
        await write(client, 20)

        def taken() -> bool:
            run.node._snapshots.relieve(Space(1 << 40, 1 << 39, 200, 9))
            return bool(run.directory.snapshots.found)

        await until(taken)
        found = run.directory.snapshots.found[0]
        await until(lambda: run.directory.log.purged == found.header.last)


async def test_a_node_that_stops_answers_and_leaves_no_half_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 100, "x" * 3000)
        id = client.send("snapshot.take")
        await asyncio.sleep(0)
        await run.node.stop()
        assert id in client.answers
    async with running(tmp_path) as again:
        assert not again.directory.snapshots.problems
        assert [path.suffix for path in (again.directory.path / "snapshots").iterdir()] in ([], [".json"])


async def test_stopping_begins_no_other_snapshot_for_who_waits_for_the_next_one(tmp_path: Path) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    disk = GatedFiles()
    async with running(tmp_path, files=disk) as run:
        client = await begin(run)
        disk.gated = "snapshot_"
        disk.open.clear()
        served = client.send("snapshot.take")
        await write(client, 1)
        waiting = client.send("snapshot.take")
        stopping = asyncio.ensure_future(run.node.stop())
        await until(lambda: waiting in client.answers)
        disk.open.set()
        await stopping
        errors = [client.answers[id]["error"] for id in (served, waiting)]
        assert [(error["data"]["kind"], error["message"]) for error in errors] == [("busy", "the node is stopping")] * 2
        assert taker(run.node)._running is None
        assert not run.state._pins
        assert failures == []


async def test_a_request_that_cannot_wait_is_told_so_and_the_snapshot_goes_on(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 100, "x" * 3000)
        assert await client.kind("snapshot.take", timeout=0.000_001) == "timeout"
        await until(lambda: len(files(run, "snapshots")) == 1)


class Asker:
    """A sink that keeps its answer."""

    text: bytes | None = None

    def answered(self, call: Call, text: bytes | None) -> None:
        self.text = text


async def asked_once(run: Running) -> weakref.ref[Asker]:
    """Let somebody ask who would wait for a day, and be answered."""
    asker = Asker()
    call = Call(asker, b"1", "snapshot.take", SnapshotTake(), time.monotonic(), 0)
    call.deadline = call.begun + 86_400
    run.node.router.submit(call)
    await until(lambda: asker.text)
    return weakref.ref(asker)


async def test_who_was_answered_is_not_held_until_the_deadline(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await begin(run)
        held = await asked_once(run)
        gc.collect()
        assert held() is None


async def test_a_leader_raises_the_feature_level_and_entries_bear_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as run:
        await write(await begin(run), 1)
        assert run.state.level == entry.FEATURE_LEVEL
    for module in (
        "qcore.server.config.settings",
        "qcore.server.leadership.leadership",
        "qcore.disk.log.record",
        "qcore.store.apply",
    ):
        monkeypatch.setattr(f"{module}.FEATURE_LEVEL", entry.FEATURE_LEVEL + 1)
    async with running(tmp_path) as run:
        await until(lambda: run.state.level == entry.FEATURE_LEVEL + 1)
        await write(run.client(), 1)
        found = list(run.directory.log.read(0, 1000))
        levels = [each.body.feature for each in found]
        assert levels[-4:] == [entry.FEATURE_LEVEL] * 2 + [entry.FEATURE_LEVEL + 1] * 2, "blank, raise, epoch, a write"
        assert [type(command) for each in found for command in each.body.commands].count(RaiseLevel) == 2
    monkeypatch.undo()
    with pytest.raises(Damaged, match="written by a newer qcore"):
        async with running(tmp_path):
            pass


async def test_a_state_that_shrank_needs_no_more_room_than_it_takes_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what the snapshot before it took, nor the log since."""
    async with running(tmp_path) as run:
        client = await begin(run)
        made = await write(client, 100, "x" * 10_000)
        first = await client.result("snapshot.take")
        for id in made:
            await client.result("delete", id=id)
        free = last_slice(default_reserve(1 << 30)) // budgets.SNAPSHOT_LEFT_SHARE + 100_000
        monkeypatch.setattr("qcore.server.snapshots.taking.space", lambda _folder: Space(1 << 30, free))
        assert run.directory.snapshots.found[0].size > 1_000_000
        assert (await client.result("snapshot.take"))["index"] > first["index"]
        assert run.directory.snapshots.found[0].size < 20_000


async def test_without_a_reserve_a_snapshot_leaves_nothing_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting 0 is no reserve, and not the default one."""
    async with running(tmp_path, disk_reserve_mb=0) as run:
        client = await begin(run)
        monkeypatch.setattr("qcore.server.snapshots.taking.space", lambda _folder: Space(1 << 30, 100_000))
        assert (await client.result("snapshot.take"))["index"] == run.state.applied


async def test_a_disk_short_of_room_keeps_one_good_snapshot_and_the_log_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        for _ in range(3):
            await write(client, 3)
            await client.result("snapshot.take")
        spoil(Path(run.directory.snapshots.found[0].path))
        kept = run.directory.snapshots.found[1]
        await write(client, 3)
        run.node._snapshots.relieve(Space(1 << 30, 1 << 30))
        await until(lambda: not taker(run.node)._relief.active)
        assert run.directory.snapshots.found == [kept]
        await until(lambda: first_entry(run) == kept.header.last.index + 1)
        await until(lambda: len(files(run, "snapshots")) == 2)  # the damaged one is left alone
        digest = run.state.digest()
    async with running(tmp_path) as again:
        assert again.state.digest() == digest


async def test_a_disk_short_of_room_gets_a_snapshot_that_lets_the_log_go(tmp_path: Path) -> None:
    async with running(tmp_path, disk_reserve_mb=1) as run:
        client = await begin(run)
        made = await write(client, 100, "x" * 10_000)
        for id in made:
            await client.result("delete", id=id)
        run.node._snapshots.relieve(Space(1 << 30, 0))
        await until(lambda: not taker(run.node)._relief.active)
        (found,) = run.directory.snapshots.found
        assert found.header.last.index == run.state.applied
        await until(lambda: run.directory.log.purged == found.header.last)


async def test_a_snapshot_leaves_the_log_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        client = await begin(run)
        await write(client, 10, "x" * 10_000)
        monkeypatch.setattr("qcore.disk.snapshot_files.space", lambda _folder: Space(1 << 30, 1_000_000))
        answer = await client.ask("snapshot.take")
        assert answer["error"]["data"]["kind"] == "disk_full"
        assert "1000000 bytes are free, and " in answer["error"]["message"]
        assert files(run, "snapshots") == []
        await write(client, 1)
