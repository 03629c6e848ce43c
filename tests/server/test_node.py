"""The node: group commit, deadlines, limits, numbered writes, bootstrap and stop, on a disk that can be held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.model.errors import ConfigError, DiskFailed
from qcore.model.leader_commands import StagePart
from qcore.model.requests.commands import Bootstrap, TreeNode
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind
from qcore.server.runtime import budgets
from tests.server.running import Client, GatedFiles, Running, request, running, until

USER = {
    "entityType": "User",
    "inheritsFrom": ["Object"],
    "fields": [{"name": "Age", "dataType": "Int", "default": 0}, {"name": "Notes", "dataType": "String"}],
}


class House:
    """Opens nodes on one folder, with the type User, and a disk that can be held back."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.files = GatedFiles()

    async def open(self, **settings: Any) -> tuple[Running, Client]:
        self.files = GatedFiles()
        run = await self.stack.enter_async_context(running(self.folder, files=self.files, **settings))
        client = run.client()
        if "User" not in run.state.types.own:
            await client.result("schema.set", schema=USER)
        return run, client

    async def reopen(self, **settings: Any) -> tuple[Running, Client]:
        """Stop what runs, and start anew."""
        await self.close()
        run = await self.stack.enter_async_context(running(self.folder, **settings))
        return run, run.client()

    async def close(self) -> None:
        await self.stack.aclose()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        made = House(stack, tmp_path)
        yield made
        made.files.open.set()


def entries(run: Running) -> list[int]:
    """How many commands each entry on disk holds."""
    return [len(entry.body.commands) for entry in run.directory.log.read(0, 1_000_000)]


async def hold(house: House, client: Client, **params: Any) -> int:
    """Shut the gate and have one write wait behind it; returns its id."""
    house.files.open.clear()
    held = len(house.files.held)
    id = client.send("create", type="User", name="first", **params)
    await until(lambda: len(house.files.held) > held)
    return id


# -- writes ----------------------------------------------------------------------------------------------


async def test_a_write_is_answered_after_its_fsync_and_not_before(house: House) -> None:
    _, client = await house.open()
    id = await hold(house, client)
    assert id not in client.answers
    house.files.open.set()
    await until(lambda: id in client.answers)
    assert client.answers[id]["result"]["id"] > 1


async def test_writes_that_wait_for_the_disk_become_one_entry(house: House) -> None:
    run, client = await house.open()
    before = len(entries(run))
    await hold(house, client)
    others = [run.client() for _ in range(4)]
    ids = [other.send("create", type="User", name=f"u{n}") for n in range(5) for other in others]
    house.files.open.set()
    await until(lambda: all(len(other.answers) == 5 for other in others))
    assert entries(run)[before:] == [1, len(ids)]


async def test_writes_of_one_turn_become_one_entry(house: House) -> None:
    run, client = await house.open()
    before = len(entries(run))
    for n in range(50):
        client.send("create", type="User", name=f"u{n}")
    await until(lambda: len(client.answers) == 51)
    assert entries(run)[before:] == [50]


async def test_an_entry_ends_before_it_grows_too_large(house: House) -> None:
    run, client = await house.open(max_entry_mb=1)
    before = len(entries(run))
    await hold(house, client)
    for n in range(5):
        client.send("create", type="User", name=f"u{n}", fields={"Notes": "x" * 400_000})
    house.files.open.set()
    await until(lambda: len(client.answers) == 7)
    assert entries(run)[before:] == [1, 2, 2, 1]


async def test_what_no_store_could_take_is_refused_before_it_is_in_the_log(house: House) -> None:
    run, client = await house.open()
    user = (await client.result("create", type="User", name="ann"))["id"]
    last = run.directory.log.last
    too_long = {"id": user, "field": "Notes", "value": "x" * 12_000_000}
    for method, params in (
        ("set", too_long),
        ("transaction", {"commands": [{"method": "set", "params": too_long}]}),
        ("pipeline", {"commands": [{"method": "set", "params": too_long}]}),
        ("pipeline", {"commands": [{"method": "find", "params": {"type": "x" * 300_000}}]}),
        ("field.set", {"type": "User", "field": "Mood", "schema": {"choices": [f"l{n}" for n in range(100_001)]}}),
        ("set", {"id": user, "field": "Notes", "value": [1] * 100_001}),
        ("create", {"type": "User", "name": "x" * 100_000}),
        ("create", {"type": "User", "name": "x", "fields": {f"F{number}": 1 for number in range(10_001)}}),
    ):
        error = (await client.ask(method, **params))["error"]
        assert error["data"].items() >= {"kind": "too_large", "applied": "no"}.items()
        assert len(error["message"]) < 300
    assert run.directory.log.last == last


async def test_an_entry_of_parts_ends_before_it_grows_too_large_whatever_the_script(house: House) -> None:
    run, client = await house.open(max_entry_mb=1)
    before = len(entries(run))
    await hold(house, client)
    written = client.send("create", type="User", name="long", fields={"Notes": "語" * 1_500_000})
    house.files.open.set()
    await until(lambda: written in client.answers)
    logged = [entry.body.commands for entry in run.directory.log.read(0, 1000)][before + 1 :]
    sizes = [sum(len(each.text.encode()) for each in commands if isinstance(each, StagePart)) for commands in logged]
    assert sum(sizes) > 4_500_000
    assert max(sizes) <= 1 << 20


async def test_the_parts_of_writes_that_wait_are_counted_in_bytes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "WAITING_WRITES_BYTES", 4 << 20)
    _, client = await house.open()
    await hold(house, client)
    long = "語" * 700_000
    waiting = [client.send("create", type="User", name="x", fields={"Notes": long}) for _ in range(2)]
    answer = await client.ask("create", type="User", name="y", timeout=1)
    assert answer["error"]["data"] == {"kind": "busy", "applied": "no"}
    assert "writes of 4 MB are waiting already" in answer["error"]["message"]
    house.files.open.set()
    await until(lambda: set(waiting) <= client.answers.keys())


async def test_a_failed_write_leaves_its_neighbours_alone(house: House) -> None:
    run, client = await house.open()
    good, bad, late = (client.send("create", type=type, name="x") for type in ("User", "Nothing", "User"))
    await until(lambda: late in client.answers)
    assert client.answers[bad]["error"]["data"] == {"kind": "not_found", "applied": "no"}
    ids = [client.answers[each]["result"]["id"] for each in (good, late)]
    assert ids[1] == ids[0] + 1
    assert run.state.counts["User"] == 2


async def test_a_read_is_answered_while_the_disk_is_busy(house: House) -> None:
    _, client = await house.open()
    await hold(house, client)
    assert await client.result("ping") == "PONG"
    assert (await client.result("find", type="User"))["items"] == []


async def test_a_batch_reads_what_it_wrote(house: House) -> None:
    _, client = await house.open()
    batch = [request("create", n, type="User", name=f"u{n}") for n in range(3)]
    batch += [
        request("find", 3, type="User"),
        request("create", 4, type="User", name="u4"),
        request("find", 5, type="User"),
    ]
    client.send_text(b"[" + b",".join(batch) + b"]")
    await until(lambda: 5 in client.answers)
    assert [len(client.answers[id]["result"]["items"]) for id in (3, 5)] == [3, 4]


@pytest.mark.parametrize("method", ["pipeline", "transaction"])
async def test_a_write_does_not_overtake_a_new_filter_before_it_in_its_batch(house: House, method: str) -> None:
    _, client = await house.open()
    steps = [
        {"method": "create", "params": {"type": "User", "name": "a"}},
        {"method": "find", "params": {"type": "User", "filter": "Age >= 0"}},
    ]
    batch = [
        request(method, 1, commands=steps),
        request("create", 2, type="User", name="b"),
        request(method, 3, commands=[steps[1] | {"params": {"type": "User", "filter": "Age > -1"}}]),
        request("create", 4, type="User", name="c"),
    ]
    client.send_text(b"[" + b",".join(batch) + b"]")
    await until(lambda: 4 in client.answers)
    results = [client.answers[id]["result"] for id in (1, 3)]
    found = [(each["results"] if method == "transaction" else each)[-1]["result"]["items"] for each in results]
    assert [[item["name"] for item in items] for items in found] == [["a"], ["a", "b"]]


# -- deadlines and limits --------------------------------------------------------------------------------


async def test_a_write_whose_deadline_passes_says_whether_it_may_have_happened(house: House) -> None:
    run, client = await house.open()
    proposed = await hold(house, client, timeout=0.01)
    waiting = client.send("create", type="User", name="second", timeout=0.01)
    await until(lambda: {proposed, waiting} <= client.answers.keys())
    found = {id: client.answers[id]["error"]["data"] for id in (proposed, waiting)}
    assert found == {
        proposed: {"kind": "timeout", "applied": "unknown"},
        waiting: {"kind": "timeout", "applied": "no"},
    }
    house.files.open.set()
    await until(lambda: run.state.counts.get("User"))
    items = (await client.result("find", type="User"))["items"]
    assert [item["name"] for item in items] == ["first"], "what was told `no` is never written"


async def test_a_dry_run_that_fails_says_that_nothing_was_applied(house: House) -> None:
    _, client = await house.open()
    answer = await client.ask("schema.set", schema=USER | {"inheritsFrom": ["Nothing"]}, dry_run=True)
    assert answer["error"]["data"]["applied"] == "no"


async def test_a_deadline_of_one_write_does_not_touch_another(house: House) -> None:
    _, client = await house.open()
    hasty = await hold(house, client, timeout=0.01)
    patient = client.send("create", type="User", name="second", timeout=60)
    await until(lambda: hasty in client.answers)
    assert patient not in client.answers
    house.files.open.set()
    await until(lambda: patient in client.answers)
    assert "result" in client.answers[patient]


async def test_too_many_waiting_writes_are_answered_busy(house: House) -> None:
    _, client = await house.open(max_pending=2)
    await hold(house, client)
    waiting = [client.send("create", type="User", name="x") for _ in range(2)]
    answer = await client.ask("create", type="User", name="y")
    assert answer["error"]["data"] == {"kind": "busy", "applied": "no"}
    assert "max_pending" in answer["error"]["message"]
    house.files.open.set()
    await until(lambda: set(waiting) <= client.answers.keys())
    assert await client.result("create", type="User", name="y")


async def test_too_long_waiting_writes_are_answered_busy(house: House) -> None:
    _, client = await house.open(max_message_mb=300)
    await hold(house, client)
    long = "x" * 8_000_000
    waiting = [client.send("create", type="User", name="x", fields={"Notes": long}) for _ in range(34)]
    answer = await client.ask("create", type="User", name="y")
    assert answer["error"]["data"] == {"kind": "busy", "applied": "no"}
    assert "writes of 259 MB are waiting already" in answer["error"]["message"]
    assert waiting[-1] not in client.answers
    house.files.open.set()
    await until(lambda: set(waiting) <= client.answers.keys())
    assert await client.result("create", type="User", name="y")


async def test_a_read_waits_for_the_revision_it_asks_for(house: House) -> None:
    run, client = await house.open()
    write = await hold(house, client)
    read = client.send("find", type="User", min_revision=run.state.revision + 1)
    await client.result("ping")
    assert read not in client.answers
    house.files.open.set()
    await until(lambda: read in client.answers)
    assert write in client.answers
    assert [item["name"] for item in client.answers[read]["result"]["items"]] == ["first"]


async def test_a_read_for_a_revision_that_does_not_come_times_out(house: House) -> None:
    _, client = await house.open()
    answer = await client.ask("exists", id=1, min_revision=1000, timeout=0.01)
    assert answer["error"]["data"]["kind"] == "timeout"
    assert "revision 1, 1000 asked" in answer["error"]["message"]


async def test_too_many_reads_waiting_for_a_revision_are_answered_busy(house: House) -> None:
    _, client = await house.open(max_pending=2)
    for _ in range(2):
        client.send("exists", id=1, min_revision=1000, timeout=0.5)
    assert await client.kind("exists", id=1, min_revision=1000) == "busy"
    assert await client.result("exists", id=1) is True


async def test_who_hangs_up_while_waiting_for_a_revision_leaves_nothing(house: House) -> None:
    run, client = await house.open()
    client.send("listen", target="User", since=1000, timeout=600)
    client.send("exists", id=1, min_revision=1000, timeout=600)
    assert len(run.node.router.gate) == 2
    client.hang_up()
    await until(lambda: len(run.node.router.gate) == 0)


# -- numbered writes -------------------------------------------------------------------------------------


async def test_a_retried_number_is_answered_as_the_first_time_and_done_once(house: House) -> None:
    run, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "User", "name": "x", "session": session, "seq": 1}
    first, again = await client.result("create", **create), await client.result("create", **create)
    assert first == again
    assert run.state.counts["User"] == 1


async def test_a_retry_that_overtakes_the_answer_is_done_once(house: House) -> None:
    run, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "User", "name": "x", "session": session, "seq": 1}
    await hold(house, client)
    ids = [client.send("create", **create) for _ in range(3)]
    other = run.client()
    ids_elsewhere = other.send("create", **create)
    house.files.open.set()
    await until(lambda: set(ids) <= client.answers.keys() and ids_elsewhere in other.answers)
    results = [client.answers[id]["result"] for id in ids] + [other.answers[ids_elsewhere]["result"]]
    assert results == [results[0]] * 4
    assert run.state.counts["User"] == 2


async def test_a_refusal_is_kept_under_its_number_too(house: House) -> None:
    _, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "Later", "name": "x", "session": session, "seq": 1}
    first = await client.ask("create", **create)
    await client.result("schema.set", schema=USER | {"entityType": "Later"})
    again = await client.ask("create", **create)
    assert first["error"] == again["error"]
    assert again["error"]["data"] == {"kind": "not_found", "applied": "no"}


@pytest.mark.parametrize("change", [{"name": "y"}, {"fields": {"Age": 1}}])
async def test_a_number_reused_for_another_command_is_refused(house: House, change: dict[str, Any]) -> None:
    _, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "User", "name": "x", "session": session, "seq": 1}
    await client.result("create", **create)
    assert await client.kind("create", **(create | change)) == "invalid_request"


async def test_timeout_and_acked_do_not_make_it_another_command(house: House) -> None:
    _, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "User", "name": "x", "session": session, "seq": 1}
    first = await client.result("create", **create, timeout=3, acked=1)
    assert await client.result("create", **create, timeout=4) == first


async def test_hash_and_limits_are_the_node_s_business_whatever_a_client_sends(house: House) -> None:
    run, client = await house.open(max_depth=3)
    await client.result("create", type="User", name="x", hash="0" * 16, max_depth=9, max_list=7)
    command = list(run.directory.log.read(0, 100))[-1].body.commands[0]
    assert (command.hash, command.max_depth, command.max_list) == ("", 3, 100_000)


@pytest.mark.parametrize("method", ["pipeline", "transaction"])
async def test_limits_hold_in_pipelines_and_transactions_whatever_a_client_sends(house: House, method: str) -> None:
    run, client = await house.open(max_depth=103)
    step: dict[str, Any] = {
        "type": "User",
        "name": "x",
        "hash": "0" * 16,
        "max_depth": 999,
        "max_list": 7,
        "timeout": 5,
    }
    commands = [{"method": "create", "params": step | {"parent": 1 if n == 0 else f"${n}"}} for n in range(102)]
    await client.result(method, commands=commands)
    logged = msgspec.to_builtins(list(run.directory.log.read(0, 100))[-1].body.commands[0])["commands"][-1]
    assert logged == {"method": "create", "type": "User", "name": "x", "parent": "$101", "max_depth": 103}
    deepest = max(run.state.entities)
    below = [{"method": "create", "params": step | {"parent": deepest}}]
    answer = await client.ask(method, commands=below)
    assert "the tree would be 104 levels deep, at most 103 are allowed" in str(answer)


async def test_numbers_are_remembered_over_a_restart(house: House) -> None:
    _, client = await house.open()
    session = (await client.result("session.open"))["session"]
    create = {"type": "User", "name": "x", "session": session, "seq": 1}
    first = await client.result("create", **create)
    await house.close()
    run, client = await house.open()
    assert await client.result("create", **create) == first
    assert run.state.counts["User"] == 1
    assert await client.kind("create", **(create | {"session": 99, "seq": 1})) == "session_expired"


# -- the schema file -------------------------------------------------------------------------------------


def schema_file(type_name: str = "Folder", file_hash: str = "aa") -> Bootstrap:
    schema = EntitySchema(type_name, ["Object"], [FieldSchema("Size", Kind.Int)])
    return Bootstrap([schema], [TreeNode("Root", "Top", children=[TreeNode(type_name, "a")])], file_hash)


async def test_a_schema_file_is_loaded_once(house: House) -> None:
    run, client = await house.open(schema_file=schema_file())
    assert run.state.counts == {"Root": 1, "Folder": 1}
    assert (await client.result("get", id=1, fields=["Name"]))["fields"]["Name"]["value"] == "Top"
    before = run.state.digest()
    run, _ = await house.reopen(schema_file=schema_file())
    assert run.state.digest() == before
    found = [command for each in run.directory.log.read(0, 1000) for command in each.body.commands]
    assert [type(command) for command in found].count(Bootstrap) == 1


async def test_another_schema_file_changes_nothing(house: House) -> None:
    run, _ = await house.open(schema_file=schema_file())
    before = run.state.digest()
    run, _ = await house.reopen(schema_file=schema_file("Other", "bb"))
    assert run.state.digest() == before
    assert run.state.mark == "aa"


async def test_a_schema_file_that_does_not_fit_the_store_is_refused_whole(house: House) -> None:
    run, _ = await house.open()
    before = run.state.digest()
    run, _ = await house.reopen(schema_file=schema_file("User"))
    assert [type(error) for error in run.fatal] == [ConfigError]
    assert "User" in run.fatal[0].message
    assert run.state.digest() == before


async def test_reads_wait_until_the_schema_file_is_loaded_but_for_local_ones(tmp_path: Path) -> None:
    async with running(tmp_path, schema_file=schema_file(), wait=False) as run:
        client = run.client()
        count = client.send("count", type="Folder")
        assert await client.kind("count", type="Folder", consistency="local") == "not_found"
        await until(lambda: count in client.answers)
        assert client.answers[count]["result"] == {"count": 1}
        assert len(run.node.router.gate) == 0


async def test_writes_of_clients_wait_until_the_schema_file_is_loaded(tmp_path: Path) -> None:
    async with running(tmp_path, schema_file=schema_file(), wait=False) as run:
        client = run.client()
        created = await client.result("create", type="Folder", name="b")
        assert created["id"] > 1
        assert run.state.counts == {"Root": 1, "Folder": 2}


# -- start and stop --------------------------------------------------------------------------------------


async def test_a_restart_finds_the_same_state(house: House) -> None:
    run, client = await house.open()
    for n in range(20):
        await client.result("create", type="User", name=f"u{n}", parent=1, fields={"Age": n})
    digest, sessions = run.state.digest(), run.state.sessions.dump()
    await house.close()
    run, client = await house.open()
    assert (run.state.digest(), run.state.sessions.dump()) == (digest, sessions)
    assert (await client.result("digest"))["digest"] == digest


async def test_stop_refuses_what_comes_and_finishes_what_is_there(house: House) -> None:
    run, client = await house.open()
    proposed = await hold(house, client)
    waiting = client.send("create", type="User", name="second")
    stopping = asyncio.ensure_future(run.node.stop())
    await asyncio.sleep(0)
    assert run.node.about.not_ready() == ("stopping", "the node is stopping")
    refused = await client.ask("create", type="User", name="third")
    assert refused["error"]["data"] == {"kind": "busy", "applied": "no", "elsewhere": True}
    assert await client.kind("ping") == "busy"
    assert not stopping.done()
    house.files.open.set()
    await stopping
    assert all("result" in client.answers[id] for id in (proposed, waiting))
    await house.close()
    run, _ = await house.open()
    assert run.state.counts["User"] == 2


async def test_stop_answers_reads_that_wait_for_a_revision(house: House) -> None:
    run, client = await house.open()
    id = client.send("exists", id=1, min_revision=1000)
    await run.node.stop()
    assert client.answers[id]["error"]["data"]["kind"] == "busy"


async def test_a_node_without_work_stops_at_once(house: House) -> None:
    run, _ = await house.open()
    await run.node.stop()
    await house.close()
    await house.open()


async def test_stop_passes_over_writes_whose_deadline_has_passed(house: House) -> None:
    run, client = await house.open()
    await hold(house, client, timeout=0.01)
    late = client.send("create", type="User", name="second", timeout=0.01)
    await until(lambda: late in client.answers)
    stopping = asyncio.ensure_future(run.node.stop())
    house.files.open.set()
    await stopping


async def test_after_a_failed_fsync_nothing_is_acknowledged_any_more(house: House) -> None:
    run, client = await house.open()
    id = await hold(house, client)
    house.files.failing = True
    house.files.open.set()
    await until(lambda: run.fatal)
    house.files.failing = False
    later = client.send("create", type="User", name="later")
    await client.ask("ping")
    assert [type(error) for error in run.fatal] == [DiskFailed]
    assert not any("result" in client.answers.get(each, {}) for each in (id, later))
    await house.close()
    run, client = await house.open()
    found = [item["name"] for item in (await client.result("find", type="User"))["items"]]
    assert found in ([], ["first"]), "nobody knows of the one that was being written; the later one never was"
