"""The Python SDK of qcore.

    async with connect("ws://127.0.0.1:8080") as store:
        user = await store.create("User", "john@example.com")
        await store.set(user.id, "Age", 30)
        entity = await store.get(user.id, "Name", "Age")
        print(entity["Age"])

`protocol` decides what is sent, retried and given up, without any I/O; `connection` moves it over WebSocket;
`store` is the surface people program against, `blocking` the same surface without asyncio. Which tool
takes which URL from where is the tools' own business: nothing here reads the environment.
"""

from __future__ import annotations

from qcore.client.results import Entity, Reading
from qcore.client.store import Store, connect
from qcore.model.errors import ConnectionFailed, QcoreError, RequestError
from qcore.model.results import Created, Deleted, InfoResult, Item, MachineResult, Page, SchemaDone, SetDone, TypesPage
from qcore.model.schema import EntitySchema, FieldSchema

__all__ = [
    "ConnectionFailed",
    "Created",
    "Deleted",
    "Entity",
    "EntitySchema",
    "FieldSchema",
    "InfoResult",
    "Item",
    "MachineResult",
    "Page",
    "QcoreError",
    "Reading",
    "RequestError",
    "SchemaDone",
    "SetDone",
    "Store",
    "TypesPage",
    "connect",
]
