"""Several listeners of one connection as one stream, against a real node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from qcore.client import Event, Store, connect
from qcore.client.merging import MergedEvents
from qcore.model.errors import ConnectionFailed
from tests.process import DEADLINE, NodeProcess


@pytest.fixture
async def store(node: NodeProcess) -> AsyncIterator[Store]:
    async with connect(node.url) as store:
        yield store


async def coming(merged: MergedEvents, count: int) -> list[Event]:
    """The next events, which are on their way."""
    found = []
    async with asyncio.timeout(DEADLINE):
        for _ in range(count):
            event = await merged.next()
            assert event is not None
            found.append(event)
    return found


async def test_events_come_in_the_order_of_revisions_across_listeners(store: Store) -> None:
    user = (await store.create("User", "ann")).id
    async with store.listen(user, "Age") as ages, store.listen(user, "Email") as emails:
        for number in range(100):
            await store.set(user, "Age", number)
            await store.set(user, "Email", str(number))
        found = await coming(MergedEvents([emails, ages]), 200)
    assert [event.field for event in found] == ["Age", "Email"] * 100
    assert [event.revision for event in found] == sorted(event.revision for event in found)


async def test_what_several_tell_alike_comes_once(store: Store) -> None:
    async with (
        store.listen("User", "Age") as ages,
        store.listen("User", "Email") as emails,
        store.listen("User", "Email", context=["Name"]) as named,
    ):
        user = (await store.create("User", "ann", fields={"Email": "a", "Age": 1})).id
        await store.delete(user)
        found = await coming(MergedEvents([ages, emails, named]), 7)
    name = {"Name": "ann"}
    assert [(event.kind, event.field, event.context) for event in found] == [
        ("created", None, {}),
        ("changed", "Age", {}),
        ("changed", "Email", {}),
        ("created", None, name),
        ("changed", "Email", name),
        ("deleted", None, {}),
        ("deleted", None, name),
    ]


async def test_one_that_catches_up_is_waited_for(store: Store) -> None:
    user = await store.create("User", "ann")
    async with store.listen(user.id, "Age") as live:
        for number in range(500):
            await store.set(user.id, "Email", str(number))
        await store.set(user.id, "Age", 1)
        async with store.listen(user.id, "Email", since=user.revision) as late:
            await store.set(user.id, "Age", 2)
            found = await coming(MergedEvents([live, late]), 502)
    revisions = [event.revision for event in found]
    assert revisions == sorted(revisions)
    assert [event.field for event in found] == ["Email"] * 500 + ["Age"] * 2


async def test_one_with_nothing_to_catch_up_with_holds_nobody_up(store: Store) -> None:
    user = await store.create("User", "ann")
    async with store.listen(user.id, "Age") as live, store.listen(user.id, "Email", since=user.revision) as late:
        await store.set(user.id, "Age", 1)
        (event,) = await coming(MergedEvents([live, late]), 1)
        assert event.field == "Age"
        assert not late.catches_up


async def test_it_ends_with_its_listeners(store: Store) -> None:
    async with store.listen("User", "Age") as ages, store.listen("User", "Email") as emails:
        merged = MergedEvents([ages, emails])
        waiting = asyncio.create_task(merged.next())
        await ages.aclose()
        await emails.aclose()
        assert await asyncio.wait_for(waiting, DEADLINE) is None


async def test_what_ends_a_listener_is_raised(node: NodeProcess) -> None:
    async with connect(node.url) as store:
        listeners = [await store.listen("User", field).__aenter__() for field in ("Age", "Email")]
        waiting = asyncio.create_task(MergedEvents(listeners).next())
    with pytest.raises(ConnectionFailed):
        await asyncio.wait_for(waiting, DEADLINE)
