"""The surface against a real node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from qcore.client import EntitySchema, FieldSchema, Store, connect
from qcore.model.errors import BadParams, Conflict, NotFound, RequestError, UnknownMethod
from qcore.model.values import Kind
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


async def test_types_and_schemas_are_typed(store: Store) -> None:
    done = await store.schema_set(
        {"entityType": "Pump", "inheritsFrom": ["Machine"], "fields": [{"name": "Flow", "dataType": "Float"}]}
    )
    assert done.types == ["Pump"]
    assert "Pump" in (await store.types()).items
    assert [field.name for field in (await store.schema_get("Pump")).fields] == ["Flow"]
    assert {"Flow", "Name"} <= {field.name for field in (await store.schema_complete("Pump")).fields}


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

    before = threading.active_count()
    asyncio.run(use())
    assert threading.active_count() == before
