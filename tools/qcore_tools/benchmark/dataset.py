"""The types and entities of a run: made before the tests, and removed after them. Nothing else in the store is touched.

Every run has types of its own, whose names nobody else has. All of its entities are of these types, so that what is to
be removed can be found whatever has happened; they stand below a folder that has no parent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from qcore.client import Store
from qcore.model.errors import InUse, NotFound, QcoreError
from qcore_tools.benchmark.workloads import MOST_FRAMES, PAGE, text_of

__all__ = ["IN_A_FOLDER", "Dataset", "is_dataset_name", "new_name"]

IN_A_FOLDER = 1000
"""Entities that stand in one folder, so that no command deletes a crowd."""

BATCH, BATCH_BYTES = 500, 1 << 20
"""Entities that one message creates, or bytes of their texts."""

ATTEMPTS = 10
"""How often types are tried to be deleted, as writes that nobody waits for any more may still be done."""

Advance = Callable[[int], None]
"""Is told how many more entities were made or removed."""


def new_name() -> str:
    """The name of a run that nobody else has."""
    return f"Benchmark_{secrets.token_hex(4)}"


def is_dataset_name(name: str) -> bool:
    """Whether a run may have this name."""
    return re.fullmatch(r"Benchmark_[0-9a-f]{8}", name) is not None


class Dataset:
    """What belongs to the run of this name.

    Attributes:
        begun: whether anything of it may be in the store.
        ids: the entities that are read and written, whose Number is their place here.
    """

    def __init__(self, store: Store, name: str, data_size: int = 0) -> None:
        self.type = name
        self.new_type = f"{name}_New"
        self.begun = False
        self.ids: list[int] = []
        self._store = store
        self._data_size = data_size
        self._folder_type = f"{name}_Folder"
        self._root: int | None = None

    @property
    def _types(self) -> tuple[str, str, str]:
        return self.type, self.new_type, self._folder_type

    async def create(self, keyspace: int, advance: Advance) -> None:
        """Create the types and so many entities."""
        fields = [{"name": "Number", "dataType": "Int"}, {"name": "Text", "dataType": "String"}]
        self.begun = True
        try:
            await self._store.schema_set(
                *({"entityType": name, "inheritsFrom": ["Object"], "fields": fields} for name in self._types[:2]),
                {"entityType": self._folder_type, "inheritsFrom": ["Object"], "fields": []},
            )
        except QcoreError as exc:
            self.begun = exc.data.get("applied") != "no"
            raise
        self._root = (await self._store.create(self._folder_type, self.type)).id
        folders = await self.make_folders(-(-keyspace // IN_A_FOLDER))
        self.ids = await self._fill(self.type, keyspace, lambda number: folders[number // IN_A_FOLDER], advance)

    async def make_folders(self, count: int) -> list[int]:
        """Create folders for what a test creates or deletes."""
        params = {"type": self._folder_type, "name": "folder", "parent": self._root}
        return [made["id"] for made in await self._batch([("create", params)] * count)]

    async def make_stock(self, count: int, folders: Sequence[int], advance: Advance) -> list[int]:
        """Create entities for a test to use up, spread over folders."""
        return await self._fill(self.new_type, count, lambda number: folders[number % len(folders)], advance)

    async def cursors(self) -> list[str]:
        """Those of the pages behind the first one."""
        found: list[str] = []
        cursor = (await self._store.find(self.type, limit=PAGE)).cursor
        while cursor is not None and len(found) < MOST_FRAMES:
            found.append(cursor)
            cursor = (await self._store.find(self.type, limit=PAGE, cursor=cursor)).cursor
        return found

    async def remove_folders(self, folders: Iterable[int], advance: Advance) -> None:
        """Delete folders with all that is in them."""
        for folder in folders:
            try:
                advance((await self._store.delete(folder)).deleted)
            except NotFound:
                continue

    async def counts(self) -> dict[str, int]:
        """How many entities there are of each type."""
        return {name: (await self._store.count(name, exact=True)).count for name in self._types}

    async def exists(self) -> bool:
        """Whether anything of it is there."""
        types = (await self._store.types()).items
        return any(name in types for name in self._types)

    async def remove(self, advance: Advance) -> None:
        """Remove all of it that is there: the newest folders first, so that no command deletes a crowd."""
        for attempt in range(ATTEMPTS):
            for name in reversed(self._types):
                ids = [id async for id in self._found(name)]
                await self.remove_folders(reversed(ids), advance)
            try:
                await self._delete_types()
            except InUse:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    async def _delete_types(self) -> None:
        for name in self._types:
            try:
                await self._store.schema_delete(name)
            except NotFound:
                continue

    async def _fill(self, type: str, count: int, parent: Callable[[int], int], advance: Advance) -> list[int]:
        size = max(1, min(BATCH, BATCH_BYTES // max(1, self._data_size)))
        ids: list[int] = []
        for first in range(0, count, size):
            numbers = range(first, min(first + size, count))
            made = await self._batch([("create", self._entity(type, number, parent(number))) for number in numbers])
            ids += [each["id"] for each in made]
            advance(len(made))
        return ids

    def _entity(self, type: str, number: int, parent: int) -> dict[str, Any]:
        fields = {"Number": number, "Text": text_of(self._data_size, number)}
        return {"type": type, "name": f"entity {number}", "parent": parent, "fields": fields}

    async def _batch(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
        results: list[Any] = []
        for first in range(0, len(commands), BATCH):
            results += await self._store.batch(commands[first : first + BATCH])
        for result in results:
            if isinstance(result, QcoreError):
                raise result
        return results

    async def _found(self, type: str) -> AsyncIterator[int]:
        cursor = None
        while True:
            try:
                page = await self._store.find(type, exact=True, limit=1000, cursor=cursor)
            except NotFound:
                return
            for item in page.items:
                yield item.id
            cursor = page.cursor
            if cursor is None:
                return
