"""The Python SDK of qcore.

    async with connect("ws://127.0.0.1:8080") as store:
        user = await store.create("User", "john@example.com")
        await store.set(user.id, "Age", 30)
        entity = await store.get(user.id, "Name", "Age")
        print(entity["Age"])

Several commands go out as one by `store.pipeline` and `store.transaction`, as records:

    user, entity = await store.pipeline([Create("User", "ann"), Get("$1", ["Name"])])

Changes come as they are made:

    async with store.listen("User", "Age") as events:
        async for event in events:
            print(event.id, event.previous.value, "->", event.current.value)

`protocol` decides what is sent, retried and given up, without any I/O; its pieces are `request`, with `params`, and
`subscription`. `connection` moves it over WebSocket; `store` and `listening` are the surface people program against,
`blocking` the same surface without asyncio. Which tool takes which URL from where is the tools' own business: nothing
here reads the environment.
"""

from __future__ import annotations

from qcore.client.listening import Events
from qcore.client.results import Entity, Event, Reading, TransactionDone
from qcore.client.store import Store, connect
from qcore.model.errors import ConnectionFailed, QcoreError, RequestError
from qcore.model.requests.cluster import (
    ClusterFormed,
    ClusterMember,
    ClusterState,
    ClusterTransferred,
    MemberState,
)
from qcore.model.requests.commands import Create, Delete, FieldChange, FieldSet, SchemaDelete, SchemaSet, SetFields
from qcore.model.requests.compound import Condition
from qcore.model.requests.queries import (
    Count,
    Digest,
    Exists,
    FieldExists,
    FieldGet,
    Find,
    Get,
    SchemaComplete,
    SchemaGet,
    TypesList,
)
from qcore.model.requests.results import (
    ConnectedClient,
    Counted,
    Created,
    Deleted,
    DigestNow,
    InfoResult,
    Item,
    MachineResult,
    Page,
    SchemaDone,
    SetDone,
    SlowRequest,
    TypesPage,
)
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind

__all__ = [
    "ClusterFormed",
    "ClusterMember",
    "ClusterState",
    "ClusterTransferred",
    "Condition",
    "ConnectedClient",
    "ConnectionFailed",
    "Count",
    "Counted",
    "Create",
    "Created",
    "Delete",
    "Deleted",
    "Digest",
    "DigestNow",
    "Entity",
    "EntitySchema",
    "Event",
    "Events",
    "Exists",
    "FieldChange",
    "FieldExists",
    "FieldGet",
    "FieldSchema",
    "FieldSet",
    "Find",
    "Get",
    "InfoResult",
    "Item",
    "Kind",
    "MachineResult",
    "MemberState",
    "Page",
    "QcoreError",
    "Reading",
    "RequestError",
    "SchemaComplete",
    "SchemaDelete",
    "SchemaDone",
    "SchemaGet",
    "SchemaSet",
    "SetDone",
    "SetFields",
    "SlowRequest",
    "Store",
    "TransactionDone",
    "TypesList",
    "TypesPage",
    "connect",
]
