"""Writes of texts that go into the log in parts, each told by one number: a text of parts of two would show."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from qcore.client import EntitySchema, FieldSchema, Kind, Store, connect
from tests.process import DEADLINE
from tests.proof.data import Place
from tests.proof.history import Step
from tests.proof.workload import TIMEOUT, Load

__all__ = ["BigWriter", "big_text", "number_of"]

TYPE = "Big"
KEY = "big:0"
CHARACTERS = (1_100_000, 2_500_000)
"""More than a command may have to go into the log as it is."""

PAUSE = 1.0
"""Seconds between two operations."""


def big_text(number: int) -> str:
    """The text that stands for a number; 0 is the empty one."""
    line = f"{number};"
    return line * (random.Random(number).randint(*CHARACTERS) // len(line)) if number else ""


def number_of(text: str) -> int:
    """The number of a text.

    Raises:
        AssertionError: it is not a text that was written.
    """
    number = int(text.partition(";")[0] or 0)
    assert text == big_text(number), f"a text of {len(text)} characters that begins with {number} was never written"
    return number


class BigWriter:
    """See `Actor`."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"{seed} big")
        self._place = Place(0, "Text")

    async def prepare(self, store: Store) -> dict[str, Place]:
        text = FieldSchema("Text", Kind.String, storage_scope="Runtime")
        await store.schema_set(EntitySchema(TYPE, fields=[text]))
        self._place = Place((await store.create(TYPE, "big")).id, "Text")
        return {KEY: self._place}

    async def run(self, number: int, load: Load, urls: Mapping[int, str]) -> None:
        while not load.stopped.is_set():
            async with connect(list(urls.values()), client="big", timeout=TIMEOUT, wait=DEADLINE) as store:
                for _ in range(10):
                    if load.stopped.is_set():
                        return
                    await (self._read if self._chance.random() < 0.4 else self._write)(number, load, store)
                    await asyncio.sleep(self._chance.uniform(0, PAUSE))

    async def _write(self, number: int, load: Load, store: Store) -> None:
        value = next(load.numbers)

        async def act() -> Sequence[Any]:
            await store.set(*self._place, big_text(value))
            return []

        await load.record(number, [Step("write", KEY, value)], act)

    async def _read(self, number: int, load: Load, store: Store) -> None:
        async def act() -> Sequence[Any]:
            return [number_of((await store.get(*self._place))["Text"])]

        await load.record(number, [Step("read", KEY)], act)
