"""Listening through the API: what is told, in which shape, from when on, until when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.model.requests.events import Event
from qcore.server.runtime import budgets
from tests.server.running import Client, Running, running, until

SCHEMAS: list[dict[str, Any]] = [
    {"entityType": "Team", "fields": [{"name": "Budget", "dataType": "Int"}]},
    {
        "entityType": "User",
        "fields": [
            {"name": "Age", "dataType": "Int"},
            {"name": "Team", "dataType": "EntityReference"},
            {"name": "Teams", "dataType": "EntityList"},
        ],
    },
    {"entityType": "Admin", "inheritsFrom": ["User"]},
]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        await run.client().result("schema.set", schemas=SCHEMAS)
        yield run


@pytest.fixture
def client(run: Running) -> Client:
    return run.client()


@pytest.fixture
def writer(run: Running) -> Client:
    return run.client()


async def create(client: Client, type: str, name: str = "x", **fields: Any) -> int:
    return int((await client.result("create", type=type, name=name, fields=fields))["id"])


async def write(client: Client, id: int, field: str, value: Any, **params: Any) -> int:
    return int((await client.result("set", id=id, field=field, value=value, **params))["revision"])


async def listen(client: Client, target: Any, **params: Any) -> int:
    return int((await client.result("listen", target=target, **params))["token"])


async def test_a_write_is_told_with_what_was_there_before(client: Client, writer: Client) -> None:
    user = await create(writer, "User", Age=29)
    answer = await client.result("listen", target=user, field="Age")
    before = (await client.result("get", id=user, fields=["Age"]))["fields"]["Age"]
    revision = await write(writer, user, "Age", 30)
    (event,) = await client.told(answer["token"], 1)
    assert answer["revision"] == revision - 1
    assert event == {
        "revision": revision,
        "kind": "changed",
        "id": user,
        "type": "User",
        "field": "Age",
        "current": (await client.result("get", id=user, fields=["Age"]))["fields"]["Age"],
        "previous": before,
        "last": True,
    }


async def test_every_event_has_the_documented_shape(client: Client, writer: Client) -> None:
    await listen(client, "User", initial=True, context=["Team->Name"])
    user = await create(writer, "User", Age=1)
    await writer.result("delete", id=user)
    await client.told(1, 5)
    for event in client.events:
        shaped = msgspec.convert(event, Event, strict=True)
        assert msgspec.to_builtins(shaped) == event


def left(run: Running) -> list[Any]:
    """Everything that listeners may leave behind."""
    listeners = run.node._watch._listeners
    registry = listeners.registry
    shared = [listeners.all, listeners.live, listeners._shared, listeners._users]
    return [*shared, registry.interests, registry.trackers, registry._entities, registry._types]


# -- targets and fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [int, str, "@{}".format, "User${}".format, "Admin${}".format, "/Root/a b#2/x".format])
async def test_an_entity_is_named_in_any_form(client: Client, writer: Client, form: Callable[[int], Any]) -> None:
    for _ in range(2):
        parent = (await writer.result("create", type="Team", name="a b", parent=1))["id"]
    user = (await writer.result("create", type="Admin", name="x", parent=parent))["id"]
    token = await listen(client, form(user), field="Age")
    await writer.result("set", id=user, field="Parent", value=None)
    await write(writer, user, "Age", 2)
    (event,) = await client.told(token, 1)
    assert event["id"] == user


async def test_a_type_is_listened_to_with_its_descendants_later_ones_too(client: Client, writer: Client) -> None:
    token = await listen(client, "User", field="Age")
    await writer.result("schema.set", schema={"entityType": "Guest", "inheritsFrom": ["Admin"]})
    ids = [await create(writer, type, Age=1) for type in ("User", "Team", "Admin", "Guest") if type != "Team"]
    await create(writer, "Team")
    events = await client.told(token, 6)
    assert [(event["kind"], event["id"]) for event in events] == [
        (kind, id) for id in ids for kind in ("created", "changed")
    ]
    assert [event["type"] for event in events[::2]] == ["User", "Admin", "Guest"]


async def test_change_leaves_out_writes_of_the_same_value(client: Client, writer: Client) -> None:
    user = await create(writer, "User", Age=1)
    token = await listen(client, user, field="Age", change=True)
    await write(writer, user, "Age", 1)
    last = await write(writer, user, "Age", 2)
    (event,) = await client.told(token, 1)
    assert event["revision"] == last


async def test_context_is_of_the_revision_and_not_of_the_moment(client: Client, writer: Client) -> None:
    team = await create(writer, "Team", "before")
    user = await create(writer, "User", Team=team)
    token = await listen(client, "User", field="Age", context=["Age", "Team->Name", "Team->Budget", "Nothing"])
    steps = [("Age", 1), ("Age", 2)]
    commands: list[dict[str, Any]] = [
        {"method": "set", "params": {"id": user, "field": "Age", "value": 1}},
        {"method": "set", "params": {"id": team, "field": "Name", "value": "after"}},
        {"method": "set", "params": {"id": user, "field": "Team", "value": None}},
        {"method": "set", "params": {"id": user, "field": "Age", "value": 2}},
    ]
    await writer.result("pipeline", commands=commands)
    first, second = (event["context"] for event in await client.told(token, len(steps)))
    assert (first["Age"], first["Team->Name"], first["Team->Budget"]) == (1, "before", 0)
    assert first["Nothing"]["error"]["kind"] == "not_found"
    assert second["Age"] == 2
    assert second["Team->Name"]["error"]["kind"] == "not_found"


async def test_a_filter_sees_the_entity_of_the_revision_and_what_it_refers_to(client: Client, writer: Client) -> None:
    team = await create(writer, "Team", Budget=1)
    user = await create(writer, "User", Team=team)
    token = await listen(client, "User", field="Age", filter="Team->Budget == 1 && Age > 10")
    steps = [(user, "Age", 11), (user, "Age", 9), (team, "Budget", 2), (user, "Age", 12), (team, "Budget", 1)]
    commands = [{"method": "set", "params": dict(zip(("id", "field", "value"), step, strict=True))} for step in steps]
    await writer.result("pipeline", commands=commands)
    last = await write(writer, user, "Age", 13)
    await client.told(token, 2)
    assert [event["current"]["value"] for event in client.events] == [11, 13]
    assert client.events[-1]["revision"] == last


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"target": "Nobody"}, "not_found"),
        ({"target": 99}, "not_found"),
        ({"target": "/Root/nobody"}, "not_found"),
        ({"target": "Team$1"}, "wrong_kind"),
        ({"target": "$1"}, "bad_params"),
        ({"target": ""}, "not_found"),
        ({"target": "User", "field": "Nothing"}, "not_found"),
        ({"target": "User", "field": "Age->Name"}, "wrong_kind"),
        ({"target": "User", "field": "Children->0->Name"}, "bad_params"),
        ({"target": "User", "field": "->".join(["Parent"] * 9)}, "too_large"),
        ({"target": "User", "context": ["Parent->"]}, "bad_params"),
        ({"target": "User", "context": ["Age"] * 10 + [f"A{n}" for n in range(40)]}, "too_large"),
        ({"target": "User", "filter": "Nothing > 1"}, "bad_filter"),
        ({"target": "User", "filter": "Age >"}, "bad_filter"),
        ({"target": "User", "filter": "(" * 200 + "Age" + ")" * 200}, "too_large"),
        ({"target": "User", "filter": "Age > 1 " + "|| Age > 1" * 1000}, "too_large"),
        ({"target": "User", "initial": True, "since": 1}, "bad_params"),
        ({"target": "User", "since": -1}, "bad_params"),
        ({"target": "User", "since": 99, "timeout": 0.05}, "timeout"),
        ({"target": "User", "since": 1.5}, "bad_params"),
        ({"target": "User", "until": 5}, "bad_params"),
        ({"target": None}, "bad_params"),
    ],
)
async def test_what_cannot_be_listened_to_is_refused_and_leaves_nothing(
    run: Running, client: Client, params: dict[str, Any], kind: str
) -> None:
    assert await client.kind("listen", **params) == kind
    assert not any(left(run))


async def test_listening_is_no_step_of_a_pipeline(client: Client) -> None:
    commands = [{"method": "listen", "params": {"target": "User"}}]
    assert await client.kind("pipeline", commands=commands) == "unknown_method"


async def test_a_notification_cannot_listen_as_nobody_would_know_the_token(run: Running, client: Client) -> None:
    client.send_text(b'{"jsonrpc": "2.0", "method": "listen", "params": {"target": "User"}}')
    assert await client.result("ping") == "PONG"
    assert not any(left(run))


# -- since and history -------------------------------------------------------------------------------------


async def test_since_tells_the_rest_and_goes_on(client: Client, writer: Client) -> None:
    user = await create(writer, "User")
    revisions = [await write(writer, user, "Age", value) for value in range(5)]
    token = await listen(client, user, field="Age", since=revisions[1])
    *events, bookmark = await client.told(token, 4)
    assert ([event["revision"] for event in events], bookmark["kind"]) == (revisions[2:], "bookmark")
    revision = await write(writer, user, "Age", 5)
    assert (await client.told(token, 5))[-1]["revision"] == revision


@pytest.mark.parametrize("behind", [0, 2])
async def test_a_bookmark_tells_where_the_past_is_over(client: Client, writer: Client, behind: int) -> None:
    user = await create(writer, "User")
    revisions = [await write(writer, user, "Age", age) for age in range(3)]
    token = await listen(client, user, field="Age", since=revisions[2 - behind])
    *events, bookmark = await client.told(token, behind + 1)
    assert [event["revision"] for event in events] == revisions[3 - behind :]
    assert (bookmark["kind"], bookmark["revision"]) == ("bookmark", revisions[2])


async def test_since_a_revision_to_come_waits_for_it(client: Client, writer: Client) -> None:
    user = await create(writer, "User")
    now = (await client.result("info"))["revision"]
    id = client.send("listen", target=user, field="Age", since=now + 2)
    assert await client.result("ping") == "PONG"
    assert id not in client.answers
    for value in range(3):
        await write(writer, user, "Age", value)
    await until(lambda: id in client.answers)
    assert client.answers[id]["result"]["revision"] == now + 2
    events = await client.told(client.answers[id]["result"]["token"], 2)
    assert [event["revision"] for event in events if event["kind"] == "changed"] == [now + 3]


async def test_what_the_history_has_lost_is_compacted_and_the_answer_says_what_it_has(tmp_path: Path) -> None:
    async with running(tmp_path, watch_history=1000) as run:
        client = run.client()
        await client.result("schema.set", schemas=SCHEMAS)
        user = await create(client, "User")
        commands = [{"method": "set", "params": {"id": user, "field": "Age", "value": n}} for n in range(1000)]
        for _ in range(2):
            await client.result("pipeline", commands=commands)
        oldest = (await client.result("info"))["oldest_event"]
        assert 1000 < oldest < 1100
        answer = await client.ask("listen", target=user, since=oldest - 2)
        assert answer["error"]["data"] == {"kind": "compacted", "oldest": oldest}
        token = await listen(client, user, since=oldest - 1)
        *events, _bookmark = await client.told(token, 2004 - oldest)
        assert [event["revision"] for event in events] == list(range(oldest, 2003))


async def test_the_history_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schemas=SCHEMAS)
        user = await create(client, "User")
        await write(client, user, "Age", 1)
        token = await listen(client, "User", since=0, context=["Name"])
        before = await client.told(token, 4)
    async with running(tmp_path) as run:
        client = run.client()
        token = await listen(client, "User", since=0, context=["Name"])
        assert await client.told(token, 4) == before


# -- initial values ----------------------------------------------------------------------------------------


async def test_initial_values_come_first_then_a_bookmark_then_what_changes(client: Client, writer: Client) -> None:
    users = [await create(writer, "User", Age=age) for age in range(3)]
    answer = await client.result("listen", target="User", field="Age", initial=True)
    for user in users:
        await write(writer, user, "Age", 9)
    events = await client.told(answer["token"], 7)
    assert [event["kind"] for event in events] == ["initial"] * 3 + ["bookmark"] + ["changed"] * 3
    assert [(event["id"], event["current"]["value"]) for event in events[:3]] == list(zip(users, range(3), strict=True))
    assert {event["revision"] for event in events[:4]} == {answer["revision"]}


async def test_initial_values_without_a_field_are_all_fields_as_get_gives_them(client: Client, writer: Client) -> None:
    user = await create(writer, "User", Age=1)
    token = await listen(client, user, initial=True)
    *events, bookmark = await client.told(token, 7)
    assert bookmark["kind"] == "bookmark"
    fields = (await client.result("get", id=user))["fields"]
    del fields["Children"]["value"]
    assert {event["field"]: event["current"] for event in events} == fields


async def test_many_initial_values_are_one_moment_and_block_nobody(
    run: Running, client: Client, writer: Client
) -> None:
    for start in range(0, 3000, 1000):
        commands = [
            {"method": "create", "params": {"type": "User", "name": f"u{n}", "fields": {"Age": 0}}}
            for n in range(start, start + 1000)
        ]
        await writer.result("pipeline", commands=commands)
    token = await listen(client, "User", field="Age", initial=True)
    ids = (await writer.result("find", type="User", limit=10_000))["items"]
    seen = []
    for item in ids[::100]:
        seen.append(len(client.events))
        await write(writer, item["id"], "Age", 1)
        await writer.result("delete", id=item["id"])
    events = await client.told(token, 3000 + 1 + 2 * len(ids[::100]))
    assert seen[0] < 3000, "writes went on between two initial values"
    initial = [event for event in events if event["kind"] == "initial"]
    assert len(initial) == 3000
    assert {event["current"]["value"] for event in initial} == {0}
    assert [event["kind"] for event in events[3000:]] == ["bookmark", *["changed", "deleted"] * len(ids[::100])]


# -- ends --------------------------------------------------------------------------------------------------


async def test_nothing_comes_after_the_answer_to_unlisten(run: Running, client: Client, writer: Client) -> None:
    user = await create(writer, "User")
    token, other = await listen(client, user), await listen(client, user, field="Age", filter="Age > 0")
    assert await client.result("unlisten", token=token) == {"token": token}
    await write(writer, user, "Age", 1)
    await client.told(other, 1)
    assert {event["token"] for event in client.events} == {other}
    assert await client.kind("unlisten", token=token) == "not_found"
    await client.result("unlisten", token=other)
    assert not any(left(run))


async def test_a_token_is_of_its_connection_alone(client: Client, writer: Client) -> None:
    token = await listen(client, "User")
    assert await writer.kind("unlisten", token=token) == "not_found"
    assert await listen(writer, "User") != token


async def test_a_connection_has_a_bounded_number_of_listeners(tmp_path: Path) -> None:
    async with running(tmp_path, max_subscriptions=3) as run:
        client = run.client()
        tokens = [await listen(client, "Object") for _ in range(3)]
        assert await client.kind("listen", target="Object") == "too_large"
        await listen(run.client(), "Object")
        await client.result("unlisten", token=tokens[0])
        await listen(client, "Object")


async def test_a_lost_connection_frees_ten_thousand_listeners(tmp_path: Path) -> None:
    async with running(tmp_path, max_subscriptions=10_000) as run:
        client = run.client()
        await client.result("schema.set", schemas=SCHEMAS)
        user = await create(client, "User")
        wishes: list[dict[str, Any]] = [
            {"target": user, "field": "Age"},
            {"target": "User", "field": "Team->Name"},
            {"target": user, "field": "Parent->Name", "context": ["Team->Name"]},
            {"target": "User", "filter": "Age > 3", "since": 0},
            {"target": "User", "initial": True},
        ]
        ids = [client.send("listen", **wishes[n % 5]) for n in range(10_000)]
        await until(lambda: all(id in client.answers for id in ids))
        assert len(run.node._watch) == 10_000
        client.hang_up()
        await until(lambda: not any(left(run)))
        assert not run.state._pins


async def test_a_change_of_schemas_ends_those_whom_it_concerns(client: Client, writer: Client) -> None:
    user = await create(writer, "User", Age=1)
    concerned = [
        await listen(client, "User", field="Age"),
        await listen(client, user),
        await listen(client, "Object"),
        await listen(client, "Team", field="Budget", filter="Budget > 0"),
    ]
    spared = [await listen(client, "User", field="Team"), await listen(client, "Team")]
    without_age = {"entityType": "User", "fields": SCHEMAS[1]["fields"][1:]}
    revision = (await writer.result("schema.set", schemas=[SCHEMAS[0], without_age], reset=True))["revision"]
    await client.told(concerned[2], 1)
    told = {event["token"]: event for event in client.events}
    assert sorted(told) == concerned[:3]
    epoch = (await client.result("info"))["epoch"]
    lost = {"token": concerned[0], "revision": revision, "kind": "lost", "reason": "schema", "epoch": epoch}
    assert told[concerned[0]] == lost
    assert await client.kind("unlisten", token=concerned[0]) == "not_found"
    for token in [*spared, concerned[3]]:
        await client.result("unlisten", token=token)


async def test_a_deleted_type_ends_its_listeners(run: Running, client: Client, writer: Client) -> None:
    token = await listen(client, "Team")
    await writer.result("schema.delete", type="Team")
    (event,) = await client.told(token, 1)
    assert (event["kind"], event["reason"]) == ("lost", "schema")
    assert not any(left(run))


async def test_a_filter_that_is_too_expensive_ends_its_listeners_and_nobody_else(
    run: Running, client: Client, writer: Client
) -> None:
    four = "[1,2,3,4,5,6,7,8,9,10]"
    text = f"{four}.all(a, {four}.all(b, {four}.all(c, {four}.all(d, d > Age))))"
    bad, good = await listen(client, "User", filter=text), await listen(client, "User", field="Age", filter="Age == 0")
    user = await create(writer, "User")
    revision = await write(writer, user, "Age", 0)
    (event,) = await client.told(bad, 1)
    assert event == {"revision": revision - 2, "kind": "lost", "reason": "filter"}
    assert [event["kind"] for event in await client.told(good, 2)] == ["created", "changed"]


async def test_a_filter_that_takes_its_time_too_often_ends(
    client: Client, writer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "FILTER_SECONDS", 0.0)
    token = await listen(client, "User", filter="Age > 0")
    await create(writer, "User")
    (event,) = await client.told(token, 1)
    assert event["reason"] == "filter"


async def test_a_tracker_is_bounded(client: Client, writer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert budgets.TRACKED_ENTITIES == 1_000_000
    monkeypatch.setattr(budgets, "TRACKED_ENTITIES", 10)
    for _ in range(20):
        await create(writer, "User")
    token = await listen(client, "User", field="Team->Name")
    (event,) = await client.told(token, 1)
    assert (event["kind"], event["reason"]) == ("lost", "too_large")


# -- time --------------------------------------------------------------------------------------------------


async def test_the_idle_are_sent_bookmarks(client: Client, writer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "WATCH_TICK_SECONDS", 0.02)
    idle = await listen(client, "Team")
    user = await create(writer, "User")
    revision = await write(writer, user, "Age", 1)
    await until(lambda: any(event["revision"] == revision for event in client.events))
    epoch = (await client.result("info"))["epoch"]
    assert client.events[-1] == {"token": idle, "revision": revision, "kind": "bookmark", "epoch": epoch}


async def test_no_bookmark_comes_in_the_middle_of_a_revision(
    client: Client, writer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = await create(writer, "Team")
    ages = [7, 7, 7, *[0] * 996, 7]
    made = [{"type": "User", "name": "u", "parent": top, "fields": {"Age": age}} for age in ages]
    await writer.result("pipeline", commands=[{"method": "create", "params": params} for params in made])
    monkeypatch.setattr(budgets, "WATCH_TICK_SECONDS", 0.001)
    monkeypatch.setattr(budgets, "DISPATCH_STEP_UNITS", 1)
    monkeypatch.setattr(budgets, "JUDGED_EVENTS", 1)
    token = await listen(client, "User", filter="Age == 7")
    for number in range(20):
        await listen(client, "User", filter=f"Age > {number + 7}")
    await writer.result("delete", id=top)
    await client.told(token, 4)
    await until(lambda: any(event.get("last") for event in client.events if event["token"] == token))
    mine = [event for event in client.events if event["token"] == token]
    first = next(place for place, event in enumerate(mine) if event["kind"] == "deleted")
    end = next(place for place, event in enumerate(mine) if event.get("last"))
    assert [event["kind"] for event in mine[first : end + 1]] == ["deleted"] * 4


async def test_a_node_stops_with_listeners_and_some_that_catch_up(run: Running, client: Client, writer: Client) -> None:
    for _ in range(200):
        writer.send("create", type="User", name="x")
    await create(writer, "User")
    for params in ({}, {"initial": True}, {"since": 0}, {"since": 10**6}):
        client.send("listen", target="User", **params)
    await run.node.stop()


# -- batches -----------------------------------------------------------------------------------------------


async def test_the_answers_of_a_batch_come_before_its_events(client: Client, writer: Client) -> None:
    user = await create(writer, "User")
    requests = [
        {"jsonrpc": "2.0", "id": "l", "method": "listen", "params": {"target": user, "field": "Age"}},
        {"jsonrpc": "2.0", "id": "w", "method": "set", "params": {"id": user, "field": "Age", "value": 1}},
        {"jsonrpc": "2.0", "id": "r", "method": "get", "params": {"id": user}},
    ]
    client.send_text(json.dumps(requests).encode())
    await until(lambda: client.events)
    answers, event = client.messages
    assert [answer["id"] for answer in answers] == ["l", "w", "r"]
    assert event["method"] == "event"
    assert client.events[0]["token"] == client.answers["l"]["result"]["token"]


async def test_behind_a_snapshot_the_history_begins_with_what_the_log_has(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schemas=SCHEMAS)
        user = await create(client, "User")
        taken = (await client.result("snapshot.take"))["revision"]
        revision = await write(client, user, "Age", 1)
    async with running(tmp_path) as run:
        client = run.client()
        assert (await client.result("info"))["oldest_event"] == taken + 1
        assert (await client.ask("listen", target=user, since=taken - 1))["error"]["data"]["oldest"] == taken + 1
        event, _bookmark = await client.told(await listen(client, user, since=taken), 2)
        assert event["revision"] == revision
        assert event["previous"]["value"] == 0
