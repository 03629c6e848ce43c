"""The surface against a real node."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from qcore.client import (
    Condition,
    Counted,
    Create,
    Created,
    Delete,
    Digest,
    Entity,
    EntitySchema,
    Exists,
    FieldGet,
    FieldSchema,
    Find,
    Get,
    Kind,
    Page,
    SetDone,
    SetFields,
    Store,
    connect,
)
from qcore.client.commands import AnyCommand
from qcore.model.errors import (
    BadFilter,
    BadParams,
    BadSchema,
    BadValue,
    Conflict,
    InUse,
    NotFound,
    RequestError,
    UnknownMethod,
    WrongKind,
)
from tests.process import NodeProcess


@pytest.fixture
async def store(node: NodeProcess) -> AsyncIterator[Store]:
    async with connect(node.url) as store:
        yield store


async def test_an_entity_is_created_written_read_and_deleted(store: Store) -> None:
    user = await store.create("User", "john@example.com")
    done = await store.set(user.id, "Name", "John Doe")
    assert done.applied
    assert done.revision == user.revision + 1
    entity = await store.get(user.id, "Name", "Age")
    assert (entity.id, entity.type) == (user.id, "User")
    assert (entity["Name"], entity["Age"]) == ("John Doe", 0)
    assert entity.fields["Name"].revision == done.revision
    assert entity.fields["Age"].time is None
    assert await store.exists(user.id)
    assert (await store.delete(user.id)).deleted == 1
    assert not await store.exists(user.id)


async def test_a_path_that_fails_has_its_error_in_its_place(store: Store) -> None:
    user = await store.create("User", "ann", fields={"Age": 30})
    entity = await store.get(user.id, "Age", "Nope")
    assert entity["Age"] == 30
    with pytest.raises(NotFound, match="Nope"):
        entity["Nope"]
    with pytest.raises(KeyError):
        entity["Name"]


async def test_bytes_and_datetimes_are_values(store: Store) -> None:
    fields = [FieldSchema("Content", Kind.Blob), FieldSchema("Seen", Kind.Timestamp), FieldSchema("Big", Kind.Int)]
    await store.schema_set(EntitySchema("Thing", [], fields))
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    thing = await store.create("Thing", "t", fields={"Content": b"\x00\xff", "Seen": moment, "Big": 2**63 - 1})
    entity = await store.get(thing.id)
    assert (entity["Content"], entity["Seen"], entity["Big"]) == ("AP8=", "2024-05-06T07:08:09Z", 2**63 - 1)


async def test_what_json_would_turn_into_something_else_never_leaves(store: Store) -> None:
    boss = (await store.get("/Root/Organization/Engineering")).id
    user = await store.create("User", "ann", fields={"Department": boss})
    naive = datetime(2024, 5, 6, 7, 8, 9)
    before = (await store.digest()).digest
    for value in (float("nan"), float("inf"), naive):
        with pytest.raises(BadParams, match=re.escape(f"given {value!r}")):
            await store.set(user.id, "Department", value)
        with pytest.raises(BadParams, match=re.escape(f"given {value!r}")):
            await store.pipeline([SetFields(user.id, "Department", value)])
        with pytest.raises(BadParams, match=re.escape(f"given {value!r}")):
            await store.batch([("ping", {}), ("create", {"type": "User", "name": "bob", "parent": value})])
    with pytest.raises(BadParams, match="name: expected text, given b'bob'"):
        await store.create("User", b"bob")  # type: ignore[arg-type]
    assert (await store.digest()).digest == before


async def test_set_knows_modes_and_expectations(store: Store) -> None:
    user = await store.create("User", "ann", fields={"Age": 30})
    await store.set(user.id, "Age", 2, mode="add")
    assert not (await store.set(user.id, "Age", 32, when="changes")).applied
    with pytest.raises(Conflict):
        await store.set(user.id, "Age", 1, expect={"value": 30})
    await store.set(user.id, fields={"Age": 33, "Email": "ann@example.com"})
    entity = await store.get(user.id, "Age", "Email")
    assert (entity["Age"], entity["Email"]) == (33, "ann@example.com")


async def test_pages_go_on_from_the_cursor(store: Store) -> None:
    made = [(await store.create("Folder", f"folder {number}")).id for number in range(5)]
    found: list[int] = []
    page = await store.find("Folder", limit=2, fields=["Parent"], total=True)
    assert page.total is not None
    assert page.items[0].fields.keys() == {"Parent"}
    while True:
        found += [item.id for item in page.items]
        if page.cursor is None:
            break
        page = await store.find("Folder", limit=2, cursor=page.cursor)
    assert found == sorted(found)
    assert set(made) <= set(found)


async def test_pages_come_in_the_order_of_fields(store: Store) -> None:
    for name, age in (("ann", 30), ("bo", 20), ("cy", 30), ("di", 40)):
        await store.create("User", name, fields={"Age": age, "Email": "ordered"})
    order_by = ["Age:desc", "Name:desc"]
    first = await store.find("User", "Email == 'ordered'", order_by=order_by, limit=3, total=True)
    assert [item.name for item in first.items] == ["di", "cy", "ann"]
    assert first.total == 4
    last = await store.find("User", "Email == 'ordered'", order_by=order_by, limit=3, cursor=first.cursor)
    assert ([item.name for item in last.items], last.cursor) == (["bo"], None)
    with pytest.raises(BadParams, match="is no cursor"):
        await store.find("User", order_by=["Age"], cursor=first.cursor)
    with pytest.raises(NotFound, match="Nope"):
        await store.find("User", order_by=["Nope"])
    with pytest.raises(WrongKind, match="Children"):
        await store.find("User", order_by=["Children"])


async def test_types_and_schemas_are_typed(store: Store) -> None:
    done = await store.schema_set(
        {"entityType": "Pump", "inheritsFrom": ["Machine"], "fields": [{"name": "Flow", "dataType": "Float"}]}
    )
    assert done.types == ["Pump"]
    assert "Pump" in (await store.types()).items
    assert [field.name for field in (await store.schema_get("Pump")).fields] == ["Flow"]
    assert {"Flow", "Name"} <= {field.name for field in (await store.schema_complete("Pump")).fields}


async def test_clients_and_slow_log_tell_who_asks_and_what_was_slow(store: Store) -> None:
    await store.ping()
    (here,) = [client for client in await store.clients() if client.name == "python"]
    assert here.requests >= 2
    assert here.since <= f"{datetime.now(UTC).isoformat()}"
    assert await store.slow_log(1) == []


async def test_info_and_machine_tell_about_the_node(store: Store) -> None:
    info, machine = await store.info(), await store.machine()
    assert (info.node, info.leader) == (1, 1)
    assert machine.machine == info.machine


async def test_call_gives_plain_results(store: Store) -> None:
    assert await store.call("ping") == "PONG"
    assert (await store.call("get", id=1, fields=["Name"]))["fields"]["Name"]["value"]
    with pytest.raises(UnknownMethod):
        await store.call("frobnicate")


async def test_a_batch_gives_a_result_or_an_error_for_each_call(store: Store) -> None:
    made, pong, missing = await store.batch(
        [("create", {"type": "User", "name": "a"}), ("ping", {}), ("get", {"id": 999_999})]
    )
    assert made["id"] > 0
    assert pong == "PONG"
    assert isinstance(missing, NotFound)
    assert await store.batch([]) == []


async def test_a_batch_longer_than_the_window_keeps_its_order(store: Store) -> None:
    results = await store.batch([("create", {"type": "User", "name": f"u{number}"}) for number in range(1000)])
    ids = [result["id"] for result in results]
    assert ids == sorted(set(ids))


async def test_more_writers_than_the_window_holds_all_get_through(store: Store) -> None:
    user = await store.create("User", "counter")
    await asyncio.gather(*(store.set(user.id, "Age", 1, mode="add") for _ in range(500)))
    assert (await store.get(user.id, "Age"))["Age"] == 500


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_a_timeout_is_seconds_above_zero(store: Store, seconds: float) -> None:
    with pytest.raises(BadParams, match="timeout"):
        await store.ping(timeout=seconds)


async def test_a_pipeline_gives_a_typed_result_or_the_error_for_each_command(store: Store) -> None:
    commands: list[AnyCommand] = [
        Create("User", "ann", fields={"Age": 30}),
        SetFields("$1", "Age", 2, mode="add"),
        ("get", {"id": "$1", "fields": ["Age", "Nope"]}),
        Delete("$7"),
        Find("User", exact=True, limit=1),
        FieldGet("User", "Age"),
        Exists("$1"),
        Digest(),
    ]
    user, done, entity, failed, page, field, exists, digest = await store.pipeline(commands)
    assert isinstance(user, Created)
    assert done == SetDone(True, user.revision + 1)
    assert isinstance(entity, Entity)
    assert entity["Age"] == 32
    with pytest.raises(NotFound):
        entity["Nope"]
    assert isinstance(failed, BadParams)
    assert isinstance(page, Page)
    assert field == await store.field_get("User", "Age")
    assert exists is True
    assert digest.digest == (await store.digest()).digest
    assert await store.pipeline([]) == []


async def test_values_in_a_pipeline_are_those_of_set(store: Store) -> None:
    fields = [FieldSchema("Content", Kind.Blob), FieldSchema("Seen", Kind.Timestamp)]
    await store.schema_set(EntitySchema("Thing", [], fields))
    values = {"Content": b"\x00\xff", "Seen": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)}
    _, entity = await store.pipeline([Create("Thing", "t", fields=values), Get("$1")])
    assert (entity["Content"], entity["Seen"]) == ("AP8=", "2024-05-06T07:08:09Z")
    with pytest.raises(BadParams, match="Create cannot be written as JSON"):
        await store.pipeline([Create("Thing", "t", fields={"Content": object()})])


async def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    user = await store.create("User", "ann", fields={"Age": 30})
    done = await store.transaction(
        [SetFields(user.id, "Age", 31), Create("User", "bob"), Get("$2", ["Name", "Age"]), Get(999_999)],
        [Condition(user.id, "Age", "==", 30), {"id": user.id, "exists": True}],
    )
    written, bob, entity, missing = done.results
    assert done.revision == written.revision == bob.revision == user.revision + 1
    assert (entity["Name"], entity["Age"]) == ("bob", 0)
    assert isinstance(missing, NotFound)
    with pytest.raises(Conflict) as unmet:
        await store.transaction([SetFields(user.id, "Age", 0)], [Condition(user.id, "Age", revision=done.revision + 1)])
    assert (unmet.value.data["condition"], unmet.value.data["value"]) == (1, 31)
    with pytest.raises(BadValue) as failed:
        await store.transaction([SetFields(user.id, "Age", 0), SetFields(user.id, "Age", "old")])
    assert (failed.value.data["command"], failed.value.data["applied"]) == (2, "no")
    assert (await store.get(user.id, "Age"))["Age"] == 31


async def test_entities_are_counted_with_and_without_descendants(store: Store) -> None:
    await store.create("User", "ann")
    assert await store.count("Object", exact=True) == Counted(0)
    users = await store.count("User")
    assert users == await store.count("User", exact=True) == Counted((await store.find("User", total=True)).total or 0)
    assert [item.name for item in (await store.find("User", "Age > 30")).items] == ["Alice"]
    assert await store.count("User", "Age > 30") == Counted(1)
    counted = await store.count("User", "100 / (Age - 34) > -50")
    found = await store.find("User", "100 / (Age - 34) > -50")
    assert (counted.count, counted.errors, counted.error) == (len(found.items), 1, found.error)
    with pytest.raises(BadFilter):
        await store.count("User", "Age >")
    with pytest.raises(NotFound):
        await store.count("Nope")


async def test_a_field_of_a_schema_is_added_changed_and_read(store: Store) -> None:
    assert not await store.field_exists("User", "Mood")
    await store.field_set("User", "Mood", Kind.Choice, choices=["Bad", "Good"], default="Good", storage_scope="Runtime")
    assert await store.field_exists("User", "Mood")
    await store.field_set("User", "Mood", rank=50)
    assert await store.field_get("User", "Mood") == FieldSchema(
        "Mood", Kind.Choice, "Good", 50, ["Bad", "Good"], "Runtime"
    )
    await store.field_set("User", "Mood", default=None)
    assert (await store.field_get("User", "Mood")).default == "Bad"


async def test_a_dry_run_of_schemas_says_what_would_be_and_takes_no_number(store: Store) -> None:
    before = (await store.digest()).digest
    assert (await store.schema_set(EntitySchema("Pump"), dry_run=True)).types == ["Pump"]
    with pytest.raises(BadSchema):
        await store.schema_set(EntitySchema("Pump", ["Nope"]), dry_run=True)
    assert (await store.digest()).digest == before
    await store.schema_set(EntitySchema("Pump"))
    assert (await store.schema_delete("Pump")).types == ["Pump"]
    with pytest.raises(NotFound):
        await store.schema_get("Pump")
    with pytest.raises(InUse):
        await store.schema_delete("Object")


async def test_values_are_reset_only_if_that_is_said(store: Store) -> None:
    await store.schema_set(EntitySchema("Pump", [], [FieldSchema("Age", Kind.Int)]))
    pump = await store.create("Pump", "p", fields={"Age": 3})
    lost = {"Pump.Age": 1}
    with pytest.raises(InUse) as caught:
        await store.schema_set(EntitySchema("Pump"))
    assert caught.value.data["reset"] == lost
    with pytest.raises(InUse):
        await store.field_set("Pump", "Age", Kind.String)
    assert (await store.field_set("Pump", "Age", Kind.String, dry_run=True)).reset == lost
    assert (await store.schema_set(EntitySchema("Pump"), dry_run=True)).reset == lost
    assert (await store.get(pump.id, "Age"))["Age"] == 3
    document = "".join([page.chunk async for page in store.snapshot_export()])
    assert (await store.field_set("Pump", "Age", Kind.String, reset=True)).reset == lost
    await store.set(pump.id, "Age", "old")
    assert (await store.snapshot_plan(document)).reset == {}
    await store.snapshot_restore(document)
    assert (await store.schema_set(EntitySchema("Pump"), reset=True)).reset == lost


async def test_a_node_writes_a_snapshot_of_itself(store: Store) -> None:
    made = await store.create("User", "snap")
    taken = await store.snapshot_take()
    assert taken.revision >= made.revision
    assert taken.file.endswith(".json")


async def test_a_snapshot_is_exported_planned_and_restored(store: Store) -> None:
    await store.create("User", "snap", fields={"Age": 7})
    pages = [page async for page in store.snapshot_export(ids=False)]
    text = "".join(page.chunk for page in pages)
    assert pages[-1].entities == sum((await store.info()).counts.values())
    assert (await store.snapshot_plan(text)).counts == {}
    assert not (await store.snapshot_restore(text)).changed
    edited = json.loads(text)
    edited["tree"]["Children"] += [{"entityType": "User", "Name": f"restored {place}"} for place in range(3)]
    plan = await store.snapshot_plan(json.dumps(edited), limit=1)
    assert (plan.counts, len(plan.lines), plan.more) == ({"create": 3}, 1, 2)
    done = await store.snapshot_restore(json.dumps(edited).encode())
    assert (done.changed, done.counts) == (True, {"create": 3})
    assert (await store.get("/Root/restored 2"))["Name"] == "restored 2"
    with pytest.raises(BadParams) as caught:
        await store.snapshot_restore('{"tree": {}}')
    assert len(caught.value.data["problems"]) == 2
    for bad in (b"\xff", "\ud800", ""):
        with pytest.raises(BadParams):
            await store.snapshot_plan(bad)


async def test_a_pipeline_is_done_once_though_the_node_is_killed_again_and_again(node: NodeProcess) -> None:
    async with connect(node.url, timeout=120) as store:
        user = await store.create("User", "counter")
        add = SetFields(user.id, "Age", 1, mode="add")

        async def write() -> None:
            for _ in range(10):
                *done, entity = await store.pipeline([add, add, Get(user.id, ["Age"])])
                assert all(isinstance(one, SetDone) for one in done)
                assert entity["Age"] >= 2

        for _ in range(2):
            writers = [asyncio.create_task(write()) for _ in range(10)]
            await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(restart, node)
            await asyncio.gather(*writers)
        assert (await store.get(user.id, "Age"))["Age"] == 400


async def test_writes_are_done_once_each_though_the_node_is_killed_again_and_again(node: NodeProcess) -> None:
    async with connect(node.url, timeout=120) as store:
        user = await store.create("User", "counter")

        async def write() -> None:
            for _ in range(10):
                await store.set(user.id, "Age", 1, mode="add")

        for _ in range(3):
            writers = [asyncio.create_task(write()) for _ in range(20)]
            await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(restart, node)
            await asyncio.gather(*writers)
        assert (await store.get(user.id, "Age"))["Age"] == 600


def restart(node: NodeProcess) -> None:
    node.kill()
    node.start()


async def test_errors_of_all_kinds_share_a_root(store: Store) -> None:
    with pytest.raises(RequestError, match="no entity id"):
        await store.get("Folder23")


def test_nothing_of_the_client_is_left_running_afterwards(node: NodeProcess) -> None:
    async def use() -> None:
        async with connect(node.url) as store:
            await store.ping()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = set(threading.enumerate())
    asyncio.run(use())
    assert before.issuperset(threading.enumerate())
