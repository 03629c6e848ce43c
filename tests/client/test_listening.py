"""Listening through the SDK, against a real node: what comes, how it ends, and what a killed node changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from qcore.client import Event, Events, Store, blocking, connect
from qcore.client.subscription import HIGH
from qcore.model.errors import BadFilter, Compacted, ConnectionFailed, NotFound, Timeout
from tests.process import DEADLINE, NodeProcess

SHORT = ("--watch-history", "1000")
"""A node whose history has room for a thousand events."""


@pytest.fixture
async def store(node: NodeProcess) -> AsyncIterator[Store]:
    async with connect(node.url) as store:
        yield store


async def coming(events: Events) -> Event:
    """The next event, which is on its way."""
    event = await events.next(DEADLINE)
    assert event is not None
    return event


async def until(events: Events, done: Callable[[Event], bool]) -> list[Event]:
    """The events up to one."""
    found = [await coming(events)]
    while not done(found[-1]):
        found.append(await coming(events))
    return found


async def test_changes_come_as_they_are_made(store: Store) -> None:
    user = await store.create("User", "ann", fields={"Age": 29})
    async with store.listen(user.id, "Age", context=["Name"]) as events:
        done = await store.set(user.id, "Age", 30)
        event = await coming(events)
    assert (event.kind, event.id, event.type, event.field) == ("changed", user.id, "User", "Age")
    assert event.current is not None
    assert event.previous is not None
    assert (event.previous.value, event.current.value, event.revision) == (29, 30, done.revision)
    assert event.context == {"Name": "ann"}
    assert event.last


async def test_a_type_tells_of_creation_change_and_deletion_where_the_filter_holds(store: Store) -> None:
    async with store.listen("User", "Age", filter="Age >= 18") as events:
        user = await store.create("User", "ben", fields={"Age": 20})
        for age in (5, 21):
            await store.set(user.id, "Age", age)
        await store.delete(user.id)
        found = await until(events, lambda event: event.kind == "deleted")
    told = [(event.kind, event.current.value if event.current else None) for event in found]
    assert told == [("created", None), ("changed", 20), ("changed", 21), ("deleted", None)]


async def test_current_values_come_first_and_then_the_changes(store: Store) -> None:
    user = await store.create("User", "cleo", fields={"Age": 41})
    async with store.listen("User", "Age", initial=True) as events:
        await store.set(user.id, "Age", 42)
        found = await until(events, lambda event: event.kind == "changed" and event.id == user.id)
    values = [event.current.value for event in found if event.id == user.id and event.current is not None]
    assert values == [41, 42]
    assert {event.kind for event in found[:-1]} == {"initial"}


async def test_for_alone_begins_it_and_closing_ends_it(store: Store) -> None:
    user = await store.create("User", "dora")
    events = store.listen(user.id, since=user.revision)
    await store.set(user.id, "Age", 1)
    async for event in events:
        assert event.field == "Age"
        break
    await events.aclose()
    assert await events.next(0.01) is None
    assert [event async for event in events] == []


async def test_a_wait_for_nothing_ends_in_time(store: Store) -> None:
    async with store.listen("User") as events:
        assert await events.next(0.01) is None
        user = await store.create("User", "late")
        assert (await coming(events)).id == user.id


async def test_a_wait_that_ends_before_the_server_has_taken_it_is_only_a_wait(store: Store) -> None:
    first = await store.create("User", "first")
    events = store.listen("User", since=first.revision + 1)  # taken when that revision is there
    assert await events.next(0) is None
    assert await events.next(0.01) is None
    for name in ("second", "third"):
        made = await store.create("User", name)
    assert (await coming(events)).id == made.id
    await events.aclose()


async def test_whoever_is_cancelled_takes_nothing_from_the_others(store: Store) -> None:
    first = await store.create("User", "first")
    events = store.listen("User", since=first.revision + 1)
    waiting = [asyncio.create_task(events.next(DEADLINE)) for _ in range(3)]
    await asyncio.sleep(0)
    for gone in waiting[:2]:  # the first of them has begun it
        gone.cancel()
    await asyncio.wait(waiting[:2])
    for name in ("second", "third"):
        made = await store.create("User", name)
    event = await waiting[2]
    assert event is not None
    assert event.id == made.id
    await events.aclose()


async def test_a_block_that_was_not_entered_leaves_nothing_behind(store: Store) -> None:
    now = (await store.digest()).revision
    events = store.listen("User", since=now + 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), events:
            pass
    for name in ("first", "second"):
        await store.create("User", name)
    assert await events.next(0.01) is None
    assert [event async for event in events] == []


async def test_why_it_could_not_begin_is_told_to_all_who_wait_and_each_time(store: Store) -> None:
    refused = store.listen("Ghost")
    assert [
        type(each) for each in await asyncio.gather(*(refused.next() for _ in range(3)), return_exceptions=True)
    ] == [NotFound] * 3
    late = store.listen("User", since=10**9, timeout=0.05)
    assert await late.next(0) is None
    for _ in range(2):
        with pytest.raises(Timeout):
            await late.next()
    await late.aclose()
    assert await late.next() is None


async def test_what_cannot_be_is_refused_at_the_beginning(store: Store) -> None:
    with pytest.raises(NotFound):
        async with store.listen("Ghost"):
            pass
    with pytest.raises(BadFilter):
        await anext(store.listen("User", filter="Nope > 1"))
    with pytest.raises(Timeout):
        async with store.listen("User", since=10**9, timeout=0.05):
            pass


async def test_what_ends_with_the_connection_says_so(node: NodeProcess) -> None:
    async with connect(node.url) as store:
        events = store.listen("User")
        await events.__aenter__()
    with pytest.raises(ConnectionFailed, match="connection was closed"):
        await events.next()


async def test_nothing_is_missed_or_repeated_though_the_node_is_killed_again_and_again(
    node_factory: Callable[..., NodeProcess],
) -> None:
    node = node_factory(name="listen")
    node.start()
    async with connect(node.url, timeout=120) as store:
        await store.schema_set({"entityType": "Counter", "fields": [{"name": "Count", "dataType": "Int"}]})
        counter = await store.create("Counter", "c")
        async with store.listen(counter.id, "Count") as events:

            async def write() -> None:
                for _ in range(30):
                    await store.set(counter.id, "Count", 1, mode="add")

            for _ in range(3):
                writers = [asyncio.create_task(write()) for _ in range(5)]
                await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.to_thread(node.kill)
                await asyncio.to_thread(node.start)
                await asyncio.gather(*writers)
            found = [await coming(events) for _ in range(450)]
            assert await events.next(0.01) is None
    values = [event.current.value for event in found if event.current is not None]
    assert values == list(range(1, 451))
    assert {event.kind for event in found} == {"changed"}


async def test_where_the_history_is_gone_after_a_restart_values_are_read_anew(
    node_factory: Callable[..., NodeProcess],
) -> None:
    node = node_factory(name="compacted")
    node.start()
    async with connect(node.url, timeout=120) as store:
        await store.schema_set({"entityType": "Counter", "fields": [{"name": "Count", "dataType": "Int"}]})
        counter = await store.create("Counter", "c")
        async with store.listen(counter.id, "Count", initial=True) as events:
            await store.set(counter.id, "Count", 1)
            await until(events, lambda event: event.kind == "changed")
            node.kill()
            node.flags = SHORT
            node.start()
            async with connect(node.url) as other:
                await other.batch([("set", {"id": counter.id, "field": "Count", "value": n}) for n in range(2, 2002)])
            found = await until(events, lambda event: event.current is not None and event.current.value == 2001)
    if found[0].kind == "lost":  # unless it was back before the history had moved on
        assert found[1].kind == "initial"


async def test_an_old_revision_is_refused_where_the_history_is_gone(node_factory: Callable[..., NodeProcess]) -> None:
    node = node_factory(*SHORT, name="short")
    node.start()
    async with connect(node.url) as store:
        await store.schema_set({"entityType": "T"})
        await store.batch([("create", {"type": "T", "name": f"n{number}"}) for number in range(1000)])
        with pytest.raises(Compacted) as caught:
            async with store.listen("T", since=0):
                pass
        assert caught.value.data["oldest"] > 0


async def test_a_program_that_takes_nothing_holds_nobody_up_and_misses_nothing(store: Store) -> None:
    user = await store.create("User", "slow")
    async with store.listen(user.id, "Age") as events:
        count = HIGH + 2_000
        for begin in range(0, count, 1000):
            await store.batch([("set", {"id": user.id, "field": "Age", "value": begin + n}) for n in range(1000)])
        values = []
        for _ in range(count):
            event = await coming(events)
            assert event.current is not None
            values.append(event.current.value)
    assert values == list(range(count))


def test_without_asyncio_a_wait_is_only_a_wait_too(node: NodeProcess) -> None:
    with blocking.connect(node.url) as store:
        first = store.create("User", "first")
        events = store.listen("User", since=first.revision + 1)
        assert events.next(0.01) is None
        for name in ("second", "third"):
            made = store.create("User", name)
        event = events.next(DEADLINE)
        assert event is not None
        assert event.id == made.id
        events.close()


def test_without_asyncio_it_is_a_plain_loop(node: NodeProcess) -> None:
    with blocking.connect(node.url) as store:
        user = store.create("User", "eve")
        with store.listen(user.id, "Age") as events:
            for age in (1, 2, 3):
                store.set(user.id, "Age", age)
            for event in events:
                if event.current is not None and event.current.value == 3:
                    break
            assert events.next(timeout=0.01) is None
        assert list(events) == []
