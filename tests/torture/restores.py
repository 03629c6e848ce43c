"""Restores of documents, each a long command that goes into the log in parts: all of a document is there, or nothing.

The fields that the other clients use are Runtime fields, which a restore leaves alone where the document lacks them.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from qcore.client import EntitySchema, FieldSchema, Get, Kind, QcoreError, Store, connect
from tests.process import DEADLINE
from tests.proof.data import Place
from tests.proof.history import Step
from tests.proof.workload import TIMEOUT, Load

__all__ = ["Restorer", "document_with"]

TYPE = "Restored"
KEY = "document:0"
FIELD = "Version"
ENTITIES = 1200
"""More than a short command touches."""

FILLER = "x" * 1000
PAUSE = 3.0
"""Seconds between two operations."""


def document_with(base: Mapping[str, Any], version: int) -> str:
    """The document that has the folder at some version; how many entities are in it differs from version to version."""
    tree = dict(base["tree"])
    count = ENTITIES // 2 + random.Random(version).randint(0, ENTITIES // 2)
    entity = {"entityType": TYPE, FIELD: version, "Filler": FILLER}
    inside = [{**entity, "Name": f"entity {number}"} for number in range(count)]
    others = [child for child in tree["Children"] if child["entityType"] != TYPE]
    folder = {"entityType": TYPE, "Name": "restored", FIELD: version, "Children": inside}
    tree["Children"] = [*others, folder]
    return json.dumps({**base, "tree": tree})


class Restorer:
    """See `Actor`; prepared after all others, as it restores what they have made, too."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"{seed} restores")
        self._place = Place(0, FIELD)
        self._base: dict[str, Any] = {}

    async def prepare(self, store: Store) -> dict[str, Place]:
        fields = [FieldSchema(FIELD, Kind.Int), FieldSchema("Filler", Kind.String)]
        await store.schema_set(EntitySchema(TYPE, fields=fields))
        root = (await store.find("Root")).items[0].id
        self._place = Place((await store.create(TYPE, "restored", root)).id, FIELD)
        await store.create(TYPE, "entity 0", self._place.id)
        self._base = json.loads("".join([page.chunk async for page in store.snapshot_export(ids=False)]))
        return {KEY: self._place}

    async def run(self, number: int, load: Load, urls: Mapping[int, str]) -> None:
        while not load.stopped.is_set():
            async with connect(list(urls.values()), client="restorer", timeout=2 * TIMEOUT, wait=DEADLINE) as store:
                for _ in range(10):
                    if load.stopped.is_set():
                        return
                    await (self._read if self._chance.random() < 0.4 else self._restore)(number, load, store)
                    await asyncio.sleep(self._chance.uniform(0, PAUSE))

    async def _restore(self, number: int, load: Load, store: Store) -> None:
        value = next(load.numbers)

        async def act() -> Sequence[Any]:
            await store.snapshot_restore(document_with(self._base, value), prune=True)
            return []

        await load.record(number, [Step("write", KEY, value)], act)

    async def _read(self, number: int, load: Load, store: Store) -> None:
        """The folder and its first entity in one transaction: they are of one version."""
        commands = [Get(self._place.id, [FIELD]), Get("/Root/restored/entity 0", [FIELD])]

        async def act() -> Sequence[Any]:
            found = (await store.transaction(commands)).results
            for late in (result for result in found if isinstance(result, QcoreError)):
                raise late
            folder, entity = (result[FIELD] for result in found)
            assert folder == entity, f"parts of two documents are there: {folder} and {entity}"
            return [folder]

        await load.record(number, [Step("read", KEY)], act)
